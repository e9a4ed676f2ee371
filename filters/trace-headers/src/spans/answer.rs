//! What a collector's answer says about the spans that it was sent (OTLP specification, sections "OTLP/HTTP Response" and
//! "OTLP/HTTP Throttling").

use seawall_core::date;
use seawall_core::host::{Buffer, Host, Map};
use seawall_core::time::Span;
use seawall_core::wire::{Field, Message};

/// The longest answer that is looked into.
const LONGEST: usize = 4096;
/// The longest pause that a collector is granted.
const LONGEST_PAUSE: Span = Span::from_secs(300);

/// What becomes of the spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They were taken, but for some.
    Taken {
        /// How many were not.
        rejected: u64,
        /// What the collector says about that.
        message: Vec<u8>,
    },
    /// They are worth another try.
    Again {
        /// The pause that the collector asks for.
        pause: Option<Span>,
        /// Its status, where there was an answer.
        status: Option<Vec<u8>>,
    },
    /// They were refused for good.
    Refused {
        /// The status.
        status: Vec<u8>,
    },
}

/// Reads the answer to an export: the number of its headers, and the size of its body.
pub fn read(host: &dyn Host, headers: usize, size: usize) -> Verdict {
    let field = |name| host.header(Map::CallResponse, name).ok().flatten();
    let status = if headers > 0 { field(":status") } else { None };
    let Some(status) = status else {
        return Verdict::Again {
            pause: None,
            status: None,
        };
    };
    match status.as_slice() {
        [b'2', ..] => {
            let body = if size > 0 {
                host.body(Buffer::CallResponse, 0, LONGEST)
            } else {
                Ok(Vec::new())
            };
            let (rejected, message) = partial_success(&body.unwrap_or_default());
            Verdict::Taken { rejected, message }
        }
        b"429" | b"502" | b"503" | b"504" => Verdict::Again {
            pause: field("retry-after").and_then(|value| pause(host, &value)),
            status: Some(status),
        },
        _ => Verdict::Refused { status },
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn pause(host: &dyn Host, value: &[u8]) -> Option<Span> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let pause = if digits {
        let seconds: u32 = std::str::from_utf8(value).ok()?.parse().ok()?;
        Span::from_secs(u64::from(seconds))
    } else {
        // The older forms, which nobody sends any more, would take as much code as all of this file.
        date::imf_fixdate(value)?.since(host.now().ok()?)
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// `ExportTraceServiceResponse.partial_success = 1`, and in it `rejected_spans = 1` and `error_message = 2`. Whatever else
/// an answer holds, the spans were taken.
fn partial_success(body: &[u8]) -> (u64, Vec<u8>) {
    let (mut rejected, mut message) = (0, Vec::new());
    for field in Message(body).map_while(Result::ok) {
        let (1, Field::Bytes(partial)) = field else {
            continue;
        };
        for field in Message(partial).map_while(Result::ok) {
            match field {
                // A negative number is none that was rejected.
                (1, Field::Varint(number)) => {
                    rejected = u64::try_from(number as i64).unwrap_or_default();
                }
                (2, Field::Bytes(bytes)) => message = bytes.to_vec(),
                _ => {}
            }
        }
    }
    (rejected, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_successes() {
        for (body, rejected, message) in [
            (&b""[..], 0, &b""[..]),
            (b"\x0a\x00", 0, b""),
            (b"\x0a\x02\x08\x03", 3, b""),
            (b"\x0a\x07\x08\xac\x02\x12\x02no", 300, b"no"),
            (b"\x0a\x04\x12\x02no", 0, b"no"),
            // Fields of later versions, of every wire type.
            (b"\x10\x01\x19abcdefgh\x25abcd\x0a\x02\x08\x01", 1, b""),
            (
                b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                0,
                b"",
            ),
            // What is no message, or was cut.
            (b"{\"partialSuccess\":{}}", 0, b""),
            (b"\x0a\x09\x08\x03", 0, b""),
            (b"\x0a", 0, b""),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, b""),
        ] {
            let expected = (rejected, message.to_vec());
            assert_eq!(partial_success(body), expected, "{}", body.escape_ascii());
        }
    }
}
