//! The fields of a request that carry an identity, found in one pass over its headers.

use seawall_core::headers::Headers;

/// Field lines of one name, in order. One line, or none, is what there nearly always is, and costs no memory.
#[derive(Debug, Clone, Default)]
pub struct Lines<'a> {
    first: Option<&'a [u8]>,
    more: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn push(&mut self, line: &'a [u8]) {
        if self.first.is_none() {
            self.first = Some(line);
        } else {
            self.more.push(line);
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The first line.
    pub fn first(&self) -> Option<&'a [u8]> {
        self.first
    }

    /// The line, where there is exactly one.
    pub fn only(&self) -> Option<&'a [u8]> {
        self.first.filter(|_| self.more.is_empty())
    }

    /// All lines.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.first.into_iter().chain(self.more.iter().copied())
    }
}

/// The fields of a request that carry an identity.
#[derive(Debug, Default)]
pub struct Inbound<'a> {
    /// The request id.
    pub request_id: Lines<'a>,
    /// `traceparent`.
    pub traceparent: Lines<'a>,
    /// `tracestate`.
    pub tracestate: Lines<'a>,
    /// `baggage`.
    pub baggage: Lines<'a>,
    /// `cookie`.
    pub cookie: Lines<'a>,
    /// `b3`.
    pub b3: Lines<'a>,
    /// `x-b3-traceid`.
    pub b3_trace: Lines<'a>,
    /// `x-b3-spanid`.
    pub b3_span: Lines<'a>,
    /// `x-b3-sampled`.
    pub b3_sampled: Lines<'a>,
    /// `x-b3-flags`.
    pub b3_flags: Lines<'a>,
    /// `uber-trace-id`.
    pub jaeger: Lines<'a>,
    /// `x-amzn-trace-id`.
    pub aws: Lines<'a>,
    /// `x-datadog-trace-id`.
    pub datadog_trace: Lines<'a>,
    /// `x-datadog-parent-id`.
    pub datadog_parent: Lines<'a>,
    /// `x-datadog-sampling-priority`.
    pub datadog_priority: Lines<'a>,
    /// `x-datadog-tags`.
    pub datadog_tags: Lines<'a>,
}

impl<'a> Inbound<'a> {
    /// Finds them.
    pub fn find(headers: &'a Headers, request_id: &str) -> Self {
        let mut found = Inbound::default();
        for (name, value) in headers.iter() {
            let lines = match name {
                b"traceparent" => &mut found.traceparent,
                b"tracestate" => &mut found.tracestate,
                b"baggage" => &mut found.baggage,
                b"cookie" => &mut found.cookie,
                b"b3" => &mut found.b3,
                b"x-b3-traceid" => &mut found.b3_trace,
                b"x-b3-spanid" => &mut found.b3_span,
                b"x-b3-sampled" => &mut found.b3_sampled,
                b"x-b3-flags" => &mut found.b3_flags,
                b"uber-trace-id" => &mut found.jaeger,
                b"x-amzn-trace-id" => &mut found.aws,
                b"x-datadog-trace-id" => &mut found.datadog_trace,
                b"x-datadog-parent-id" => &mut found.datadog_parent,
                b"x-datadog-sampling-priority" => &mut found.datadog_priority,
                b"x-datadog-tags" => &mut found.datadog_tags,
                name if name == request_id.as_bytes() => &mut found.request_id,
                _ => continue,
            };
            lines.push(value);
        }
        found
    }
}
