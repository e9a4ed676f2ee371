//! The port itself, with the real host's semantics.

use super::{path_name, FakeHost, SentReply};
use crate::headers::Headers;
use crate::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use crate::reply::Reply;
use crate::time::{Span, Timestamp};
use std::collections::VecDeque;

impl Host for FakeHost {
    fn now(&self) -> Answer<Timestamp> {
        self.called("now")?;
        Ok(self.world.now())
    }

    fn random(&self, out: &mut [u8]) -> Answer<()> {
        self.called("random")?;
        for chunk in out.chunks_mut(8) {
            let bits = self.world.next_random().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        if self.called("log").is_ok() {
            self.world
                .0
                .log
                .borrow_mut()
                .push(format!("{level:?}: {message}"));
        }
    }

    fn headers(&self, map: Map) -> Answer<Headers> {
        self.called("headers")?;
        let headers = self.with(|stream| {
            stream
                .maps
                .get(&map)
                .map(|pairs| Headers::from_pairs(pairs))
                .unwrap_or_default()
        });
        self.copies(headers.as_abi().len());
        Ok(headers)
    }

    fn header(&self, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        self.called("header")?;
        let value = self.with_map(map, |pairs| {
            pairs
                .iter()
                .find(|(field, _)| field == name)
                .map(|(_, value)| value.clone())
        })?;
        self.copies(value.as_ref().map_or(0, Vec::len));
        Ok(value)
    }

    fn set_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        self.called("set_header")?;
        self.copies(value.len());
        self.with_map(map, |pairs| {
            match pairs.iter().position(|(field, _)| field == name) {
                Some(at) => {
                    pairs[at].1 = value.to_vec();
                    let mut index = 0;
                    pairs.retain(|(field, _)| {
                        index += 1;
                        index - 1 <= at || field != name
                    });
                }
                None => pairs.push((name.to_owned(), value.to_vec())),
            };
        })
    }

    fn add_header(&self, map: Map, name: &str, value: &[u8]) -> Answer<()> {
        self.called("add_header")?;
        self.copies(value.len());
        self.with_map(map, |pairs| pairs.push((name.to_owned(), value.to_vec())))
    }

    fn remove_header(&self, map: Map, name: &str) -> Answer<()> {
        self.called("remove_header")?;
        self.with_map(map, |pairs| pairs.retain(|(field, _)| field != name))
    }

    fn set_headers(&self, map: Map, headers: &Headers) -> Answer<()> {
        self.called("set_headers")?;
        self.copies(headers.as_abi().len());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pairs = headers
            .iter()
            .map(|(name, value)| (text(name), value.to_vec()))
            .collect();
        self.with_map(map, |held| *held = pairs)
    }

    fn body(&self, buffer: Buffer, start: usize, max: usize) -> Answer<Vec<u8>> {
        self.called("body")?;
        let bytes = self
            .with(|stream| stream.buffers.get(&buffer).cloned())
            .unwrap_or_default();
        let end = start.saturating_add(max).min(bytes.len());
        let part = bytes.get(start..end).unwrap_or_default().to_vec();
        self.copies(part.len());
        Ok(part)
    }

    fn replace_body(&self, buffer: Buffer, bytes: &[u8]) -> Answer<()> {
        self.called("replace_body")?;
        self.copies(bytes.len());
        self.with(|stream| stream.buffers.insert(buffer, bytes.to_vec()));
        Ok(())
    }

    fn property(&self, path: &str) -> Answer<Option<Vec<u8>>> {
        self.called("property")?;
        let value = self.with(|stream| stream.properties.get(&path_name(path)).cloned());
        self.copies(value.as_ref().map_or(0, Vec::len));
        Ok(value)
    }

