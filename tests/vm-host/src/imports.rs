//! The functions that a module imports: proxy-wasm ABI 0.2.1 and the few of WASI that Rust's std needs.

use crate::state::{Pairs, State};
use std::collections::VecDeque;
use wasmi::{Caller, Extern, Linker, Memory};

type Host<'a> = Caller<'a, State>;

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const BAD_ARGUMENT: u32 = 2;
const EMPTY: u32 = 7;
const CAS_MISMATCH: u32 = 8;

fn memory(host: &Host<'_>) -> Memory {
    host.get_export("memory")
        .and_then(Extern::into_memory)
        .expect("a module exports its memory")
}

fn read(host: &Host<'_>, at: u32, size: u32) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    memory(host)
        .read(host, at as usize, &mut bytes)
        .expect("the module passes its own memory");
    bytes
}

fn write(host: &mut Host<'_>, at: u32, bytes: &[u8]) {
    let memory = memory(host);
    memory
        .write(host, at as usize, bytes)
        .expect("the module passes its own memory");
}

/// Gives bytes away in memory that the module allocates.
fn give(host: &mut Host<'_>, bytes: &[u8], data: u32, size: u32) -> u32 {
    let allocate = host
        .get_export("proxy_on_memory_allocate")
        .or_else(|| host.get_export("malloc"))
        .and_then(Extern::into_func)
        .expect("a module exports an allocator");
    let allocate = allocate.typed::<u32, u32>(&*host).expect("of this type");
    let at = allocate
        .call(&mut *host, bytes.len() as u32)
        .expect("that works");
    write(host, at, bytes);
    write(host, data, &at.to_le_bytes());
    write(host, size, &(bytes.len() as u32).to_le_bytes());
    OK
}

fn write_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = (pairs.len() as u32).to_le_bytes().to_vec();
    for (name, value) in pairs {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend((value.len() as u32).to_le_bytes());
    }
    for (name, value) in pairs {
        bytes.extend(name.iter().chain([&0]).chain(value).chain([&0]));
    }
    bytes
}

fn read_pairs(bytes: &[u8]) -> Pairs {
    let number = |at: usize| {
        bytes.get(at..at + 4).map_or(0, |b| {
            u32::from_le_bytes(b.try_into().expect("four")) as usize
        })
    };
    let count = number(0);
    let mut at = 4 + count * 8;
    let mut pairs = Vec::new();
    for pair in 0..count {
        let (name, value) = (number(4 + pair * 8), number(8 + pair * 8));
        let part = |start: usize, size: usize| bytes[start..start + size].to_vec();
        pairs.push((part(at, name), part(at + name + 1, value)));
        at += name + value + 2;
    }
    pairs
}

fn property_path(bytes: &[u8]) -> String {
    bytes
        .split(|b| *b == 0)
        .map(String::from_utf8_lossy)
        .collect::<Vec<_>>()
        .join(".")
}

/// Defines an import whose failure is decided by the state first.
macro_rules! import {
    ($linker:ident, $name:literal, |$host:ident $(, $argument:ident: $type:ty)*| $body:expr) => {
        $linker
            .func_wrap("env", $name, |mut $host: Host<'_> $(, $argument: $type)*| -> u32 {
                if let Some(status) = $host.data_mut().enter($name) {
                    return status;
                }
                $body
            })
            .expect("defined once")
    };
}

/// Defines everything.
pub(crate) fn define(linker: &mut Linker<State>) {
    define_general(linker);
    define_maps(linker);
    define_shared(linker);
    define_calls(linker);
    define_wasi(linker);
}

