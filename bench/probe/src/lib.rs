//! What host calls cost: a request makes each kind in a loop and logs what one takes.

mod measure;

use seawall_core::config::ConfigErrors;
use seawall_core::host::Host;
use seawall_core::plugin::{Flow, Plugin, Stream};

/// The probe.
#[derive(Default)]
pub struct Probe;

impl Plugin for Probe {
    type Stream = Once;

    fn configure(&mut self, _: &dyn Host, _: &[u8]) -> Result<(), ConfigErrors> {
        Ok(())
    }

    fn stream(&self, _: u32) -> Once {
        Once
    }
}

/// A request.
pub struct Once;

impl Stream for Once {
    fn request_headers(&mut self, host: &dyn Host, _: bool) -> Flow {
        measure::all(host);
        Flow::Continue
    }
}

seawall_host::plugin!(Probe);
