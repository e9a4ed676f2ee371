//! From requests and responses to decisions and back: the only modules that talk to the host on behalf of a request.

pub mod answer;
pub mod background;
pub mod exchange;
pub mod filling;
pub mod invalidate;
pub mod lookup;
pub mod origin;
pub mod post;
pub mod purge;
pub mod replace;
pub mod request;
pub mod revalidate;
pub mod standby;
pub mod status;
pub mod store;
mod waiting;
pub mod worker;

use crate::config::Settings;
use crate::metrics::Metrics;
use crate::store::Changes;
use seawall_core::host::Host;
use seawall_core::log::Throttle;
use seawall_core::route::Layers;
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use worker::Worker;

/// The filter of one VM.
#[derive(Debug)]
pub struct Core {
    /// Settings per route.
    pub layers: Layers<Settings>,
    /// What it counts.
    pub metrics: Metrics,
    changes: Changes,
    /// Made with the first request: configurations are tried on VMs that never see one.
    worker: RefCell<Option<Rc<Worker>>>,
    throttle: Throttle,
    reported: Cell<u64>,
}

/// What every step needs.
#[derive(Clone, Copy)]
pub struct Cx<'a> {
    /// The host, acting on the request at hand.
    pub host: &'a dyn Host,
    /// The filter.
    pub core: &'a Core,
    /// Its state in this worker.
    pub worker: &'a Rc<Worker>,
    /// The time.
    pub now: Timestamp,
}

impl Core {
    /// The filter with a configuration.
    pub fn new(layers: Layers<Settings>, metrics: Metrics, changes: Changes) -> Self {
        Core {
            layers,
            metrics,
            changes,
            worker: RefCell::default(),
            throttle: Throttle::default(),
            reported: Cell::default(),
        }
    }

    /// The worker's state, made where there is none; `None` when the host does not let us.
    pub fn worker(&self, host: &dyn Host) -> Option<Rc<Worker>> {
        let present = self.present_worker();
        if present.is_some() {
            return present;
        }
        match Worker::new(host, self.layers.plugin().layout, self.changes) {
            Ok(worker) => {
                let worker = Rc::new(worker);
                if let Ok(mut place) = self.worker.try_borrow_mut() {
                    *place = Some(Rc::clone(&worker));
                }
                Some(worker)
            }
            Err(failure) => {
                self.failed(
                    host,
                    &format!("shared data cannot be used ({failure:?}); nothing is cached"),
                );
                None
            }
        }
    }

    /// The worker's state, if there is one.
    pub fn present_worker(&self) -> Option<Rc<Worker>> {
        self.worker.try_borrow().ok()?.clone()
    }

    /// Counts a failure of the host, and logs it once in a while.
    pub fn failed(&self, host: &dyn Host, what: &str) {
        self.metrics.errors.increment(host);
        self.throttle
            .log(host, seawall_core::host::Level::Warn, || {
                format!("response-cache: {what}")
            });
    }

    /// Brings the metrics of the table up to date.
    pub fn report(&self, host: &dyn Host, worker: &Worker) {
        self.metrics.evicted.add(host, worker.table.take_evicted());
        if let Ok(bytes) = worker.table.budget().used(host) {
            if self.reported.replace(bytes) != bytes {
                self.metrics.bytes.set(host, bytes);
            }
        }
    }
}
