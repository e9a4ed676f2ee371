//! A host that several threads share: shared data with the real host's compare-and-swap, and a turn before each access.

#[allow(dead_code, reason = "not every test needs all of it")]
pub mod filter;
#[allow(dead_code, reason = "not every test needs all of it")]
pub mod model;

use seawall_core::headers::Headers;
use seawall_core::host::{
    Answer, Buffer, Expect, Failure, Host, Level, Map, MetricId, MetricKind, Swap, Version,
};
use seawall_core::reply::Reply;
use seawall_core::testing::Steps;
use seawall_core::time::{Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Inner {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    versions: u32,
}

/// Shared data of one process.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Inner>>);

/// One worker's access to it.
pub struct Worker {
    store: Store,
    turns: Option<(Steps, usize)>,
}

impl Store {
    /// An access that waits for its turn.
    pub fn worker(&self, steps: &Steps, number: usize) -> Worker {
        Worker {
            store: self.clone(),
            turns: Some((steps.clone(), number)),
        }
    }

    /// An access without turns, for before and after.
    pub fn quiet(&self) -> Worker {
        Worker {
            store: self.clone(),
            turns: None,
        }
    }
}

impl Worker {
    fn turn(&self) {
        if let Some((steps, number)) = &self.turns {
            steps.wait(*number);
        }
    }
}

const NO: Failure = Failure::Status(12);

impl Host for Worker {
    fn shared_get(&self, key: &str) -> Answer<Option<(Vec<u8>, Version)>> {
        self.turn();
        let inner = self.store.0.lock().unwrap();
        let found = inner.values.get(key);
        Ok(found.map(|(value, cas)| (value.clone(), Version(*cas))))
    }

    fn shared_set(&self, key: &str, value: &[u8], expect: Expect) -> Answer<Swap> {
        self.turn();
        let cas = match expect {
            Expect::Anything => 0,
            Expect::Absent => u32::MAX,
            Expect::Version(version) => version.0,
        };
        let mut inner = self.store.0.lock().unwrap();
        let present = inner.values.get(key).map(|(_, present)| *present);
        if present.is_some_and(|present| cas != 0 && cas != present) {
            return Ok(Swap::Conflict);
        }
        inner.versions += 1;
        let version = inner.versions;
        inner
            .values
            .insert(key.to_owned(), (value.to_vec(), version));
        Ok(Swap::Done)
    }

    fn now(&self) -> Answer<Timestamp> {
        Err(NO)
    }
    fn random(&self, _: &mut [u8]) -> Answer<()> {
        Err(NO)
    }
    fn log(&self, _: Level, _: &str) {}
    fn headers(&self, _: Map) -> Answer<Headers> {
        Err(NO)
    }
    fn header(&self, _: Map, _: &str) -> Answer<Option<Vec<u8>>> {
        Err(NO)
    }
    fn set_header(&self, _: Map, _: &str, _: &[u8]) -> Answer<()> {
        Err(NO)
    }
    fn add_header(&self, _: Map, _: &str, _: &[u8]) -> Answer<()> {
        Err(NO)
    }
    fn remove_header(&self, _: Map, _: &str) -> Answer<()> {
        Err(NO)
    }
    fn set_headers(&self, _: Map, _: &Headers) -> Answer<()> {
        Err(NO)
    }
    fn body(&self, _: Buffer, _: usize, _: usize) -> Answer<Vec<u8>> {
        Err(NO)
    }
    fn replace_body(&self, _: Buffer, _: &[u8]) -> Answer<()> {
        Err(NO)
    }
    fn property(&self, _: &str) -> Answer<Option<Vec<u8>>> {
        Err(NO)
    }
    fn set_property(&self, _: &str, _: &[u8]) -> Answer<()> {
        Err(NO)
    }
    fn queue_register(&self, _: &str) -> Answer<u32> {
        Err(NO)
    }
    fn queue_send(&self, _: u32, _: &[u8]) -> Answer<()> {
        Err(NO)
    }
    fn queue_take(&self, _: u32) -> Answer<Option<Vec<u8>>> {
        Err(NO)
    }
    fn reply(&self, _: &Reply<'_>) -> Answer<()> {
        Err(NO)
    }
    fn resume_request(&self) -> Answer<()> {
        Err(NO)
    }
    fn resume_response(&self) -> Answer<()> {
        Err(NO)
    }
    fn act_on(&self, _: u32) -> Answer<()> {
        Err(NO)
    }
    fn set_tick(&self, _: Span) -> Answer<()> {
        Err(NO)
    }
    fn foreign(&self, _: &str, _: &[u8]) -> Answer<Vec<u8>> {
        Err(NO)
    }
    fn http_call(&self, _: &str, _: &[(&str, &[u8])], _: &[u8], _: Span) -> Answer<u32> {
        Err(NO)
    }
    fn grpc_call(&self, _: &str, _: &str, _: &str, _: &[u8], _: Span) -> Answer<u32> {
        Err(NO)
    }
    fn metric_define(&self, _: MetricKind, _: &str) -> Answer<MetricId> {
        Err(NO)
    }
    fn metric_add(&self, _: MetricId, _: i64) -> Answer<()> {
        Err(NO)
    }
    fn metric_record(&self, _: MetricId, _: u64) -> Answer<()> {
        Err(NO)
    }
    fn metric_value(&self, _: MetricId) -> Answer<u64> {
        Err(NO)
    }
}
