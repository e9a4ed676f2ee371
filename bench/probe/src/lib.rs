//! What host calls cost, in two ways: without a configuration, a request makes each kind in a loop and logs what one takes;
//! configured with a list of calls, every request makes those and nothing else.

mod measure;
mod replay;

use replay::{Answer, Call};
use seawall_core::config::{self, ConfigErrors};
use seawall_core::host::{Host, MetricId, MetricKind};
use seawall_core::plugin::{Flow, Plugin, Stream};
use std::rc::Rc;

/// The calls to make, and a counter for those that need one.
#[derive(Debug, Default)]
struct Calls {
    list: Vec<Call>,
    answer: Answer,
    counter: Option<MetricId>,
}

/// The probe.
#[derive(Default)]
pub struct Probe(Rc<Calls>);

impl Plugin for Probe {
    type Stream = Once;

    fn configure(&mut self, host: &dyn Host, configuration: &[u8]) -> Result<(), ConfigErrors> {
        let (read, errors) = config::read::<Configuration>(&config::parse(configuration)?);
        let Configuration {
            calls: list,
            answer,
        } = read.unwrap_or_default();
        if !errors.is_empty() {
            return Err(errors);
        }
        if let Some(name) = replay::unknown(&list) {
            let problem = format!("cannot make {name}");
            return Err(ConfigErrors::one("calls", problem));
        }
        let counter = host.metric_define(MetricKind::Counter, "probe.calls").ok();
        self.0 = Rc::new(Calls {
            list,
            answer,
            counter,
        });
        Ok(())
    }

    fn stream(&self, _: u32) -> Once {
        Once(Rc::clone(&self.0))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    #[serde(default)]
    calls: Vec<Call>,
    #[serde(default)]
    answer: Answer,
}

/// A request.
pub struct Once(Rc<Calls>);

impl Once {
    fn make(&self, host: &dyn Host, callback: &str) -> Flow {
        let Calls {
            list,
            answer,
            counter,
        } = &*self.0;
        replay::make(host, list, answer, callback, *counter)
    }
}

impl Stream for Once {
    fn request_headers(&mut self, host: &dyn Host, _: bool) -> Flow {
        if self.0.list.is_empty() {
            measure::all(host);
        }
        self.make(host, "proxy_on_request_headers")
    }

    fn response_headers(&mut self, host: &dyn Host, _: bool) -> Flow {
        self.make(host, "proxy_on_response_headers")
    }
}

seawall_host::plugin!(Probe);
