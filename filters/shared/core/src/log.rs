//! Log lines that cannot flood: one per subject and minute, and safe to read whatever a client sent.

use crate::host::{Host, Level, Map};
use crate::time::{Span, Timestamp};
use std::cell::Cell;

/// How long a subject stays silent after a line.
pub const QUIET: Span = Span::from_secs(60);

/// One subject that is logged at most once in [`QUIET`].
#[derive(Debug, Default)]
pub struct Throttle {
    last: Cell<Option<Timestamp>>,
    withheld: Cell<u64>,
}

impl Throttle {
    /// Writes the line, or counts it as withheld. The text is made only when it is written.
    pub fn log(&self, host: &dyn Host, level: Level, text: impl FnOnce() -> String) {
        let now = host.now().unwrap_or_default();
        // A clock that stepped back does not silence the subject.
        let quiet = self
            .last
            .get()
            .is_some_and(|last| now >= last && now.since(last) < QUIET);
        if quiet {
            self.withheld.set(self.withheld.get().saturating_add(1));
            return;
        }
        self.last.set(Some(now));
        let identity = identity(host);
        match self.withheld.replace(0) {
            0 => host.log(level, &format!("{}{identity}", text())),
            withheld => host.log(
                level,
                &format!("{} ({withheld} more withheld){identity}", text()),
            ),
        }
    }
}

/// What leads from a line to the request that it is about: ` request_id=… trace_id=…`, as far as the request at hand has
/// them; nothing outside of a request. Up to four host calls, so for lines that are rare.
///
/// They are what trace-headers leaves for the access log, where it is told to (`log.properties`), else those of `x-request-id` and
/// `traceparent`, which the host has only until the request's headers go on.
pub fn identity(host: &dyn Host) -> String {
    let header = |name| host.header(Map::Request, name).ok().flatten();
    let left = |name| host.property(name).ok().flatten();
    // First, for the fields may be a client's own where trace-headers reads and writes others.
    let trace = left("seawall.trace_headers.trace_id").or_else(|| {
        // version "-" trace-id "-" parent-id "-" trace-flags (W3C Trace Context, section 3.2.2)
        header("traceparent")?.get(3..35).map(<[u8]>::to_vec)
    });
    let request = left("seawall.trace_headers.request_id").or_else(|| header("x-request-id"));
    let mut text = String::new();
    for (name, id, most) in [(" request_id=", request, 128), (" trace_id=", trace, 32)] {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            text.push_str(name);
            text.push_str(&printable(&id, most));
        }
    }
    text
}

/// Bytes from outside as text for a log line: at most `most` bytes of it, everything that is not plain ASCII escaped.
pub fn printable(bytes: &[u8], most: usize) -> String {
    let shown = bytes.get(..most).unwrap_or(bytes);
    let mut text = shown.escape_ascii().to_string();
    if shown.len() < bytes.len() {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[cfg(feature = "testing")]
    #[test]
    fn a_subject_has_one_line_a_minute_whatever_the_clock_does() {
        use super::*;
        use crate::testing::{FakeHost, World};
        let world = World::new();
        let (host, throttle) = (FakeHost::new(&world, 1), Throttle::default());
        let log = || {
            throttle.log(&host, Level::Warn, || "x".to_owned());
            world.log().len()
        };
        assert_eq!((log(), log()), (1, 1));
        world.advance(Span(QUIET.as_nanos() - 1));
        assert_eq!(log(), 1);
        world.advance(Span(1));
        assert_eq!(log(), 2);
        assert!(
            world.log()[1].ends_with("x (2 more withheld)"),
            "{:?}",
            world.log()
        );
        // The clock was set back.
        world.set_clock(Timestamp(world.now().as_nanos() - 1));
        assert_eq!(log(), 3);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn the_identity_that_was_settled_counts_before_fields_that_a_client_may_have_sent() {
        use super::*;
        use crate::testing::{FakeHost, World};
        let host = FakeHost::new(&World::new(), 1);
        host.open(1);
        assert_eq!(identity(&host), "");
        let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        host.put_request(vec![
            field("x-request-id", "sent"),
            field("traceparent", parent),
        ]);
        let sent = " request_id=sent trace_id=0af7651916cd43dd8448eb211c80319c";
        assert_eq!(identity(&host), sent);
        for (name, value) in [("request_id", "own"), ("trace_id", "0123")] {
            let path = format!("seawall.trace_headers.{name}");
            host.put_property(&path, value.as_bytes());
        }
        assert_eq!(identity(&host), " request_id=own trace_id=0123");
    }

    #[test]
    fn hostile_bytes_stay_on_one_line() {
        assert_eq!(printable(b"a\r\nb\"\xff", 10), "a\\r\\nb\\\"\\xff");
        assert_eq!(printable(b"abcdef", 3), "abc...");
    }
}
