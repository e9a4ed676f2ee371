//! The proxy-wasm side of Seawall: the host port on the raw ABI, and the way from the host's callbacks to filters.
//!
//! Of the SDK, what cannot fail is used: start-up, the ABI's version and the allocator for what the host gives away. Calls
//! to the host are made here (`abi`) because the SDK's own panic on statuses that they do not expect, and callbacks are
//! dispatched here (`dispatch`) because the SDK's dispatcher panics on contexts and calls that it does not know: a panic
//! ends the VM with every request in it.

mod abi;
mod dispatch;
mod envoy;

pub use dispatch::Contexts;
pub use envoy::Envoy;
pub use proxy_wasm;
pub use seawall_core::plugin::{Plugin, Stream};

/// Makes a crate the module of one filter: `seawall_host::plugin!(seawall_rate_limit::RateLimit);`
///
/// The callbacks are exported as `seawall_on_*`. The build step (`tools/module`) puts those that the filter asks for in the
/// place of the SDK's `proxy_on_*`, and drops the rest: Envoy calls every export that exists, and every call costs.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        ::std::thread_local! {
            static CONTEXTS: $crate::Contexts<$filter> = const { $crate::Contexts::new() };
        }

        #[allow(
            missing_docs,
            reason = "the SDK's macro exports the initialiser without a word"
        )]
        mod initialise {
            $crate::proxy_wasm::main! {{}}
        }

        mod callbacks {
            use super::CONTEXTS;
            use $crate::{Plugin as _, Stream as _};

            #[no_mangle]
            extern "C" fn seawall_on_context_create(context: u32, root: u32) {
                CONTEXTS.with(|contexts| contexts.create(context, root));
            }

            #[no_mangle]
            extern "C" fn seawall_on_vm_start(_root: u32, _size: usize) -> bool {
                true
            }

            #[no_mangle]
            extern "C" fn seawall_on_configure(root: u32, size: usize) -> bool {
                CONTEXTS.with(|contexts| contexts.configure(root, size))
            }

            #[no_mangle]
            extern "C" fn seawall_on_tick(root: u32) {
                CONTEXTS.with(|contexts| contexts.on_root(root, |plugin, host| plugin.tick(host)));
            }

            #[no_mangle]
            extern "C" fn seawall_on_queue_ready(root: u32, queue: u32) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| plugin.queue_ready(host, queue));
                });
            }

            #[no_mangle]
            extern "C" fn seawall_on_http_call_response(
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
            extern "C" fn seawall_on_grpc_receive(root: u32, token: u32, size: usize) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| plugin.grpc_done(host, token, 0, size));
                });
            }

            #[no_mangle]
            extern "C" fn seawall_on_grpc_close(root: u32, token: u32, status: u32) {
                CONTEXTS.with(|contexts| {
                    contexts.on_root(root, |plugin, host| {
                        plugin.grpc_done(host, token, status, 0)
                    });
                });
            }

            #[no_mangle]
            extern "C" fn seawall_on_request_headers(context: u32, _count: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.request_headers(host, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn seawall_on_request_body(context: u32, size: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.request_body(host, size, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn seawall_on_response_headers(
                context: u32,
                _count: usize,
                end: u32,
            ) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.response_headers(host, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn seawall_on_response_body(context: u32, size: usize, end: u32) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| {
                        stream.response_body(host, size, end != 0)
                    })
                })
            }

            #[no_mangle]
            extern "C" fn seawall_on_response_trailers(context: u32, _count: usize) -> u32 {
                CONTEXTS.with(|contexts| {
                    contexts.on_request(context, |stream, host| stream.response_trailers(host))
                })
            }

            #[no_mangle]
            extern "C" fn seawall_on_log(context: u32) {
                CONTEXTS.with(|contexts| contexts.log(context));
            }

            #[no_mangle]
            extern "C" fn seawall_on_delete(context: u32) {
                CONTEXTS.with(|contexts| contexts.delete(context));
            }
        }
    };
}