fn define_general(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_log",
        |host, _level: u32, at: u32, size: u32| {
            let text = String::from_utf8_lossy(&read(&host, at, size)).into_owned();
            host.data_mut().log.push(text);
            OK
        }
    );
    import!(linker, "proxy_get_log_level", |host, level: u32| {
        write(&mut host, level, &2u32.to_le_bytes());
        OK
    });
    import!(
        linker,
        "proxy_get_current_time_nanoseconds",
        |host, at: u32| {
            let now = host.data().now;
            write(&mut host, at, &now.to_le_bytes());
            OK
        }
    );
    import!(
        linker,
        "proxy_set_tick_period_milliseconds",
        |host, _period: u32| OK
    );
    import!(linker, "proxy_done", |host| OK);
    import!(
        linker,
        "proxy_set_effective_context",
        |host, _context: u32| OK
    );
    import!(linker, "proxy_continue_stream", |host, _stream: u32| OK);
    import!(linker, "proxy_close_stream", |host, _stream: u32| OK);
    import!(
        linker,
        "proxy_get_status",
        |host, _code: u32, _data: u32, _size: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_define_metric",
        |host, _kind: u32, _at: u32, _size: u32, id: u32| {
            host.data_mut().metrics += 1;
            let number = host.data().metrics;
            write(&mut host, id, &number.to_le_bytes());
            OK
        }
    );
    import!(linker, "proxy_get_metric", |host, _id: u32, at: u32| {
        write(&mut host, at, &0u64.to_le_bytes());
        OK
    });
    import!(
        linker,
        "proxy_increment_metric",
        |host, _id: u32, _amount: i64| OK
    );
    import!(
        linker,
        "proxy_record_metric",
        |host, _id: u32, _value: u64| OK
    );
    import!(
        linker,
        "proxy_get_property",
        |host, at: u32, size: u32, data: u32, length: u32| {
            let path = property_path(&read(&host, at, size));
            match host.data().properties.get(&path).cloned() {
                Some(value) => give(&mut host, &value, data, length),
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_set_property",
        |host, at: u32, size: u32, value: u32, length: u32| {
            let path = property_path(&read(&host, at, size));
            let value = read(&host, value, length);
            host.data_mut().properties.insert(path, value);
            OK
        }
    );
}

fn define_maps(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_get_buffer_bytes",
        |host, kind: u32, start: u32, max: u32, data: u32, size: u32| {
            let bytes = match kind {
                7 => host.data().configuration.clone(),
                _ => match host.data().buffers.get(&kind) {
                    Some(bytes) => bytes.clone(),
                    None => return NOT_FOUND,
                },
            };
            let start = (start as usize).min(bytes.len());
            let end = start.saturating_add(max as usize).min(bytes.len());
            give(&mut host, &bytes[start..end], data, size)
        }
    );
    import!(
        linker,
        "proxy_set_buffer_bytes",
        |host, kind: u32, _start: u32, _size: u32, at: u32, length: u32| {
            let bytes = read(&host, at, length);
            host.data_mut().buffers.insert(kind, bytes);
            OK
        }
    );
    import!(
        linker,
        "proxy_get_header_map_pairs",
        |host, map: u32, data: u32, size: u32| {
            let pairs = host.data().maps.get(&map).cloned().unwrap_or_default();
            give(&mut host, &write_pairs(&pairs), data, size)
        }
    );
    import!(
        linker,
        "proxy_set_header_map_pairs",
        |host, map: u32, at: u32, size: u32| {
            let pairs = read_pairs(&read(&host, at, size));
            match host.data_mut().maps.get_mut(&map) {
                Some(held) => *held = pairs,
                None => return BAD_ARGUMENT,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_get_header_map_value",
        |host, map: u32, at: u32, size: u32, data: u32, length: u32| {
            let name = read(&host, at, size);
            let Some(pairs) = host.data().maps.get(&map) else {
                return BAD_ARGUMENT;
            };
            match pairs
                .iter()
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.clone())
            {
                Some(value) => give(&mut host, &value, data, length),
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_get_header_map_size",
        |host, _map: u32, _size: u32| OK
    );
    for name in [
        "proxy_replace_header_map_value",
        "proxy_add_header_map_value",
    ] {
        linker
            .func_wrap(
                "env",
                name,
                move |mut host: Host<'_>,
                      map: u32,
                      at: u32,
                      size: u32,
                      value: u32,
                      length: u32|
                      -> u32 {
                    if let Some(status) = host.data_mut().enter(name) {
                        return status;
                    }
                    let field = read(&host, at, size);
                    let value = read(&host, value, length);
                    let Some(pairs) = host.data_mut().maps.get_mut(&map) else {
                        return BAD_ARGUMENT;
                    };
                    if name == "proxy_replace_header_map_value" {
                        pairs.retain(|(name, _)| *name != field);
                    }
                    pairs.push((field, value));
                    OK
                },
            )
            .expect("defined once");
    }
    import!(
        linker,
        "proxy_remove_header_map_value",
        |host, map: u32, at: u32, size: u32| {
            let field = read(&host, at, size);
            match host.data_mut().maps.get_mut(&map) {
                Some(pairs) => pairs.retain(|(name, _)| *name != field),
                None => return BAD_ARGUMENT,
            }
            OK
        }
    );
}

fn define_shared(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_get_shared_data",
        |host, at: u32, size: u32, data: u32, length: u32, cas: u32| {
            let key = read(&host, at, size);
            match host.data().shared.get(&key).cloned() {
                Some((value, version)) => {
                    write(&mut host, cas, &version.to_le_bytes());
                    give(&mut host, &value, data, length)
                }
                None => NOT_FOUND,
            }
        }
    );
    import!(
        linker,
        "proxy_set_shared_data",
        |host, at: u32, size: u32, value: u32, length: u32, cas: u32| {
            let key = read(&host, at, size);
            let value = read(&host, value, length);
            let state = host.data_mut();
            if state
                .shared
                .get(&key)
                .is_some_and(|(_, version)| cas != 0 && cas != *version)
            {
                return CAS_MISMATCH;
            }
            state.version += 1;
            state.shared.insert(key, (value, state.version));
            OK
        }
    );
    import!(
        linker,
        "proxy_register_shared_queue",
        |host, _at: u32, _size: u32, id: u32| {
            host.data_mut().queues.push(VecDeque::new());
            let number = host.data().queues.len() as u32;
            write(&mut host, id, &number.to_le_bytes());
            OK
        }
    );
    import!(
        linker,
        "proxy_resolve_shared_queue",
        |host, _v: u32, _vs: u32, _n: u32, _ns: u32, _id: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_enqueue_shared_queue",
        |host, queue: u32, at: u32, size: u32| {
            let message = read(&host, at, size);
            match host
                .data_mut()
                .queues
                .get_mut((queue as usize).wrapping_sub(1))
            {
                Some(queue) => queue.push_back(message),
                None => return NOT_FOUND,
            }
            OK
        }
    );
    import!(
        linker,
        "proxy_dequeue_shared_queue",
        |host, queue: u32, data: u32, size: u32| {
            match host
                .data_mut()
                .queues
                .get_mut((queue as usize).wrapping_sub(1))
                .map(VecDeque::pop_front)
            {
                Some(Some(message)) => give(&mut host, &message, data, size),
                Some(None) => EMPTY,
                None => NOT_FOUND,
            }
        }
    );
}

fn define_calls(linker: &mut Linker<State>) {
    import!(
        linker,
        "proxy_send_local_response",
        |host, status: u32, _d: u32, _ds: u32, _b: u32, _bs: u32, _h: u32, _hs: u32, _grpc: u32| {
            host.data_mut().reply = Some(status);
            OK
        }
    );
    import!(
        linker,
        "proxy_http_call",
        |host,
         _u: u32,
         _us: u32,
         _h: u32,
         _hs: u32,
         _b: u32,
         _bs: u32,
         _t: u32,
         _ts: u32,
         _timeout: u32,
         token: u32| {
            host.data_mut().callouts += 1;
            let number = host.data().callouts;
            write(&mut host, token, &number.to_le_bytes());
            OK
        }
    );
    import!(
        linker,
        "proxy_grpc_call",
        |host,
         _u: u32,
         _us: u32,
         _s: u32,
         _ss: u32,
         _m: u32,
         _ms: u32,
         _md: u32,
         _mds: u32,
         _b: u32,
         _bs: u32,
         _timeout: u32,
         token: u32| {
            host.data_mut().callouts += 1;
            let number = host.data().callouts;
            write(&mut host, token, &number.to_le_bytes());
            OK
        }
    );
    // The SDK imports these; no filter calls them.
    import!(linker, "proxy_grpc_cancel", |host, _token: u32| NOT_FOUND);
    import!(linker, "proxy_grpc_close", |host, _token: u32| NOT_FOUND);
    import!(
        linker,
        "proxy_grpc_send",
        |host, _token: u32, _at: u32, _size: u32, _end: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_grpc_stream",
        |host,
         _u: u32,
         _us: u32,
         _s: u32,
         _ss: u32,
         _m: u32,
         _ms: u32,
         _h: u32,
         _hs: u32,
         _id: u32| NOT_FOUND
    );
    import!(
        linker,
        "proxy_call_foreign_function",
        |host, _n: u32, _ns: u32, _a: u32, _as: u32, _d: u32, _ds: u32| NOT_FOUND
    );
}

fn define_wasi(linker: &mut Linker<State>) {
    const WASI: &str = "wasi_snapshot_preview1";
    let defined = "defined once";
    linker
        .func_wrap(
            WASI,
            "random_get",
            |mut host: Host<'_>, at: u32, size: u32| -> u32 {
                if let Some(status) = host.data_mut().enter("random_get") {
                    return status;
                }
                let seed = host.data().calls.len() as u8;
                let bytes: Vec<u8> = (0..size)
                    .map(|n| seed.wrapping_mul(31).wrapping_add(n as u8).wrapping_mul(97))
                    .collect();
                write(&mut host, at, &bytes);
                OK
            },
        )
        .expect(defined);
    linker
        .func_wrap(
            WASI,
            "fd_write",
            |mut host: Host<'_>, _fd: u32, vectors: u32, count: u32, written: u32| -> u32 {
                let mut text = Vec::new();
                for vector in 0..count {
                    let head = read(&host, vectors + vector * 8, 8);
                    let number =
                        |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
                    text.extend(read(&host, number(0), number(4)));
                }
                write(&mut host, written, &(text.len() as u32).to_le_bytes());
                host.data_mut()
                    .log
                    .push(String::from_utf8_lossy(&text).into_owned());
                OK
            },
        )
        .expect(defined);
    linker
        .func_wrap(
            WASI,
            "environ_sizes_get",
            |mut host: Host<'_>, count: u32, size: u32| -> u32 {
                write(&mut host, count, &[0; 4]);
                write(&mut host, size, &[0; 4]);
                OK
            },
        )
        .expect(defined);
    linker
        .func_wrap(WASI, "environ_get", |_: Host<'_>, _: u32, _: u32| -> u32 {
            OK
        })
        .expect(defined);
    linker
        .func_wrap(
            WASI,
            "clock_time_get",
            |mut host: Host<'_>, _id: u32, _precision: u64, at: u32| -> u32 {
                let now = host.data().now;
                write(&mut host, at, &now.to_le_bytes());
                OK
            },
        )
        .expect(defined);
    linker
        .func_wrap(
            WASI,
            "proc_exit",
            |_: Host<'_>, code: u32| -> Result<(), wasmi::Error> {
                Err(wasmi::Error::new(format!("proc_exit({code})")))
            },
        )
        .expect(defined);
}
