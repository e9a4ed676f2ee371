//! From the host's callbacks to a filter's: which root and which request a context id stands for.
//!
//! In place of the SDK's dispatcher, which costs a microsecond per request more and panics where the host names a
//! context or a call that it does not know. Here nothing happens then, and the request passes.

use crate::abi;
use crate::envoy::{Envoy, PLUGIN_CONFIGURATION};
use seawall_core::contexts::ById;
use seawall_core::host::{Host, Level};
use seawall_core::plugin::{Flow, Plugin, Stream};
use std::cell::RefCell;
use std::rc::Rc;

/// A request: its root context, and the filter's part of it.
#[derive(Debug)]
struct Request<S> {
    root: u32,
    stream: RefCell<S>,
}

/// All contexts of one VM. Callbacks may come while another one waits for a host call: nothing is borrowed meanwhile but
/// the stream or filter that runs, and a second callback for the same one finds it taken and changes nothing.
#[derive(Debug)]
pub struct Contexts<P: Plugin> {
    roots: RefCell<ById<Rc<RefCell<P>>>>,
    requests: RefCell<ById<Rc<Request<P::Stream>>>>,
}

const CONTINUE: u32 = 0;
const PAUSE: u32 = 1;

impl<P: Plugin> Contexts<P> {
    /// No contexts yet.
    #[allow(
        clippy::new_without_default,
        reason = "made once, by the macro, at compile time"
    )]
    pub const fn new() -> Self {
        Contexts {
            roots: RefCell::new(ById::new()),
            requests: RefCell::new(ById::new()),
        }
    }

    /// A new context: a root, whose own root is zero, or a request under a root.
    pub fn create(&self, context: u32, root: u32) {
        if root == 0 {
            if let Ok(mut roots) = self.roots.try_borrow_mut() {
                if roots.get(context).is_none() {
                    roots.insert(context, Rc::default());
                }
            }
            return;
        }
        let Some(plugin) = self.root(root) else {
            return;
        };
        let Ok(stream) = plugin.try_borrow().map(|plugin| plugin.stream(context)) else {
            return;
        };
        if let Ok(mut requests) = self.requests.try_borrow_mut() {
            let stream = RefCell::new(stream);
            requests.insert(context, Rc::new(Request { root, stream }));
        }
    }

    /// A context is over.
    pub fn delete(&self, context: u32) {
        let request = match self.requests.try_borrow_mut() {
            Ok(mut requests) => requests.remove(context),
            Err(_) => None,
        };
        match request {
            // A module that does not ask for the `log` callback learns of the end here: one call less for each request. By
            // now the host answers nothing about the request any more; shared data and metrics work as ever.
            Some(request) => log(&request, context),
            None => {
                self.on_root(context, |plugin, host| plugin.ended(host));
                if let Ok(mut roots) = self.roots.try_borrow_mut() {
                    roots.remove(context);
                }
            }
        }
    }

    /// Whether a root takes its configuration; every error is logged.
    pub fn configure(&self, root: u32, size: usize) -> bool {
        let host = Envoy::of(root, root);
        let configuration = match abi::buffer(PLUGIN_CONFIGURATION, 0, size) {
            Ok(bytes) => bytes,
            Err(failure) => {
                let text = format!("cannot read the configuration: {failure:?}");
                host.log(Level::Error, &text);
                return false;
            }
        };
        let mut taken = false;
        self.on_root(root, |plugin, host| {
            match plugin.configure(host, &configuration) {
                Ok(()) => taken = true,
                Err(errors) => {
                    for error in errors {
                        let text = format!("configuration refused: {error}");
                        host.log(Level::Error, &text);
                    }
                }
            }
        });
        taken
    }

    /// A callback of a root.
    pub fn on_root(&self, root: u32, callback: impl FnOnce(&mut P, &Envoy)) {
        if let Some(plugin) = self.root(root) {
            if let Ok(mut plugin) = plugin.try_borrow_mut() {
                callback(&mut plugin, &Envoy::of(root, root));
            }
        }
    }

    /// A callback of a request, and what the host shall do with it.
    pub fn on_request(
        &self,
        context: u32,
        callback: impl FnOnce(&mut P::Stream, &Envoy) -> Flow,
    ) -> u32 {
        let Some(request) = self.request(context) else {
            return CONTINUE;
        };
        let Ok(mut stream) = request.stream.try_borrow_mut() else {
            return CONTINUE;
        };
        match callback(&mut stream, &Envoy::of(request.root, context)) {
            Flow::Continue => CONTINUE,
            Flow::Pause => PAUSE,
        }
    }

    /// A request is over; nothing is left to do for it when its context goes.
    pub fn log(&self, context: u32) {
        let request = match self.requests.try_borrow_mut() {
            Ok(mut requests) => requests.remove(context),
            Err(_) => None,
        };
        if let Some(request) = request {
            log(&request, context);
        }
    }

    fn root(&self, root: u32) -> Option<Rc<RefCell<P>>> {
        self.roots.try_borrow().ok()?.get(root).map(Rc::clone)
    }

    fn request(&self, context: u32) -> Option<Rc<Request<P::Stream>>> {
        let requests = self.requests.try_borrow().ok()?;
        requests.get(context).map(Rc::clone)
    }
}

fn log<S: Stream>(request: &Request<S>, context: u32) {
    if let Ok(mut stream) = request.stream.try_borrow_mut() {
        stream.log(&Envoy::of(request.root, context));
    }
}
