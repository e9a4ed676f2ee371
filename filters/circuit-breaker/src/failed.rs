//! What a call gets that fails while the breaker is closed, where the configuration asks for it.
//!
//! An answer given here goes to the client directly, past the filters before this one. So where response-cache says that it
//! has a copy for that case, the failed response is left alone and marked, and that filter puts the copy in its place.

use crate::filter::Shared;
use crate::refusal::{answer_of, MARK};
use crate::settings::Settings;
use seawall_core::host::{Host, Map};
use seawall_core::plugin::Flow;
use seawall_core::reply::Reply;
use seawall_core::time::Timestamp;

/// Where response-cache says until when a copy may be used instead of an error: nanoseconds since the epoch, eight bytes,
/// little-endian. A property of the request, which no client can set.
const STANDS_BY: &str = "seawall.response_cache.stands_by";

/// Marks a response as a call that failed, whatever its status.
const FAILED: &str = "seawall.circuit_breaker.failed";

/// The field in which a request carries its id.
const REQUEST_ID: &str = "x-request-id";

/// The longest id that is given back, as in trace-headers.
const MOST_ID: usize = 128;

/// What a call gets if it fails.
#[derive(Debug)]
pub(crate) struct Standby {
    /// Which of the answers of the configuration.
    answer: usize,
    /// The request's id, which is out of reach when its response comes.
    id: Option<Vec<u8>>,
}

impl Standby {
    /// For the request at hand, where the configuration has an answer for it.
    pub(crate) fn of(host: &dyn Host, settings: &Settings) -> Option<Self> {
        let answer = answer_of(host, settings)?;
        let id = host.header(Map::Request, REQUEST_ID).ok().flatten();
        let id = id.filter(|id| id.len() <= MOST_ID);
        Some(Standby { answer, id })
    }
}

impl Shared {
    /// Answers a call that has failed with this status, while its response headers are held; or leaves it to a copy.
    pub(crate) fn answer_failure(
        &self,
        host: &dyn Host,
        settings: &Settings,
        standby: &Standby,
        status: u32,
    ) -> Flow {
        let Some(answer) = settings.fallback.answers.get(standby.answer) else {
            return Flow::Continue;
        };
        // A copy stands in for errors only.
        if status >= 400 && copy_stands_by(host) && host.set_property(FAILED, b"1").is_ok() {
            return Flow::Continue;
        }
        let mut headers: Vec<(&str, &[u8])> = Vec::with_capacity(5);
        if !answer.sets(MARK) {
            headers.push((MARK, b"fallback"));
        }
        for (name, value) in &answer.headers {
            headers.push((name, value.as_bytes()));
        }
        // trace-headers does not see this answer.
        if let Some(id) = standby.id.as_deref().filter(|_| !answer.sets(REQUEST_ID)) {
            headers.push((REQUEST_ID, id));
        }
        let sent = host.reply(&Reply {
            status: answer.status,
            headers: &headers,
            body: answer.body.as_bytes(),
            grpc_status: None,
            details: "seawall.circuit_breaker.fallback",
        });
        if sent.is_err() {
            return Flow::Continue;
        }
        self.metrics.fallback.on_failure.increment(host);
        Flow::Pause
    }
}

/// Whether response-cache has a copy for the request at hand, which it uses where that fails or is refused.
pub(crate) fn copy_stands_by(host: &dyn Host) -> bool {
    let until = host.property(STANDS_BY).ok().flatten();
    let until = until.and_then(|bytes| bytes.try_into().ok());
    let (Some(until), Ok(now)) = (until.map(u64::from_le_bytes), host.now()) else {
        return false;
    };
    now < Timestamp(until)
}
