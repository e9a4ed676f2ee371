//! Changes to a header map.
//!
//! Each is a host call of its own. Replacing the whole map is one call whatever their number, but takes every other field
//! out and in again, which costs a request more than ten single changes do.

use crate::interop::Fields;
use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Host, Map};
use std::borrow::Cow;

/// Changes to a header map.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    /// Fields of which all lines become this one.
    pub set: Fields<'a>,
    remove: Vec<&'a str>,
}

/// Makes one line of a field. Where there is none it is added: to replace a field, Envoy first indexes the whole map by name, which
/// costs a request more than the field does. A module that may replace but not add gets by with that.
///
/// # Errors
/// When the host refuses it.
#[inline(never)]
pub fn write(host: &dyn Host, map: Map, absent: bool, name: &str, value: &[u8]) -> Answer<()> {
    if absent && host.add_header(map, name, value).is_ok() {
        return Ok(());
    }
    host.set_header(map, name, value)
}

impl<'a> Changes<'a> {
    /// All lines of this field become one.
    #[inline(never)]
    pub fn set(&mut self, name: &'a str, value: Cow<'a, [u8]>) {
        self.set.push((name, value));
    }

    /// The field goes, where it is there and not set as well.
    #[inline(never)]
    pub fn remove(&mut self, headers: &Headers, name: &'a str) {
        let set = self.set.iter().map(|(name, _)| *name);
        let known = set.chain(self.remove.iter().copied()).any(|k| k == name);
        if !known && headers.get(name).is_some() {
            self.remove.push(name);
        }
    }

    /// Makes the changes.
    ///
    /// # Errors
    /// When the host refuses one of them; the others are made.
    pub fn apply(&self, host: &dyn Host, map: Map, headers: &Headers) -> Answer<()> {
        let set = self.set.iter();
        let set = set.map(|(name, value)| {
            let absent = headers.get(name).is_none();
            write(host, map, absent, name, value)
        });
        let removed = self.remove.iter();
        let removed = removed.map(|name| host.remove_header(map, name));
        // Every one is made, whatever became of those before.
        set.chain(removed).fold(Ok(()), Result::and)
    }
}
