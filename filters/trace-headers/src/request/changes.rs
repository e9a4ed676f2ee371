//! Changes to a header map, made in as few host calls as there can be.

use seawall_core::headers::Headers;
use seawall_core::host::{Answer, Host, Map};

/// The host takes at most 1,024 fields and 1 MiB in one call, and reads more as nothing at all.
const MOST_FIELDS: usize = 1000;
const MOST_BYTES: usize = 512 * 1024;

/// Changes to a header map.
#[derive(Debug, Default)]
pub struct Changes<'a> {
    set: Vec<(&'a str, Vec<u8>)>,
    remove: Vec<&'a str>,
}

impl<'a> Changes<'a> {
    /// All lines of this field become one.
    pub fn set(&mut self, name: &'a str, value: Vec<u8>) {
        self.set.push((name, value));
    }

    /// The field goes, where it is there.
    pub fn remove(&mut self, headers: &Headers, name: &'a str) {
        let known = self.touches(name.as_bytes());
        if !known && headers.get(name).is_some() {
            self.remove.push(name);
        }
    }

    fn touches(&self, name: &[u8]) -> bool {
        let set = self.set.iter().map(|(name, _)| *name);
        set.chain(self.remove.iter().copied())
            .any(|known| known.as_bytes() == name)
    }

    /// Makes the changes to a map that holds `headers`.
    ///
    /// # Errors
    /// When the host refuses one of them; the others are made.
    pub fn apply(&self, host: &dyn Host, map: Map, headers: &Headers) -> Answer<()> {
        let count = self.set.len().saturating_add(self.remove.len());
        let small = headers.len() <= MOST_FIELDS && headers.as_abi().len() <= MOST_BYTES;
        if count > 1 && small {
            let mut pairs: Vec<(&[u8], &[u8])> = headers
                .iter()
                .filter(|(name, _)| !self.touches(name))
                .collect();
            pairs.extend(
                self.set
                    .iter()
                    .map(|(name, value)| (name.as_bytes(), value.as_slice())),
            );
            if host.set_headers(map, &Headers::from_pairs(&pairs)).is_ok() {
                return Ok(());
            }
        }
        let mut done = Ok(());
        for (name, value) in &self.set {
            done = done.and(host.set_header(map, name, value));
        }
        for name in &self.remove {
            done = done.and(host.remove_header(map, name));
        }
        done
    }
}
