//! What was read in the callback at hand, so that the host is asked once and not by every filter.

use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Host, Map};
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};

/// Properties that do not change in a callback and that more than one filter reads, by their places.
fn place(path: &str) -> Option<usize> {
    match path {
        "xds\0route_metadata" => Some(0),
        "xds\0virtual_host_metadata" => Some(1),
        "xds\0cluster_name" => Some(2),
        "source\0address" => Some(3),
        "response\0code_details" => Some(4),
        _ => None,
    }
}

/// How many there are.
const PROPERTIES: usize = 5;

type Property = Option<Option<Vec<u8>>>;

/// What became of a field since the map was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Set,
    Add,
    Remove,
}

/// One field, changed since the map was read: its name, and behind that its value.
#[derive(Debug)]
struct Write {
    change: Change,
    name_size: usize,
    bytes: Vec<u8>,
}

impl Write {
    fn new(change: Change, name: &str, value: &[u8]) -> Self {
        let size = name.len().saturating_add(value.len());
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value);
        Write {
            change,
            name_size: name.len(),
            bytes,
        }
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        let parts = self.bytes.split_at_checked(self.name_size);
        parts.unwrap_or_default()
    }

    /// Its value, where it is about that field; none of a field that was removed.
    fn of(&self, field: &str) -> Option<(Change, &[u8])> {
        let (name, value) = self.parts();
        (name == field.as_bytes()).then_some((self.change, value))
    }
}

/// A header map as it was read, and what was written since.
#[derive(Debug, Default)]
struct Known {
    headers: Option<Headers>,
    writes: Vec<Write>,
}

impl Known {
    /// The map as it is now, read where nobody has read it.
    fn whole(&mut self, host: &dyn Host, map: Map) -> Answer<&Headers> {
        let headers = match self.headers.take() {
            None => host.headers(map)?,
            Some(headers) if self.writes.is_empty() => headers,
            Some(headers) => written(&headers, &self.writes),
        };
        self.writes.clear();
        Ok(self.headers.insert(headers))
    }

    /// The first value of a field as it is now; what was written since is looked through, not worked in.
    fn first(&mut self, host: &dyn Host, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        if self.headers.is_none() {
            self.whole(host, map)?;
        }
        let read = self.headers.as_ref().and_then(|headers| headers.get(name));
        let now = self
            .writes
            .iter()
            .fold(read, |first, write| match write.of(name) {
                Some((Change::Set, value)) => Some(value),
                Some((Change::Add, value)) => first.or(Some(value)),
                Some((Change::Remove, _)) => None,
                None => first,
            });
        Ok(now.map(<[u8]>::to_vec))
    }

    /// False where nobody has read it.
    fn lacks(&self, name: &str) -> bool {
        let here = |headers: &Headers| headers.get(name).is_some();
        let last = self.writes.iter().rev().find_map(|write| {
            let (change, _) = write.of(name)?;
            Some(change != Change::Remove)
        });
        match &self.headers {
            Some(headers) => !last.unwrap_or_else(|| here(headers)),
            None => false,
        }
    }
}

fn written(headers: &Headers, writes: &[Write]) -> Headers {
    // Nearly always.
    if writes.iter().all(|write| write.change == Change::Add) {
        let added: Vec<_> = writes.iter().map(Write::parts).collect();
        return headers.with_more(&added);
    }
    let mut pairs: Vec<(&[u8], &[u8])> = headers.iter().collect();
    for write in writes {
        let (name, value) = write.parts();
        if write.change != Change::Add {
            pairs.retain(|(field, _)| *field != name);
        }
        if write.change != Change::Remove {
            pairs.push((name, value));
        }
    }
    Headers::from_pairs(&pairs)
}

/// The memory of one callback.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    now: Cell<Option<Timestamp>>,
    /// Whether a stage has answered in this callback.
    pub(crate) replied: Cell<bool>,
    request: RefCell<Known>,
    response: RefCell<Known>,
    properties: RefCell<[Property; PROPERTIES]>,
}

impl Memo {
    fn known(&self, map: Map) -> Option<&RefCell<Known>> {
        match map {
            Map::Request => Some(&self.request),
            Map::Response => Some(&self.response),
            _ => None,
        }
    }

    /// The time at which the callback began.
    pub(crate) fn now(&self, host: &dyn Host) -> Answer<Timestamp> {
        if let Some(now) = self.now.get() {
            return Ok(now);
        }
        let now = host.now()?;
        self.now.set(Some(now));
        Ok(now)
    }

    pub(crate) fn headers(&self, host: &dyn Host, map: Map) -> Answer<Headers> {
        match self.known(map).map(RefCell::try_borrow_mut) {
            Some(Ok(mut known)) => known.whole(host, map).cloned(),
            _ => host.headers(map),
        }
    }

    /// One field. A map costs little more than one field of it, and somebody will want another.
    pub(crate) fn header(&self, host: &dyn Host, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        match self.known(map).map(RefCell::try_borrow_mut) {
            Some(Ok(mut known)) => known.first(host, map, name),
            _ => host.header(map, name),
        }
    }

    /// Whether it is known that there is no such field.
    pub(crate) fn is_absent(&self, map: Map, name: &str) -> bool {
        match self.known(map).map(RefCell::try_borrow) {
            Some(Ok(known)) => known.lacks(name),
            _ => false,
        }
    }

    /// All values of a field are this one now.
    pub(crate) fn set(&self, map: Map, name: &str, value: &[u8]) {
        self.wrote(map, Change::Set, name, value);
    }

    /// A field has one more value.
    pub(crate) fn add(&self, map: Map, name: &str, value: &[u8]) {
        self.wrote(map, Change::Add, name, value);
    }

    /// A field is gone.
    pub(crate) fn removed(&self, map: Map, name: &str) {
        self.wrote(map, Change::Remove, name, &[]);
    }

    fn wrote(&self, map: Map, change: Change, name: &str, value: &[u8]) {
        if let Some(Ok(mut known)) = self.known(map).map(RefCell::try_borrow_mut) {
            // What nobody has read will be read with the change in it.
            if known.headers.is_some() {
                known.writes.push(Write::new(change, name, value));
            }
        }
    }

    /// A map is now this one, or nobody knows.
    pub(crate) fn replaced(&self, map: Map, headers: Option<&Headers>) {
        if let Some(Ok(mut known)) = self.known(map).map(RefCell::try_borrow_mut) {
            known.writes.clear();
            known.headers = headers.cloned();
        }
    }

    pub(crate) fn property(&self, host: &dyn Host, path: &str) -> Answer<Option<Vec<u8>>> {
        let (Some(place), Ok(mut properties)) = (place(path), self.properties.try_borrow_mut())
        else {
            return host.property(path);
        };
        match properties.get_mut(place) {
            Some(Some(value)) => Ok(value.clone()),
            Some(unknown) => {
                let value = host.property(path)?;
                *unknown = Some(value.clone());
                Ok(value)
            }
            None => host.property(path),
        }
    }

    /// The route is another one.
    pub(crate) fn forget_properties(&self) {
        if let Ok(mut properties) = self.properties.try_borrow_mut() {
            *properties = Default::default();
        }
    }
}
