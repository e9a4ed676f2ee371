//! What was read in the callback at hand, so that the host is asked once and not by every filter.

use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Host, Map};
use seawall_core::time::Timestamp;
use std::cell::{Cell, RefCell};

/// Properties that do not change in a callback and that more than one filter reads.
const PROPERTIES: [&[&str]; 5] = [
    &["xds", "route_metadata"],
    &["xds", "virtual_host_metadata"],
    &["xds", "cluster_name"],
    &["source", "address"],
    &["response", "code_details"],
];

type Property = Option<Option<Vec<u8>>>;

/// A header map as it was read, and the fields that were written since.
#[derive(Debug, Default)]
struct Known {
    headers: Option<Headers>,
    written: Vec<String>,
}

/// The memory of one callback.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    now: Cell<Option<Timestamp>>,
    request: RefCell<Known>,
    response: RefCell<Known>,
    properties: RefCell<[Property; PROPERTIES.len()]>,
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
        let Some(mut known) = self
            .known(map)
            .and_then(|known| known.try_borrow_mut().ok())
        else {
            return host.headers(map);
        };
        match &known.headers {
            Some(headers) if known.written.is_empty() => Ok(headers.clone()),
            _ => {
                let headers = host.headers(map)?;
                known.written.clear();
                known.headers = Some(headers.clone());
                Ok(headers)
            }
        }
    }

    pub(crate) fn header(&self, host: &dyn Host, map: Map, name: &str) -> Answer<Option<Vec<u8>>> {
        let Some(mut known) = self
            .known(map)
            .and_then(|known| known.try_borrow_mut().ok())
        else {
            return host.header(map, name);
        };
        if known.written.iter().any(|written| written == name) {
            return host.header(map, name);
        }
        if known.headers.is_none() {
            // A map costs little more than one field of it, and somebody will want another.
            known.headers = Some(host.headers(map)?);
        }
        let headers = known.headers.as_ref();
        Ok(headers.and_then(|headers| headers.get(name).map(<[u8]>::to_vec)))
    }

    /// A field is no longer what it was.
    pub(crate) fn wrote(&self, map: Map, name: &str) {
        if let Some(Ok(mut known)) = self.known(map).map(RefCell::try_borrow_mut) {
            if known.headers.is_some() {
                known.written.push(name.to_owned());
            }
        }
    }

    /// A map is now this one, or nobody knows.
    pub(crate) fn replaced(&self, map: Map, headers: Option<&Headers>) {
        if let Some(Ok(mut known)) = self.known(map).map(RefCell::try_borrow_mut) {
            known.written.clear();
            known.headers = headers.cloned();
        }
    }

    pub(crate) fn property(&self, host: &dyn Host, path: &[&str]) -> Answer<Option<Vec<u8>>> {
        let place = PROPERTIES.iter().position(|known| *known == path);
        let (Some(place), Ok(mut properties)) = (place, self.properties.try_borrow_mut()) else {
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
