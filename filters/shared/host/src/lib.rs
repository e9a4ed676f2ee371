//! The proxy-wasm side of Seawall: the ABI (version 0.2.1) in both directions.
//!
//! Without the Rust SDK: its calls to the host panic on statuses that they do not expect, its dispatcher panics on contexts and
//! calls that it does not know, and a panic ends the VM with every request in it. Calls to the host are made in `abi`, calls
//! from it are dispatched in `dispatch`, and none of them can panic; besides, a module is 25 KB smaller.

mod abi;
mod dispatch;
mod envoy;
mod metrics;

use seawall_alloc as _;

pub use abi::allocate;
pub use dispatch::Contexts;
pub use envoy::Envoy;
pub use seawall_core::plugin::{Plugin, Stream};

/// Makes a crate the module of one filter: `seawall_host::plugin!(seawall_rate_limit::RateLimit);`
///
/// Every callback is exported. The build step (`tools/module`) drops those that the filter does not ask for: Envoy calls every
/// export that exists, and every call costs.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        ::std::thread_local! {
            static CONTEXTS: $crate::Contexts<$filter> = const { $crate::Contexts::new() };
        }

        mod callbacks {
            use super::CONTEXTS;
            use $crate::{Plugin as _, Stream as _};

            extern "C" {
                fn __wasm_call_ctors();
            }

            #[no_mangle]
            extern "C" fn _initialize() {
                // SAFETY: the host calls this once, before anything else.
                unsafe { __wasm_call_ctors() };
            }

            #[no_mangle]
            extern "C" fn proxy_abi_version_0_2_1() {}

            #[no_mangle]
            extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
                $crate::allocate(size)
            }

            #[no_mangle]
            extern "C" fn proxy_on_context_create(context: u32, root: u32) {
                CONTEXTS.with(|contexts| contexts.create(context, root));
            }

            #[no_mangle]
            extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> bool {
                true
            }

            #[no_mangle]
            extern "C" fn proxy_on_configure(root: u32, size: usize) -> bool {
                CONTEXTS.with(|contexts| contexts.configure(root, size))
            }

            #[no_mangle]
            extern "C" fn proxy_on_tick(root: u32) {
                CONTEXTS.with(|contexts| contexts.on_root(root, |plugin, host| plugin.tick(host)));
            }

            #[no_mangle]
            extern "C" fn proxy_on_queue_ready(root: u32, queue: u32) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| plugin.queue_ready(host, queue));
                });
            }

            #[no_mangle]
            extern "C" fn proxy_on_http_call_response(
                root: u32,
                token: u32,
                headers: usize,
                body_size: usize,
                _trailers: usize,
            ) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| {
                        plugin.call_done(host, token, headers, body_size);
                    });
                });
            }

            #[no_mangle]
            extern "C" fn proxy_on_grpc_receive(root: u32, token: u32, size: usize) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| plugin.grpc_done(host, token, 0, size));
                });
            }

            #[no_mangle]
            extern "C" fn proxy_on_grpc_close(root: u32, token: u32, status: u32) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| {
                        plugin.grpc_done(host, token, status, 0)
                    });
                });
            }

            #[no_mangle]
            extern "C" fn proxy_on_request_headers(context: u32, _count: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.request_headers(host, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.request_body(host, size, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn proxy_on_response_headers(context: u32, _count: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.response_headers(host, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn proxy_on_response_body(context: u32, size: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.response_body(host, size, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn proxy_on_response_trailers(context: u32, _count: usize) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| stream.response_trailers(host))
                })
            }

            #[no_mangle]
            extern "C" fn proxy_on_log(context: u32) {
                CONTEXTS.with(|contexts| contexts.log(context));
            }

            #[no_mangle]
            extern "C" fn proxy_on_delete(context: u32) {
                CONTEXTS.with(|contexts| contexts.delete(context));
            }
        }
    };
}
