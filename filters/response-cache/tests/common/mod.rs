//! A cache on fake hosts: several workers, an origin that a test plays itself.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "test code"
)]

use seawall_core::testing::{Ended, Exchange, SentReply, Vm, World};
use seawall_core::time::Span;
use seawall_response_cache::{CacheStream, ResponseCache};
use serde_json::{json, Value};

pub const UPSTREAM: [(&str, &[u8]); 1] = [("response.code_details", b"via_upstream")];

/// No early refresh: what happens is what the clock says.
pub fn still() -> Value {
    json!({"refresh": {"algorithm": "off"}})
}

/// A cache of one worker that refreshes nothing early.
pub fn cache() -> Cache {
    Cache::alone(&still())
}

/// One worker's cache.
pub struct Cache {
    pub vm: Vm<ResponseCache>,
}

/// What a client got in the end.
#[derive(Debug, Clone)]
pub struct Got {
    pub status: u32,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// What the origin was sent, where it was asked.
    pub forwarded: Option<Vec<(String, Vec<u8>)>>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(&found.1).ok()
    }

    /// The `Cache-Status` of this cache.
    pub fn status_line(&self) -> &str {
        self.header("cache-status").unwrap_or("")
    }

    pub fn is_hit(&self) -> bool {
        self.forwarded.is_none()
    }

    pub fn sent(&self, name: &str) -> Option<&str> {
        let fields = self.forwarded.as_ref()?;
        let found = fields.iter().find(|(field, _)| field == name)?;
        std::str::from_utf8(&found.1).ok()
    }
}

impl From<SentReply> for Got {
    fn from(reply: SentReply) -> Self {
        Got {
            status: reply.status,
            headers: reply.headers,
            body: reply.body,
            forwarded: None,
        }
    }
}

/// A response as the origin gives it.
#[derive(Debug, Clone, Default)]
pub struct Origin<'a> {
    pub status: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a [u8],
}

pub fn ok<'a>(cache_control: &'a str, body: &'a str) -> Origin<'a> {
    Origin {
        status: "200",
        headers: vec![("cache-control", cache_control)],
        body: body.as_bytes(),
    }
}

impl<'a> Origin<'a> {
    pub fn status(status: &'a str) -> Self {
        Origin {
            status,
            ..Origin::default()
        }
    }

    pub fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }
}

pub fn request<'a>(
    method: &'a str,
    path: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        (":method", method),
        (":scheme", "https"),
        (":authority", "example.com"),
        (":path", path),
    ];
    headers.extend_from_slice(more);
    headers
}

impl Cache {
    pub fn new(world: &World, number: u32, configuration: &Value) -> Self {
        Cache {
            vm: Vm::start(world, number, configuration),
        }
    }

    pub fn alone(configuration: &Value) -> Self {
        Cache::new(&World::new(), 1, configuration)
    }

    pub fn advance(&self, millis: u64) {
        self.vm.host.world().advance(Span::from_millis(millis));
    }

    /// A metric, after the timer has brought the counted hits in.
    pub fn metric(&mut self, name: &str) -> i64 {
        self.vm.tick();
        self.vm
            .host
            .world()
            .metric(&format!("seawall.response_cache.{name}"))
    }

    /// Starts a request.
    pub fn start(&mut self, headers: &[(&str, &str)]) -> (Exchange<CacheStream>, Ended) {
        let mut exchange = self.vm.open(&UPSTREAM);
        let ended = self.vm.request(&mut exchange, headers);
        (exchange, ended)
    }

    /// The origin's answer to a request that was forwarded; what the client gets.
    pub fn answer(&mut self, mut exchange: Exchange<CacheStream>, origin: &Origin<'_>) -> Got {
        let got = self.respond(&mut exchange, origin);
        self.vm.finish(exchange);
        got
    }

    pub fn respond(&mut self, exchange: &mut Exchange<CacheStream>, origin: &Origin<'_>) -> Got {
        let mut headers = vec![(":status", origin.status)];
        headers.extend_from_slice(&origin.headers);
        let bodiless = origin.body.is_empty();
        let mut passed = self.vm.response(exchange, &headers, bodiless);
        let mut body = Vec::new();
        if let Some(reply) = self.vm.reply(exchange) {
            return reply.into();
        }
        if !bodiless {
            // In two parts, as bodies come.
            let (first, second) = origin.body.split_at(origin.body.len() / 2);
            for (part, end) in [(first, false), (second, true)] {
                body.extend_from_slice(&self.part(exchange, part, end));
            }
        }
        let at = passed
            .iter()
            .position(|(name, _)| name == ":status")
            .unwrap();
        let (_, status) = passed.remove(at);
        Got {
            status: std::str::from_utf8(&status).unwrap().parse().unwrap(),
            headers: passed,
            body,
            forwarded: None,
        }
    }

    /// A part of a body, as it comes out of the filter.
    pub fn part(
        &mut self,
        exchange: &mut Exchange<CacheStream>,
        bytes: &[u8],
        end: bool,
    ) -> Vec<u8> {
        use seawall_core::plugin::Stream;
        self.vm.host.open(exchange.context);
        self.vm.host.put_body(bytes);
        exchange
            .stream
            .response_body(&self.vm.host, bytes.len(), end);
        self.vm.host.take_body()
    }

    /// A request from beginning to end; the origin answers so if it is asked.
    pub fn send(&mut self, headers: &[(&str, &str)], origin: &Origin<'_>) -> Got {
        let (exchange, ended) = self.start(headers);
        match ended {
            Ended::Replied(reply) => {
                self.vm.finish(exchange);
                reply.into()
            }
            Ended::Forwarded(sent) => {
                let mut got = self.answer(exchange, origin);
                got.forwarded = Some(sent);
                got
            }
            Ended::Paused => panic!("the request waits"),
        }
    }

    /// The same for a request with a body.
    pub fn send_with_body(&mut self, headers: &[(&str, &str)], origin: &Origin<'_>) -> Got {
        let mut exchange = self.vm.open(&UPSTREAM);
        let fields = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let ended = self.vm.request_bytes(&mut exchange, fields, false);
        let Ended::Forwarded(sent) = ended else {
            panic!("not forwarded")
        };
        let mut got = self.answer(exchange, origin);
        got.forwarded = Some(sent);
        got
    }

    pub fn get(&mut self, path: &str, origin: &Origin<'_>) -> Got {
        self.send(&request("GET", path, &[]), origin)
    }

    pub fn get_with(&mut self, path: &str, more: &[(&str, &str)], origin: &Origin<'_>) -> Got {
        self.send(&request("GET", path, more), origin)
    }
}
