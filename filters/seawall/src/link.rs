//! The host as one stage sees it: what was read is remembered, and letting a request go on means the next stage.

use crate::chain::Chain;
use crate::memo::Memo;
use crate::stages::{Place, Stages};
use seawall_core::headers::Headers;
use seawall_core::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use seawall_core::plugin::Flow;
use seawall_core::reply::Reply;
use seawall_core::time::{Span, Timestamp};
use std::cell::Cell;

/// The host for one stage in one callback.
pub(crate) struct Link<'a> {
    host: &'a dyn Host,
    chain: &'a Chain,
    stage: usize,
    memo: Option<&'a Memo>,
    /// The context of the callback.
    own: u32,
    /// The context that calls act on.
    acts_on: Cell<u32>,
}

impl<'a> Link<'a> {
    /// For a callback of a request.
    pub(crate) fn of_stream(place: Place<'a>, stage: usize) -> Self {
        Link {
            host: place.host,
            chain: place.chain,
            stage,
            memo: Some(place.memo),
            own: place.context,
            acts_on: Cell::new(place.context),
        }
    }

    /// For a callback of the filter itself.
    pub(crate) fn of_filter(host: &'a dyn Host, chain: &'a Chain, stage: usize) -> Self {
        Link {
            host,
            chain,
            stage,
            memo: None,
            own: 0,
            acts_on: Cell::new(0),
        }
    }

    /// What is remembered is about the request of the callback, not about one that is acted on.
    fn memo(&self) -> Option<&Memo> {
        self.memo.filter(|_| self.own == self.acts_on.get())
    }

    /// Says that the request is answered from here.
    fn replied(&self) {
        if let Some(memo) = self.memo() {
            memo.replied.set(true);
        }
    }
}

/// Envoy has `host` for another word of `:authority`; a map that was read knows nothing of that.
fn field(map: Map, name: &str) -> &str {
    if map == Map::Request && name == "host" {
        ":authority"
    } else {
        name
    }
}

impl Host for Link<'_> {
    fn now(&self) -> Answer<Timestamp> {
        match self.memo {
            Some(memo) => memo.now(self.host),
            None => self.host.now(),
        }
    }

    fn random(&self, out: &mut [u8]) -> Answer<()> {
        self.host.random(out)
    }

    fn log(&self, level: Level, message: &str) {
        self.host.log(level, message);
    }

    fn headers(&self, map: Map) -> Answer<Headers> {
        match self.memo() {
            Some(memo) => memo.headers(self.host, map),
            None => self.host.headers(map),
        }
    }

    fn header(&self, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        let name = field(map, name);
        match self.memo() {
            Some(memo) => memo.header(self.host, map, name),
            None => self.host.header(map, name),
        }
    }

    fn set_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        let name = field(map, name);
        let memo = self.memo();
        // To replace a field, Envoy first indexes the whole map by name; to add one, it does not. A module that may replace but
        // not add gets by with that.
        let absent = memo.is_some_and(|memo| memo.is_absent(map, name));
        if absent && self.add_header(map, name, value).is_ok() {
            return Ok(());
        }
        self.host.set_header(map, name, value)?;
        if let Some(memo) = memo {
            memo.set(map, name, value);
        }
        Ok(())
    }

    fn add_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        let name = field(map, name);
        self.host.add_header(map, name, value)?;
        if let Some(memo) = self.memo() {
            memo.add(map, name, value);
        }
        Ok(())
    }

    fn remove_header(&self, map: Map, name: &str) -> Answer<()> {
        let name = field(map, name);
        self.host.remove_header(map, name)?;
        if let Some(memo) = self.memo() {
            memo.removed(map, name);
        }
        Ok(())
    }

    fn set_headers(&self, map: Map, headers: &Headers) -> Answer<()> {
        let answer = self.host.set_headers(map, headers);
        if let Some(memo) = self.memo() {
            memo.replaced(map, answer.is_ok().then_some(headers));
        }
        answer
    }

    fn body(&self, buffer: Buffer, start: usize, max: usize) -> Answer<Vec<u8>> {
        self.host.body(buffer, start, max)
    }

    fn replace_body(&self, buffer: Buffer, bytes: &[u8]) -> Answer<()> {
        self.host.replace_body(buffer, bytes)
    }

    fn property(&self, path: &str) -> Answer<Option<Vec<u8>>> {
        match self.memo() {
            Some(memo) => memo.property(self.host, path),
            None => self.host.property(path),
        }
    }

    fn set_property(&self, path: &str, value: &[u8]) -> Answer<()> {
        self.host.set_property(path, value)
    }

    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>> {
        self.host.shared_get(key)
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap> {
        self.host.shared_set(key, value, expect)
    }

    fn queue_register(&self, name: &str) -> Answer<u32> {
        self.host.queue_register(name)
    }

    fn queue_send(&self, queue: u32, message: &[u8]) -> Answer<()> {
        self.host.queue_send(queue, message)
    }

    fn queue_take(&self, queue: u32) -> Answer<Option<Vec<u8>>> {
        self.host.queue_take(queue)
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer<()> {
        self.host.reply(reply)?;
        self.replied();
        Ok(())
    }

    fn reply_after(&self, first: &Headers, reply: &Reply<'_>) -> Answer<()> {
        self.host.reply_after(first, reply)?;
        self.replied();
        Ok(())
    }

    fn resume_request(&self) -> Answer<()> {
        let context = self.acts_on.get();
        let Some(held) = self.chain.take(context) else {
            return self.host.resume_request();
        };
        if held.stages.try_borrow().is_err() {
            // A stage lets its own request go from within its own callback: it should have returned instead.
            self.chain.hold(context, held);
            return Err(Failure::BadArgument);
        }
        let memo = Memo::default();
        let place = Place {
            host: self.host,
            chain: self.chain,
            context,
            memo: &memo,
        };
        match Stages::request_from(&held.stages, place, held.stage.saturating_add(1)) {
            Flow::Continue => self.host.resume_request(),
            Flow::Pause => Ok(()),
        }
    }

    fn resume_response(&self) -> Answer<()> {
        self.host.resume_response()
    }

    fn act_on(&self, context: u32) -> Answer<()> {
        self.host.act_on(context)?;
        self.acts_on.set(context);
        Ok(())
    }

    fn set_tick(&self, period: Span) -> Answer<()> {
        self.chain.set_timer(self.host, self.stage, period)
    }

    fn foreign(&self, name: &str, argument: &[u8]) -> Answer<Vec<u8>> {
        if let Some(memo) = self.memo() {
            memo.forget_properties();
        }
        self.host.foreign(name, argument)
    }

    fn http_call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        timeout: Span,
    ) -> Answer<u32> {
        self.host.http_call(cluster, headers, body, timeout)
    }

    fn grpc_call(
        &self,
        cluster: &str,
        service: &str,
        method: &str,
        message: &[u8],
        timeout: Span,
    ) -> Answer<u32> {
        self.host
            .grpc_call(cluster, service, method, message, timeout)
    }

    fn metric_define(&self, kind: MetricKind, name: &str) -> Answer<MetricId> {
        self.host.metric_define(kind, name)
    }

    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()> {
        self.host.metric_add(metric, amount)
    }

    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()> {
        self.host.metric_record(metric, value)
    }

    fn metric_value(&self, metric: MetricId) -> Answer<u64> {
        self.host.metric_value(metric)
    }
}
