//! What a call's end says about the dependency. The table of what Envoy shows for each way to fail is in `OUTCOMES.md`.
//!
//! Response flags are Envoy's legacy bit vector (`response.flags`). What Envoy refuses or breaks off on its own account
//! (overflow, limits, injected faults, a missing route), and what another filter answers, says nothing about the upstream.

/// What a call says about the dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Success,
    /// It does not.
    Failure,
    /// It does not answer in time.
    Slow,
    /// It answers, but not whether it works: 4xx, gRPC statuses that blame the request.
    Neutral,
    /// Nothing.
    Ignored,
}

/// The ways to fail that are chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No connection, or its name has no address.
    ConnectFailure,
    /// The upstream, or Envoy on its behalf, reset the request before its response.
    Reset,
    /// The connection was closed before the response.
    Close,
    /// The response broke off after its headers.
    ResetAfterHeaders,
    /// Envoy's timeout, of the route or of the last try.
    Timeout,
    /// There is no healthy host.
    NoHealthyUpstream,
    /// The upstream broke the protocol.
    ProtocolError,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::ConnectFailure,
        Kind::Reset,
        Kind::Close,
        Kind::ResetAfterHeaders,
        Kind::Timeout,
        Kind::NoHealthyUpstream,
        Kind::ProtocolError,
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::ConnectFailure => "connect_failure",
            Kind::Reset => "reset",
            Kind::Close => "close",
            Kind::ResetAfterHeaders => "reset_after_headers",
            Kind::Timeout => "timeout",
            Kind::NoHealthyUpstream => "no_healthy_upstream",
            Kind::ProtocolError => "protocol_error",
        }
    }
}

/// What counts as a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A bit for each HTTP status from 0 to 599.
    pub(crate) statuses: [u64; 10],
    /// A bit for each gRPC status.
    pub(crate) grpc: u32,
    /// The ways to fail that count.
    pub(crate) kinds: Vec<Kind>,
}

impl Default for Rules {
    /// 5xx, every way to fail, and the gRPC statuses by which a service says that it failed, not the request.
    fn default() -> Self {
        let mut rules = Rules {
            statuses: [0; 10],
            grpc: 0,
            kinds: Kind::ALL.to_vec(),
        };
        (500..600).for_each(|status| rules.add_status(status));
        // UNKNOWN, DEADLINE_EXCEEDED, INTERNAL, UNAVAILABLE, DATA_LOSS
        [2, 4, 13, 14, 15]
            .into_iter()
            .for_each(|s| rules.add_grpc(s));
        rules
    }
}

impl Rules {
    /// Counts an HTTP status.
    pub fn add_status(&mut self, status: u32) {
        if let Some(bits) = self.statuses.get_mut((status / 64) as usize) {
            *bits |= 1u64.wrapping_shl(status % 64);
        }
    }

    /// Counts a gRPC status.
    pub fn add_grpc(&mut self, status: u32) {
        self.grpc |= 1u32.checked_shl(status).unwrap_or_default();
    }

    /// Whether a status counts as a failure.
    pub fn is_failure(&self, status: u32) -> bool {
        let bits = self.statuses.get((status / 64) as usize);
        bits.is_some_and(|bits| bits & 1u64.wrapping_shl(status % 64) != 0)
    }

    fn grpc_failed(&self, status: u32) -> bool {
        self.grpc & 1u32.checked_shl(status).unwrap_or_default() != 0
    }
}

/// What is known of a call's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals<'a> {
    /// The HTTP status; 0 when there was none.
    pub status: u32,
    /// Envoy's response flags.
    pub flags: u64,
    /// Envoy's word on where the answer came from, where it was read.
    pub details: Option<&'a [u8]>,
    /// The gRPC status, where there was one.
    pub grpc_status: Option<u32>,
    /// Whether the request was complete, so that it was the upstream's turn.
    pub sent: bool,
    /// Whether the response had begun, and came to its end only now.
    pub begun: bool,
}

impl Signals<'_> {
    /// Whether the time that a stream may take, as a whole or without a sign of life, ran out before the upstream said anything. Of
    /// these Envoy makes no flag that tells the upstream from the client: a request that was complete does.
    fn ran_out(&self) -> bool {
        self.sent
            && !self.begun
            && self
                .details
                .is_some_and(|details| RAN_OUT.contains(&details))
    }
}

/// A verdict, and the word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it says about the dependency.
    pub outcome: Outcome,
    /// Why.
    pub why: &'static str,
}

const NO_HEALTHY_UPSTREAM: u64 = 0x2;
const TIMEOUT: u64 = 0x4 | STREAM_TOO_LONG;

/// The cluster's `max_stream_duration`, which runs from the beginning of the request.
const STREAM_TOO_LONG: u64 = 0x80000;

const RESET: u64 = 0x8 | 0x10;
const CONNECT_FAILURE: u64 = 0x20 | 0x400_0000;
const CLOSE: u64 = 0x40;
const PROTOCOL_ERROR: u64 = 0x80_0000;