    fn set_property(&self, path: &str, value: &[u8]) -> Answer<()> {
        self.called("set_property")?;
        self.copies(value.len());
        self.put_property(path, value);
        Ok(())
    }

    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>> {
        self.called("shared_get")?;
        self.interfere();
        let found = self.world.shared_get(key);
        self.copies(found.as_ref().map_or(0, |(value, _)| value.len()));
        Ok(found)
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap> {
        self.called("shared_set")?;
        self.interfere();
        self.copies(value.len());
        Ok(self.world.shared_set(key, value, expect))
    }

    fn queue_register(&self, name: &str) -> Answer<u32> {
        self.called("queue_register")?;
        Ok(self.world.queue_register(name, self.vm))
    }

    fn queue_send(&self, queue: u32, message: &[u8]) -> Answer<()> {
        self.called("queue_send")?;
        let send = |messages: &mut VecDeque<_>| messages.push_back(message.to_vec());
        self.world.with_queue(queue, send).ok_or(Failure::NotFound)
    }

    fn queue_take(&self, queue: u32) -> Answer<Option<Vec<u8>>> {
        self.called("queue_take")?;
        self.world
            .with_queue(queue, VecDeque::pop_front)
            .ok_or(Failure::NotFound)
    }

    fn reply(&self, reply: &Reply<'_>) -> Answer<()> {
        self.called("reply")?;
        let sent = SentReply {
            status: reply.status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
            body: reply.body.to_vec(),
            grpc_status: reply.grpc_status,
            details: reply.details.to_owned(),
        };
        // A second reply is ignored, as Envoy does.
        self.with(|stream| stream.reply.get_or_insert(sent).status);
        Ok(())
    }

    fn resume_request(&self) -> Answer<()> {
        self.called("resume_request")?;
        self.with(|stream| {
            stream.request_resumed = true;
            // Envoy drops the pointer at once.
            stream.maps.remove(&Map::Request);
        });
        Ok(())
    }

    fn resume_response(&self) -> Answer<()> {
        self.called("resume_response")?;
        self.with(|stream| {
            stream.response_resumed = true;
            stream.maps.remove(&Map::Response);
        });
        Ok(())
    }

    fn act_on(&self, context: u32) -> Answer<()> {
        self.called("act_on")?;
        if self.streams.borrow().contains_key(&context) {
            self.active.set(context);
            Ok(())
        } else {
            Err(Failure::BadArgument)
        }
    }

    fn set_tick(&self, period: Span) -> Answer<()> {
        self.called("set_tick")?;
        self.tick.set(period);
        Ok(())
    }

    fn foreign(&self, _name: &str, _argument: &[u8]) -> Answer<Vec<u8>> {
        self.called("foreign")?;
        Ok(Vec::new())
    }

    fn http_call(
        &self,
        cluster: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
        _timeout: Span,
    ) -> Answer<u32> {
        self.called("http_call")?;
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
            .collect();
        Ok(self.start_call(cluster, headers, body))
    }

    fn grpc_call(
        &self,
        cluster: &str,
        service: &str,
        method: &str,
        message: &[u8],
        _timeout: Span,
    ) -> Answer<u32> {
        self.called("grpc_call")?;
        let path = vec![(format!("{service}/{method}"), Vec::new())];
        Ok(self.start_call(cluster, path, message))
    }

    fn metric_define(&self, _kind: MetricKind, name: &str) -> Answer<MetricId> {
        self.called("metric_define")?;
        self.world
            .0
            .metrics
            .borrow_mut()
            .entry(name.to_owned())
            .or_default();
        let mut metrics = self.metrics.borrow_mut();
        metrics.push(name.to_owned());
        Ok(MetricId(metrics.len() as u32))
    }

    fn metric_add(&self, metric: MetricId, amount: i64) -> Answer<()> {
        self.called("metric_add")?;
        self.change_metric(metric, |value| *value += amount)
    }

    fn metric_record(&self, metric: MetricId, value: u64) -> Answer<()> {
        self.called("metric_record")?;
        self.change_metric(metric, |held| *held = value as i64)
    }

    fn metric_value(&self, metric: MetricId) -> Answer<u64> {
        self.called("metric_value")?;
        let mut value = 0;
        self.change_metric(metric, |held| value = *held as u64)?;
        Ok(value)
    }
}
