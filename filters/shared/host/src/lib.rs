//! The proxy-wasm side of Seawall: the host port on the raw ABI, and the glue from SDK callbacks to filters.
//!
//! The SDK dispatches callbacks to contexts; the calls *to* the host are made here ([`abi`]), because the SDK's own
//! panic on statuses that they do not expect, and a panic ends the VM with every request in it.

mod abi;
mod envoy;
mod glue;

pub use envoy::Envoy;
pub use glue::{Http, Root};
pub use proxy_wasm;

/// Makes a crate the module of one filter: `seawall_host::plugin!(seawall_rate_limit::RateLimit);`
///
/// Answers to callouts come through `seawall_on_http_call_response` and `seawall_on_grpc_*`, to which the build step
/// redirects the SDK's exports: those panic on a call that the SDK has not started itself.
#[macro_export]
macro_rules! plugin {
    ($filter:ty) => {
        ::std::thread_local! {
            static ROOTS: $crate::Roots<$filter> = ::std::default::Default::default();
        }

        #[allow(
            missing_docs,
            reason = "the SDK's macro exports the initialiser without a word"
        )]
        mod initialise {
            $crate::proxy_wasm::main! {{
                $crate::proxy_wasm::set_root_context(|id| {
                    let root = $crate::Root::new(id);
                    super::ROOTS.with(|roots| roots.add(id, &root));
                    ::std::boxed::Box::new(root)
                });
            }}
        }

        #[no_mangle]
        extern "C" fn seawall_on_http_call_response(
            context: u32,
            token: u32,
            headers: usize,
            body_size: usize,
            _trailers: usize,
        ) {
            ROOTS.with(|roots| roots.call_done(context, token, headers, body_size));
        }

        #[no_mangle]
        extern "C" fn seawall_on_grpc_receive(context: u32, token: u32, size: usize) {
            ROOTS.with(|roots| roots.grpc_done(context, token, 0, size));
        }

        #[no_mangle]
        extern "C" fn seawall_on_grpc_close(context: u32, token: u32, status: u32) {
            ROOTS.with(|roots| roots.grpc_done(context, token, status, 0));
        }
    };
}

pub use glue::Roots;