/// The client left: by closing its connection, or by resetting its stream.
const CLIENT_LEFT: u64 = 0x4000 | 0x1000_0000;

/// The fault filter has delayed the request. What became of it then is the upstream's.
pub(crate) const DELAY_INJECTED: u64 = 0x200;

/// A limit of the cluster's `circuit_breakers` was reached: of calls, or of retries.
const OVERFLOW: u64 = 0x80;

/// Envoy or another filter is the reason: no route, injected fault, rate limits, external authorisation, the client
/// left, bad or oversized requests, idle stream, cache, missing configuration, duration limits, overload.
const NOT_ITS_FAULT: u64 = CLIENT_LEFT
    | 0x100
    | 0x400
    | 0x800
    | 0x1000
    | 0x2000
    | 0x10000
    | 0x20000
    | 0x40000
    | 0x10_0000
    | 0x20_0000
    | 0x40_0000
    | 0x100_0000
    | 0x200_0000
    | 0x800_0000
    | 0x2000_0000;

/// The details of `max_stream_duration` (also where the client sets it by `grpc-timeout`) and of idle timeouts.
const RAN_OUT: [&[u8]; 2] = [b"max_duration_timeout", b"stream_idle_timeout"];

/// The details of an answer that came from the upstream.
pub const VIA_UPSTREAM: &[u8] = b"via_upstream";

/// The details of an answer that Envoy did not pass on: a redirect that it followed itself, by another request.
pub(crate) const REDIRECTED: &[u8] = b"internal_redirect";

fn is(outcome: Outcome, why: &'static str) -> Verdict {
    Verdict { outcome, why }
}

/// The way to fail that the flags name, if they do. `begun` says whether response headers came before.
fn kind(flags: u64, begun: bool) -> Option<Kind> {
    let has = |bits: u64| flags & bits != 0;
    if has(TIMEOUT) {
        Some(Kind::Timeout)
    } else if has(NO_HEALTHY_UPSTREAM) {
        Some(Kind::NoHealthyUpstream)
    } else if begun && has(RESET | CLOSE | CONNECT_FAILURE | PROTOCOL_ERROR) {
        Some(Kind::ResetAfterHeaders)
    } else if has(CONNECT_FAILURE) {
        Some(Kind::ConnectFailure)
    } else if has(PROTOCOL_ERROR) {
        Some(Kind::ProtocolError)
    } else if has(RESET) {
        Some(Kind::Reset)
    } else if has(CLOSE) {
        Some(Kind::Close)
    } else {
        None
    }
}

/// Judges a call by what is known of its end.
pub fn classify(rules: &Rules, signals: &Signals<'_>) -> Verdict {
    use Outcome::{Failure, Ignored, Neutral, Success};
    if signals.flags & CLIENT_LEFT != 0 {
        return is(Ignored, "client_left");
    }
    let via_upstream = matches!(signals.details, Some(VIA_UPSTREAM | REDIRECTED));
    // An answer of the upstream is one, whatever Envoy could not do in addition, such as one more try.
    if via_upstream && rules.is_failure(signals.status) {
        return is(Failure, "status");
    }
    let counted = |kind: Kind| {
        let counts = rules.kinds.contains(&kind);
        is(if counts { Failure } else { Ignored }, kind.word())
    };
    if signals.ran_out() {
        return counted(Kind::Timeout);
    }
    // Overflow beside a way to fail, or an answer, is that of one more try: the last one did fail, or was answered.
    let overflow =
        signals.flags & OVERFLOW != 0 && !via_upstream && kind(signals.flags, false).is_none();
    // The time that a body takes is the client's as well, who may read as slowly as it likes; and a stream that the client keeps
    // open reaches its limit by that. The route's timeout runs from the end of the request, or an upgrade's beginning.
    let too_long = signals.begun && signals.flags & TIMEOUT != 0
        || !signals.sent && signals.flags & STREAM_TOO_LONG != 0;
    if signals.flags & NOT_ITS_FAULT != 0 || overflow || too_long {
        return is(Ignored, "not_its_fault");
    }
    if let Some(kind) = kind(signals.flags, signals.begun) {
        return counted(kind);
    }
    // Without a flag, an answer that is not the upstream's is another filter's.
    if signals.details.is_some() && !via_upstream {
        return is(Ignored, "local_reply");
    }
    match signals.grpc_status {
        Some(status) if rules.grpc_failed(status) => return is(Failure, "grpc_status"),
        Some(0) => return is(Success, "grpc_status"),
        Some(_) => return is(Neutral, "grpc_status"),
        None => {}
    }
    match signals.status {
        0 => is(Ignored, "no_answer"),
        status if rules.is_failure(status) => is(Failure, "status"),
        1..400 => is(Success, "status"),
        _ => is(Neutral, "status"),
    }
}

#[cfg(test)]
mod tests;
