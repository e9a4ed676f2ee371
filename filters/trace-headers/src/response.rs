//! What a response says about its trace, to a caller who asks for it.

use crate::w3c::traceparent::Traceparent;

seawall_core::words! {
    /// The trace as a Server-Timing metric. Agents in browsers read one or the other name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum ServerTiming {
        /// Not at all.
        #[default]
        Off = "off",
        /// `trace;desc=00-…` (W3C Trace Context Level 3 draft, section "Server Timing Metric").
        Trace = "trace",
        /// `traceparent;desc="00-…"`, as the agents of several vendors read it.
        Traceparent = "traceparent",
    }
}

impl ServerTiming {
    /// One more value of the `server-timing` header.
    pub fn value(self, position: &Traceparent) -> Option<Vec<u8>> {
        let (before, after): (&[u8], &[u8]) = match self {
            ServerTiming::Off => return None,
            ServerTiming::Trace => (b"trace;desc=", b""),
            ServerTiming::Traceparent => (b"traceparent;desc=\"", b"\""),
        };
        Some([before, &position.value(), after].concat())
    }
}
