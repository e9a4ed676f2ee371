//! Ordinary requests, as most of them are: what a request costs is told by them.

use crate::{pairs, Pairs, Run, State, Step, Trap};

/// A request and what the upstream answers.
#[derive(Debug, Clone)]
pub struct Exchange {
    request: Pairs,
    answer: Pairs,
    body: Vec<u8>,
}

impl Default for Exchange {
    /// A `GET`, and 1 KB that must not be stored.
    fn default() -> Self {
        let request = pairs(&[
            (":authority", "example.com"),
            (":path", "/orders/17?page=2"),
            (":method", "GET"),
            (":scheme", "https"),
            ("user-agent", "curl/8.5.0"),
            ("accept", "*/*"),
            ("x-tenant-id", "acme"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "https"),
        ]);
        let answer = pairs(&[
            (":status", "200"),
            ("content-type", "application/json"),
            ("content-length", "1024"),
            ("cache-control", "no-store"),
            ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
            ("x-envoy-upstream-service-time", "3"),
        ]);
        let body = vec![b'x'; 1024];
        Exchange {
            request,
            answer,
            body,
        }
    }
}

impl Exchange {
    /// With this field in the request.
    #[must_use]
    pub fn asks(mut self, name: &str, value: &str) -> Self {
        set(&mut self.request, name, value);
        self
    }

    /// With this field in the answer.
    #[must_use]
    pub fn answers(mut self, name: &str, value: &str) -> Self {
        set(&mut self.answer, name, value);
        self
    }

    /// With a body of this size, in one part.
    #[must_use]
    pub fn of_size(mut self, bytes: usize) -> Self {
        self.body = vec![b'x'; bytes];
        self.answers("content-length", &bytes.to_string())
    }

    /// With an answer that is nothing but its fields.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        self.answer.retain(|(name, _)| name != b"content-length");
        self.body.clear();
        self
    }

    /// Lives the life of it.
    ///
    /// # Errors
    /// When the module traps.
    pub fn live(&self, run: &mut Run, context: u32) -> Result<(), Trap> {
        let bodiless = self.body.is_empty();
        run.step(&Step::Request(context, self.request.clone(), true))?;
        run.step(&Step::Response(context, self.answer.clone(), bodiless))?;
        if !bodiless {
            run.step(&Step::ResponseBody(context, self.body.clone(), true))?;
        }
        run.step(&Step::End(context))
    }
}

fn set(fields: &mut Pairs, name: &str, value: &str) {
    fields.retain(|(field, _)| field != name.as_bytes());
    fields.extend(pairs(&[(name, value)]));
}

/// A host for ordinary requests to a filter that is configured so.
pub fn host(configuration: &str) -> State {
    let properties = [
        ("xds.cluster_name", &b"orders"[..]),
        ("xds.route_name", b"orders"),
        ("source.address", b"203.0.113.7:40000"),
        ("response.code_details", b"via_upstream"),
        ("response.flags", &[0; 8]),
        ("request.duration", &[0; 8]),
    ];
    State {
        configuration: configuration.as_bytes().to_vec(),
        now: 1_000_000_000_000_000_000,
        properties: properties
            .iter()
            .map(|(path, value)| ((*path).to_owned(), value.to_vec()))
            .collect(),
        ..State::default()
    }
}
