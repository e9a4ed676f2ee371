//! From the SDK's callbacks to a filter's.

use crate::abi;
use crate::envoy::{Envoy, PLUGIN_CONFIGURATION};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};
use seawall_core::host::{Host, Level};
use seawall_core::plugin::{Flow, Plugin, Stream};
use std::cell::RefCell;
use std::rc::Rc;

/// A filter under a root context.
pub struct Root<P> {
    id: u32,
    plugin: Rc<RefCell<P>>,
}

impl<P: Plugin> Root<P> {
    fn host(&self) -> Envoy {
        Envoy::of(self.id, self.id)
    }

    /// The root context of this id, not configured yet.
    pub fn new(id: u32) -> Self {
        Root {
            id,
            plugin: Rc::default(),
        }
    }
}

impl<P: Plugin> Context for Root<P> {}

impl<P: Plugin> RootContext for Root<P> {
    fn on_configure(&mut self, size: usize) -> bool {
        let configuration = match abi::buffer(PLUGIN_CONFIGURATION, 0, size) {
            Ok(bytes) => bytes,
            Err(failure) => {
                self.host().log(
                    Level::Error,
                    &format!("cannot read the configuration: {failure:?}"),
                );
                return false;
            }
        };
        let Ok(mut plugin) = self.plugin.try_borrow_mut() else {
            return false;
        };
        match plugin.configure(&self.host(), &configuration) {
            Ok(()) => true,
            Err(errors) => {
                for error in errors {
                    self.host()
                        .log(Level::Error, &format!("configuration refused: {error}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Ok(mut plugin) = self.plugin.try_borrow_mut() {
            plugin.tick(&self.host());
        }
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if let Ok(mut plugin) = self.plugin.try_borrow_mut() {
            plugin.queue_ready(&self.host(), queue);
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let stream = self
            .plugin
            .try_borrow()
            .ok()
            .map(|plugin| plugin.stream(context));
        Some(Box::new(Http {
            root: self.id,
            context,
            stream,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// A request under its context. Without a stream it passes.
pub struct Http<S: Stream> {
    root: u32,
    context: u32,
    stream: Option<S>,
}

impl<S: Stream> Http<S> {
    fn end(&mut self) {
        if let Some(mut stream) = self.stream.take() {
            stream.log(&Envoy::of(self.root, self.context));
        }
    }

    fn run(&mut self, callback: impl FnOnce(&mut S, &Envoy) -> Flow) -> Action {
        let host = Envoy::of(self.root, self.context);
        let flow = self.stream.as_mut().map(|stream| callback(stream, &host));
        match flow {
            Some(Flow::Pause) => Action::Pause,
            Some(Flow::Continue) | None => Action::Continue,
        }
    }
}

impl<S: Stream> Context for Http<S> {}

impl<S: Stream> HttpContext for Http<S> {
    fn on_http_request_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.run(|stream, host| stream.request_headers(host, end_of_stream))
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.run(|stream, host| stream.request_body(host, size, end_of_stream))
    }

    fn on_http_response_headers(&mut self, _: usize, end_of_stream: bool) -> Action {
        self.run(|stream, host| stream.response_headers(host, end_of_stream))
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        self.run(|stream, host| stream.response_body(host, size, end_of_stream))
    }

    fn on_http_response_trailers(&mut self, _: usize) -> Action {
        self.run(|stream, host| stream.response_trailers(host))
    }

    fn on_log(&mut self) {
        self.end();
    }
}

/// A module that does not ask for the `log` callback learns of the end when its context is deleted: one call less for
/// each request. By then the host answers nothing about the request any more; shared data and metrics work as ever.
impl<S: Stream> Drop for Http<S> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The filters of a VM by root context, for the answers to callouts.
pub struct Roots<P>(RefCell<Vec<(u32, Rc<RefCell<P>>)>>);

impl<P> Default for Roots<P> {
    fn default() -> Self {
        Roots(RefCell::default())
    }
}

impl<P: Plugin> Roots<P> {
    /// Makes a filter known. A VM has one per configuration that shares it.
    pub fn add(&self, id: u32, root: &Root<P>) {
        if let Ok(mut roots) = self.0.try_borrow_mut() {
            // A root that is gone leaves its filter behind with nobody else holding it.
            roots.retain(|(_, plugin)| Rc::strong_count(plugin) > 1);
            roots.push((id, Rc::clone(&root.plugin)));
        }
    }

    /// The answer to an HTTP call.
    pub fn call_done(&self, context: u32, token: u32, headers: usize, body_size: usize) {
        self.run(context, |plugin, host| {
            plugin.call_done(host, token, headers, body_size)
        });
    }

    /// The answer to a gRPC call.
    pub fn grpc_done(&self, context: u32, token: u32, status: u32, size: usize) {
        self.run(context, |plugin, host| {
            plugin.grpc_done(host, token, status, size)
        });
    }

    fn run(&self, context: u32, act: impl FnOnce(&mut P, &Envoy)) {
        let found = self.0.try_borrow().ok().and_then(|roots| {
            roots
                .iter()
                .find(|(id, _)| *id == context)
                .map(|(_, plugin)| Rc::clone(plugin))
        });
        if let Some(plugin) = found {
            if let Ok(mut plugin) = plugin.try_borrow_mut() {
                act(&mut plugin, &Envoy::of(context, context));
            }
        }
    }
}
