//! Settings per route: the plugin configuration, overridden by virtual-host metadata, overridden by route metadata, field
//! by field.
//!
//! Envoy refuses per-route configuration for wasm filters, but shows them the metadata of the route and of its virtual
//! host. What was decoded is kept by the bytes it was decoded from, those under the filter's own name: a route update is seen
//! with the next request, an unnamed route cannot be mistaken for another, and routes that say the same, whatever a mesh says
//! besides, have it decoded once.

mod kept;
mod metadata;

pub use metadata::namespace;

use crate::bytes::same;
use crate::config::{load, merge, parse, ConfigErrors, Settings};
use crate::host::{Host, Level};
use crate::log::{printable, Throttle};
use crate::metrics::Counter;
use kept::Kept;
use metadata::{section, settings};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Of so many bad settings each has a line in the log; beyond, it is one a minute.
const MOST_REPORTED: usize = 1024;

/// Settings take about so many bytes for each that they are written in, measured in modules.
const SWELLING: usize = 8;

const ROUTE: &str = "xds\0route_metadata";
const VIRTUAL_HOST: &str = "xds\0virtual_host_metadata";

/// The settings of a filter on every route.
#[derive(Debug)]
pub struct Layers<S> {
    json: Value,
    /// The bytes that it was written in.
    size: usize,
    plugin: Rc<S>,
    decoded: RefCell<Decoded<S>>,
    errors: Counter,
    /// Lines that were written, each about a route of its own.
    reported: Cell<usize>,
    throttle: Throttle,
}

#[derive(Debug)]
struct Decoded<S> {
    /// What the last request needed: most of the time the next one needs the same.
    last: Option<(Key, Rc<S>)>,
    all: Kept,
}

/// The metadata of a route and of its virtual host, as Envoy serialised them.
#[derive(Debug)]
struct Key {
    route: Vec<u8>,
    virtual_host: Vec<u8>,
}

impl Key {
    /// What the two levels say about a filter.
    fn said(&self, namespace: &str) -> Said<'_> {
        [&self.virtual_host, &self.route].map(|level| section(level, namespace))
    }
}

/// What the metadata of a virtual host and of a route say about a filter; `None` for nothing.
type Said<'m> = [Option<&'m [u8]>; 2];

impl<S: Settings> Layers<S> {
    /// Reads the plugin configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn new(configuration: &[u8]) -> Result<Self, ConfigErrors> {
        let json = parse(configuration)?;
        let plugin = Rc::new(load::<S>(&json)?);
        Ok(Layers {
            json,
            size: configuration.len(),
            plugin,
            decoded: RefCell::new(Decoded {
                last: None,
                all: Kept::default(),
            }),
            errors: Counter::default(),
            reported: Cell::new(0),
            throttle: Throttle::default(),
        })
    }

    /// Counts bad route settings in this metric.
    pub fn count_errors_in(&mut self, errors: Counter) {
        self.errors = errors;
    }

    /// The settings of the plugin configuration.
    pub fn plugin(&self) -> &Rc<S> {
        &self.plugin
    }

    /// The settings of the route of the request at hand: two property reads, and a decoding where the route is new.
    pub fn of_request(&self, host: &dyn Host) -> Rc<S> {
        let read = |path: &str| host.property(path).ok().flatten().unwrap_or_default();
        let key = Key {
            route: read(ROUTE),
            virtual_host: read(VIRTUAL_HOST),
        };
        if key.route.is_empty() && key.virtual_host.is_empty() {
            return Rc::clone(&self.plugin);
        }
        let Ok(mut decoded) = self.decoded.try_borrow_mut() else {
            return self.decode(host, &key.said(S::NAMESPACE));
        };
        if let Some((last, settings)) = &decoded.last {
            if same(&last.route, &key.route) && same(&last.virtual_host, &key.virtual_host) {
                return Rc::clone(settings);
            }
        }
        self.another(host, &mut decoded, key)
    }

    /// The settings of a route that is not that of the request before.
    #[inline(never)]
    fn another(&self, host: &dyn Host, decoded: &mut Decoded<S>, key: Key) -> Rc<S> {
        let said = key.said(S::NAMESPACE);
        let settings = if said == [None, None] {
            Rc::clone(&self.plugin)
        } else {
            let known = decoded.all.get(&said);
            match known.and_then(|known| known.downcast::<S>().ok()) {
                Some(settings) => settings,
                None => {
                    let settings = self.decode(host, &said);
                    let levels = said.iter().flatten();
                    let bytes =
                        levels.fold(self.size, |sum, level| sum.saturating_add(level.len()));
                    let weight = bytes
                        .saturating_mul(SWELLING)
                        .saturating_add(size_of::<S>());
                    let kept = Rc::<S>::clone(&settings);
                    decoded.all.put(&said, weight, kept);
                    settings
                }
            }
        };
        decoded.last = Some((key, Rc::clone(&settings)));
        settings
    }

    /// What a virtual host and a route make of the plugin configuration.
    // Once for a route with settings: out of the code that every request runs.
    #[cold]
    #[inline(never)]
    fn decode(&self, host: &dyn Host, said: &Said<'_>) -> Rc<S> {
        let mut laid: Option<(Value, S)> = None;
        for (level, said) in ["virtual host", "route"].into_iter().zip(said) {
            let Some(section) = said else {
                continue;
            };
            let below = laid.as_ref().map_or(&self.json, |(json, _)| json);
            match settings(section).and_then(|over| lay::<S>(below, &over)) {
                Ok(valid) => laid = Some(valid),
                Err(errors) => self.report(host, level, &errors),
            }
        }
        match laid {
            Some((_, settings)) => Rc::new(settings),
            None => Rc::clone(&self.plugin),
        }
    }

    fn report(&self, host: &dyn Host, level: &str, errors: &ConfigErrors) {
        self.errors.increment(host);
        let text = || {
            let name = |property| {
                let name = host.property(property).ok().flatten();
                printable(&name.unwrap_or_default(), 128)
            };
            let around = name("xds\0virtual_host_name");
            // Many routes have no name: the virtual host says then where to look.
            let of = match level {
                "route" => format!(" \"{}\" of virtual host", name("xds\0route_name")),
                _ => String::new(),
            };
            let namespace = S::NAMESPACE;
            format!("{level}{of} \"{around}\": its metadata {namespace} is ignored: {errors}")
        };
        // Decoded once: a line for each, as long as it cannot become a flood. With more than can be kept, each request may be one
        // that is decoded again.
        let reported = self.reported.get();
        if reported < MOST_REPORTED {
            self.reported.set(reported.saturating_add(1));
            host.log(Level::Error, &text());
        } else {
            self.throttle.log(host, Level::Error, text);
        }
    }
}

/// Lays the settings of one level, a virtual host's or a route's, over what is below it: the two merged, and the settings
/// that they make.
///
/// # Errors
/// Everything that is wrong with the level, fields that only the plugin configuration may set included.
pub fn lay<S: Settings>(below: &Value, level: &Value) -> Result<(Value, S), ConfigErrors> {
    let mut refused = ConfigErrors::default();
    for field in S::PLUGIN_ONLY {
        if level.get(field).is_some() {
            refused.add(*field, "can be set in the plugin configuration only");
        }
    }
    let merged = merge(below, level);
    match load::<S>(&merged) {
        Ok(settings) => refused.or((merged, settings)),
        Err(errors) => {
            for error in errors {
                refused.add(error.path, error.problem);
            }
            Err(refused)
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
