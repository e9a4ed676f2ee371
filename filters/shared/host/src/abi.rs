//! The proxy-wasm ABI 0.2.1 as it is: every function answers a status number, and nothing here panics.
//!
//! The imports, and taking over the buffers that the host allocates in this module: the only `unsafe` code besides the
//! allocator's.

#![allow(unsafe_code, reason = "the boundary to the host")]

use seawall_core::host::{Answer, Failure};
use std::ptr::null_mut;

mod import {
    #[link(wasm_import_module = "env")]
    extern "C" {
        pub(super) fn proxy_log(level: u32, data: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub(super) fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_buffer_bytes(
            buffer: u32,
            start: usize,
            replaced: usize,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(super) fn proxy_get_header_map_pairs(
            map: u32,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
        pub(super) fn proxy_get_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(super) fn proxy_add_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(super) fn proxy_remove_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
        ) -> u32;
        pub(super) fn proxy_get_property(
            path: *const u8,
            path_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_set_property(
            path: *const u8,
            path_size: usize,
            data: *const u8,
            size: usize,
        ) -> u32;
        pub(super) fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            cas: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            data: *const u8,
            size: usize,
            cas: u32,
        ) -> u32;
        pub(super) fn proxy_register_shared_queue(
            name: *const u8,
            size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_dequeue_shared_queue(
            queue: u32,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_enqueue_shared_queue(queue: u32, data: *const u8, size: usize) -> u32;
        pub(super) fn proxy_continue_stream(stream: u32) -> u32;
        pub(super) fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub(super) fn proxy_http_call(
            upstream: *const u8,
            upstream_size: usize,
            headers: *const u8,
            headers_size: usize,
            body: *const u8,
            body_size: usize,
            trailers: *const u8,
            trailers_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        pub(super) fn proxy_grpc_call(
            upstream: *const u8,
            upstream_size: usize,
            service: *const u8,
            service_size: usize,
            method: *const u8,
            method_size: usize,
            metadata: *const u8,
            metadata_size: usize,
            message: *const u8,
            message_size: usize,
            timeout: u32,
            token: *mut u32,
        ) -> u32;
        pub(super) fn proxy_set_effective_context(context: u32) -> u32;
        pub(super) fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            argument: *const u8,
            argument_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub(super) fn proxy_define_metric(
            kind: u32,
            name: *const u8,
            size: usize,
            id: *mut u32,
        ) -> u32;
        pub(super) fn proxy_increment_metric(metric: u32, amount: i64) -> u32;
        pub(super) fn proxy_record_metric(metric: u32, value: u64) -> u32;
        pub(super) fn proxy_get_metric(metric: u32, value: *mut u64) -> u32;
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub(super) fn random_get(data: *mut u8, size: usize) -> u32;
    }
}

/// The status of a write that lost against a faster one.
const CAS_MISMATCH: u32 = 8;
/// The status of a queue with nothing in it.
const EMPTY: u32 = 7;

fn check(status: u32) -> Answer<()> {
    match status {
        0 => Ok(()),
        1 => Err(Failure::NotFound),
        2 => Err(Failure::BadArgument),
        other => Err(Failure::Status(other)),
    }
}

fn optional<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Failure::NotFound) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A buffer that the host gives away.
struct Given {
    data: *mut u8,
    size: usize,
}

impl Given {
    fn new() -> Self {
        Given {
            data: null_mut(),
            size: 0,
        }
    }

    fn take(self, status: u32) -> Answer<Vec<u8>> {
        check(status)?;
        if self.data.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: with status 0 the host hands over a buffer of that size that it got from this module's allocator.
        Ok(unsafe { Vec::from_raw_parts(self.data, self.size, self.size) })
    }
}

/// Memory for what the host gives away, to become a `Vec` of that capacity; null where there is none, which the host
/// answers with a status.
pub fn allocate(size: usize) -> *mut u8 {
    if size == 0 {
        return std::ptr::NonNull::dangling().as_ptr();
    }
    match std::alloc::Layout::array::<u8>(size) {
        // SAFETY: the size is not zero.
        Ok(layout) => unsafe { std::alloc::alloc(layout) },
        Err(_) => null_mut(),
    }
}

// SAFETY, for all below: pointers and sizes are those of live slices, or of locals that the host writes into.

pub(crate) fn log(level: u32, text: &str) {
    // There is nobody to tell that a line could not be logged.
    let _ = unsafe { import::proxy_log(level, text.as_ptr(), text.len()) };
}

pub(crate) fn now() -> Answer<u64> {
    let mut time = 0;
    check(unsafe { import::proxy_get_current_time_nanoseconds(&mut time) }).map(|()| time)
}

pub(crate) fn random(out: &mut [u8]) -> Answer<()> {
    check(unsafe { import::random_get(out.as_mut_ptr(), out.len()) })
}

pub(crate) fn set_tick(millis: u32) -> Answer<()> {
    check(unsafe { import::proxy_set_tick_period_milliseconds(millis) })
}

pub(crate) fn buffer(buffer: u32, start: usize, max: usize) -> Answer<Vec<u8>> {
    let mut given = Given::new();
    let status = unsafe {
        import::proxy_get_buffer_bytes(buffer, start, max, &mut given.data, &mut given.size)
    };
    Ok(optional(given.take(status))?.unwrap_or_default())
}

pub(crate) fn replace_buffer(buffer: u32, bytes: &[u8]) -> Answer<()> {
    check(unsafe {
        import::proxy_set_buffer_bytes(buffer, 0, usize::MAX, bytes.as_ptr(), bytes.len())
    })
}

pub(crate) fn header_pairs(map: u32) -> Answer<Vec<u8>> {
    let mut given = Given::new();
    let status =
        unsafe { import::proxy_get_header_map_pairs(map, &mut given.data, &mut given.size) };
    given.take(status)
}

pub(crate) fn set_header_pairs(map: u32, pairs: &[u8]) -> Answer<()> {
    check(unsafe { import::proxy_set_header_map_pairs(map, pairs.as_ptr(), pairs.len()) })
}

pub(crate) fn header(map: u32, name: &str) -> Answer<Option<Vec<u8>>> {
    let mut given = Given::new();
    let status = unsafe {
        import::proxy_get_header_map_value(
            map,
            name.as_ptr(),
            name.len(),
            &mut given.data,
            &mut given.size,
        )
    };
    optional(given.take(status))
}

pub(crate) fn replace_header(map: u32, name: &str, value: &[u8]) -> Answer<()> {
    check(unsafe {
        import::proxy_replace_header_map_value(
            map,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(crate) fn add_header(map: u32, name: &str, value: &[u8]) -> Answer<()> {
    check(unsafe {
        import::proxy_add_header_map_value(
            map,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

pub(crate) fn remove_header(map: u32, name: &str) -> Answer<()> {
    check(unsafe { import::proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

pub(crate) fn property(path: &str) -> Answer<Option<Vec<u8>>> {
    let mut given = Given::new();
    let status = unsafe {
        import::proxy_get_property(path.as_ptr(), path.len(), &mut given.data, &mut given.size)
    };
    optional(given.take(status))
}

pub(crate) fn set_property(path: &str, value: &[u8]) -> Answer<()> {
    check(unsafe {
        import::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
    })
}

pub(crate) fn shared_get(key: &str) -> Answer<Option<(Vec<u8>, u32)>> {
    let mut given = Given::new();
    let mut cas = 0;
    let status = unsafe {
        import::proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            &mut given.data,
            &mut given.size,
            &mut cas,
        )
    };
    optional(given.take(status).map(|value| (value, cas)))
}

/// False when the version did not match.
pub(crate) fn shared_set(key: &str, value: &[u8], cas: u32) -> Answer<bool> {
    let status = unsafe {
        import::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    };
    if status == CAS_MISMATCH {
        return Ok(false);
    }
    check(status).map(|()| true)
}

pub(crate) fn queue_register(name: &str) -> Answer<u32> {
    let mut id = 0;
    let status = unsafe { import::proxy_register_shared_queue(name.as_ptr(), name.len(), &mut id) };
    check(status).map(|()| id)
}

pub(crate) fn queue_take(queue: u32) -> Answer<Option<Vec<u8>>> {
    let mut given = Given::new();
    let status =
        unsafe { import::proxy_dequeue_shared_queue(queue, &mut given.data, &mut given.size) };
    if status == EMPTY {
        return Ok(None);
    }
    given.take(status).map(Some)
}

pub(crate) fn queue_send(queue: u32, message: &[u8]) -> Answer<()> {
    check(unsafe { import::proxy_enqueue_shared_queue(queue, message.as_ptr(), message.len()) })
}

pub(crate) fn continue_stream(stream: u32) -> Answer<()> {
    check(unsafe { import::proxy_continue_stream(stream) })
}

pub(crate) fn reply(
    status: u32,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> Answer<()> {
    check(unsafe {
        import::proxy_send_local_response(
            status,
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

pub(crate) fn http_call(cluster: &str, headers: &[u8], body: &[u8], millis: u32) -> Answer<u32> {
    let mut token = 0;
    let trailers = [0u8; 4];
    let status = unsafe {
        import::proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            trailers.as_ptr(),
            trailers.len(),
            millis,
            &mut token,
        )
    };
    check(status).map(|()| token)
}

pub(crate) fn grpc_call(
    upstream: &[u8],
    service: &str,
    method: &str,
    message: &[u8],
    millis: u32,
) -> Answer<u32> {
    let mut token = 0;
    let metadata = [0u8; 4];
    let status = unsafe {
        import::proxy_grpc_call(
            upstream.as_ptr(),
            upstream.len(),
            service.as_ptr(),
            service.len(),
            method.as_ptr(),
            method.len(),
            metadata.as_ptr(),
            metadata.len(),
            message.as_ptr(),
            message.len(),
            millis,
            &mut token,
        )
    };
    check(status).map(|()| token)
}

pub(crate) fn set_effective_context(context: u32) -> Answer<()> {
    check(unsafe { import::proxy_set_effective_context(context) })
}

pub(crate) fn foreign(name: &str, argument: &[u8]) -> Answer<Vec<u8>> {
    let mut given = Given::new();
    let status = unsafe {
        import::proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            argument.as_ptr(),
            argument.len(),
            &mut given.data,
            &mut given.size,
        )
    };
    given.take(status)
}

pub(crate) fn define_metric(kind: u32, name: &str) -> Answer<u32> {
    let mut id = 0;
    let status = unsafe { import::proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) };
    check(status).map(|()| id)
}

pub(crate) fn increment_metric(metric: u32, amount: i64) -> Answer<()> {
    check(unsafe { import::proxy_increment_metric(metric, amount) })
}

pub(crate) fn record_metric(metric: u32, value: u64) -> Answer<()> {
    check(unsafe { import::proxy_record_metric(metric, value) })
}

pub(crate) fn metric(metric: u32) -> Answer<u64> {
    let mut value = 0;
    check(unsafe { import::proxy_get_metric(metric, &mut value) }).map(|()| value)
}
