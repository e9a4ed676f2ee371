//! Settings per route: the plugin configuration, overridden by virtual-host metadata, overridden by route metadata, field
//! by field.
//!
//! Envoy refuses per-route configuration for wasm filters, but shows them the metadata of the route and of its virtual
//! host. What was decoded is kept by the bytes it was decoded from: a route update is seen with the next request, and an
//! unnamed route cannot be mistaken for another.

mod metadata;

pub use metadata::namespace;

use crate::bytes::same;
use crate::config::{load, merge, parse, ConfigErrors, Settings};
use crate::host::{Host, Level};
use crate::log::{printable, Throttle};
use crate::metrics::Counter;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Distinct combinations of route and virtual-host metadata that are kept; beyond it the memory starts anew.
const MOST_KEPT: usize = 1024;

const ROUTE: [&str; 2] = ["xds", "route_metadata"];
const VIRTUAL_HOST: [&str; 2] = ["xds", "virtual_host_metadata"];

/// The settings of a filter on every route.
#[derive(Debug)]
pub struct Layers<S> {
    json: Value,
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
    /// By key. A list, for a tree would be compiled once more for every filter.
    all: Vec<(Key, Rc<S>)>,
}

/// The metadata of a route and of its virtual host, as Envoy serialised them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    route: Vec<u8>,
    virtual_host: Vec<u8>,
}

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
            plugin,
            decoded: RefCell::new(Decoded {
                last: None,
                all: Vec::new(),
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
        let read = |path: &[&str]| host.property(path).ok().flatten().unwrap_or_default();
        let key = Key {
            route: read(&ROUTE),
            virtual_host: read(&VIRTUAL_HOST),
        };
        if key.route.is_empty() && key.virtual_host.is_empty() {
            return Rc::clone(&self.plugin);
        }
        let Ok(mut decoded) = self.decoded.try_borrow_mut() else {
            let settings = self.decode(host, &key);
            return settings.unwrap_or_else(|| Rc::clone(&self.plugin));
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
        let place = decoded.all.binary_search_by(|(known, _)| known.cmp(&key));
        let known = place.ok().and_then(|at| decoded.all.get(at));
        let settings = match known {
            Some((_, settings)) => Rc::clone(settings),
            None => match self.decode(host, &key) {
                Some(settings) => {
                    if decoded.all.len() >= MOST_KEPT {
                        decoded.all.clear();
                    }
                    let place = place.unwrap_or_else(|place| place).min(decoded.all.len());
                    let kept = (key.clone(), Rc::clone(&settings));
                    decoded.all.insert(place, kept);
                    settings
                }
                // Found out as quickly as it would be found among those that are kept, whose places it does not take: a mesh
                // has metadata of its own on every route.
                None => Rc::clone(&self.plugin),
            },
        };
        decoded.last = Some((key, Rc::clone(&settings)));
        settings
    }

    /// What the metadata of a route and its virtual host make of the plugin configuration; `None` where they say nothing about
    /// this filter.
    // Once for a route with settings: out of the code that every request runs.
    #[cold]
    #[inline(never)]
    fn decode(&self, host: &dyn Host, key: &Key) -> Option<Rc<S>> {
        let mut laid: Option<(Value, Rc<S>)> = None;
        let mut says = false;
        for (level, bytes) in [("virtual host", &key.virtual_host), ("route", &key.route)] {
            let below = laid.as_ref().map_or(&self.json, |(json, _)| json);
            match self.lay(below, bytes) {
                Ok(None) => {}
                Ok(Some((merged, valid))) => laid = Some((merged, Rc::new(valid))),
                Err(errors) => {
                    says = true;
                    self.report(host, level, &errors);
                }
            }
        }
        let plugin = || says.then(|| Rc::clone(&self.plugin));
        laid.map(|(_, settings)| settings).or_else(plugin)
    }

    /// One level over what is below; `None` when the level says nothing about this filter.
    fn lay(&self, below: &Value, bytes: &[u8]) -> Result<Option<(Value, S)>, ConfigErrors> {
        let Some(level) = namespace(bytes, S::NAMESPACE)? else {
            return Ok(None);
        };
        lay::<S>(below, &level).map(Some)
    }

    fn report(&self, host: &dyn Host, level: &str, errors: &ConfigErrors) {
        self.errors.increment(host);
        let property = if level == "route" {
            "route_name"
        } else {
            "virtual_host_name"
        };
        let name = host
            .property(&["xds", property])
            .ok()
            .flatten()
            .unwrap_or_default();
        let text = || {
            format!(
                "{level} \"{}\": its metadata {} is ignored: {errors}",
                printable(&name, 128),
                S::NAMESPACE
            )
        };
        // Decoded once per route: a line for each, as long as it cannot become a flood. With more routes than are kept, each
        // request may be one that is decoded again.
        let reported = self.reported.get();
        if reported < MOST_KEPT {
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
