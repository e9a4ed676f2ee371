//! What is known about the request at hand: read when it is needed, and once.

use super::address::Source;
use super::text;
use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Failure, Host, Map};
use seawall_core::{authority, claim};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::IpAddr;

/// The ABI's number for a value that has no form in bytes.
const NOT_SERIALIZED: u32 = 3;

/// A claim as it is written in a configuration, or what it holds, in one order.
fn written(value: Vec<u8>) -> Vec<u8> {
    let text = claim::written(&value).map(|text| text.into_owned().into_bytes());
    text.unwrap_or_else(|| claim::ordered(value))
}

/// The request at hand.
pub struct Facts<'h> {
    proxy: &'h dyn Host,
    /// All headers in one read; worth it when more than two are needed.
    whole: Option<Headers>,
    target: OnceCell<Vec<u8>>,
    host: OnceCell<Vec<u8>>,
    source: OnceCell<Option<Source>>,
}

impl<'h> Facts<'h> {
    /// A request of which about so many headers will be needed.
    ///
    /// # Errors
    /// When the host fails.
    pub fn new(proxy: &'h dyn Host, headers_needed: usize) -> Answer<Self> {
        let whole = if headers_needed > 2 {
            Some(proxy.headers(Map::Request)?)
        } else {
            None
        };
        Ok(Facts {
            proxy,
            whole,
            target: OnceCell::new(),
            host: OnceCell::new(),
            source: OnceCell::new(),
        })
    }

    /// The first value of a header.
    ///
    /// # Errors
    /// When the host fails.
    pub fn header(&self, name: &str) -> Answer<Option<Cow<'_, [u8]>>> {
        match &self.whole {
            Some(headers) => {
                // Envoy knows this one by its name in HTTP/2, and for single reads by both.
                let name = if name == "host" { ":authority" } else { name };
                Ok(headers.get(name).map(Cow::Borrowed))
            }
            None => Ok(self.proxy.header(Map::Request, name)?.map(Cow::Owned)),
        }
    }

    /// A property; an empty one is a missing one.
    ///
    /// # Errors
    /// When the host fails.
    pub fn property(&self, path: &str) -> Answer<Option<Cow<'_, [u8]>>> {
        let value = self.proxy.property(path)?;
        Ok(value.filter(|value| !value.is_empty()).map(Cow::Owned))
    }

    /// A claim of a verified token.
    ///
    /// # Errors
    /// When the host fails.
    pub fn claim(&self, path: &str) -> Answer<Option<Vec<u8>>> {
        match self.proxy.property(path) {
            // What Envoy cannot put into bytes is `null`.
            Err(Failure::Status(NOT_SERIALIZED)) => Ok(None),
            value => Ok(value?.filter(|value| !value.is_empty()).map(written)),
        }
    }

    /// The first cookie of this name, in whichever line it is: HTTP/1.1 allows one, but servers that are sent more read them all.
    ///
    /// # Errors
    /// When the host fails.
    pub fn cookie(&self, name: &str) -> Answer<Option<Vec<u8>>> {
        let Some(first) = self.header("cookie")? else {
            return Ok(None);
        };
        if let Some(value) = text::cookie(&first, name.as_bytes()) {
            return Ok(Some(value.to_vec()));
        }
        let read;
        let headers = match &self.whole {
            Some(headers) => headers,
            None => {
                read = self.proxy.headers(Map::Request)?;
                &read
            }
        };
        let value = headers
            .all("cookie")
            .skip(1)
            .find_map(|line| text::cookie(line, name.as_bytes()).map(<[u8]>::to_vec));
        Ok(value)
    }

    pub(super) fn target(&self) -> Answer<&[u8]> {
        keep(&self.target, || {
            Ok(self.header(":path")?.unwrap_or_default().into_owned())
        })
    }

    /// The path without the query.
    ///
    /// # Errors
    /// When the host fails.
    pub fn path(&self) -> Answer<&[u8]> {
        self.target().map(text::path)
    }

    /// The host in lower case, without a port.
    ///
    /// # Errors
    /// When the host fails.
    pub fn host(&self) -> Answer<&[u8]> {
        keep(&self.host, || {
            let authority = self.header(":authority")?.unwrap_or_default();
            Ok(authority::host(authority.into_owned()))
        })
    }

    /// The client's address.
    ///
    /// # Errors
    /// When the host fails.
    pub fn client(&self, trusted_hops: u32) -> Answer<Option<IpAddr>> {
        let source = match self.source.get() {
            Some(source) => *source,
            None => {
                let text = self.proxy.property("source\0address")?;
                let source = text.and_then(|text| Source::read(&text));
                *self.source.get_or_init(|| source)
            }
        };
        let Some(source) = source else {
            return Ok(None);
        };
        if trusted_hops == 0 {
            return Ok(Some(source.behind(b"", 0)));
        }
        let forwarded = self.header("x-forwarded-for")?;
        let client = source.behind(&forwarded.unwrap_or_default(), trusted_hops);
        Ok(Some(client))
    }
}

fn keep(cell: &OnceCell<Vec<u8>>, read: impl FnOnce() -> Answer<Vec<u8>>) -> Answer<&[u8]> {
    if let Some(kept) = cell.get() {
        return Ok(kept);
    }
    let value = read()?;
    Ok(cell.get_or_init(|| value))
}
