//! The metrics that this VM has defined so far.
//!
//! Envoy gives out a new number for each definition, of a known name as well, and keeps it as long as the VM lives. A VM outlives
//! the configurations of its filters, each of which defines its metrics: so a name is defined once, and its number is kept here.

use crate::abi;
use seawall_core::host::Answer;
use std::cell::RefCell;

/// Names that are kept at most; what comes after them is defined every time.
const MOST: usize = 16_384;

struct Known {
    kind: u32,
    name: Box<str>,
    number: u32,
}

thread_local! {
    /// In order. A list, for the code of a tree would be larger, and configurations are rare.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

/// The number of a metric, which is defined when it is asked for first.
pub(crate) fn define(kind: u32, name: &str) -> Answer<u32> {
    KNOWN.with(|known| {
        let Ok(mut known) = known.try_borrow_mut() else {
            return abi::define_metric(kind, name);
        };
        let place = known.binary_search_by(|one| (one.kind, &*one.name).cmp(&(kind, name)));
        if let Some(one) = place.ok().and_then(|at| known.get(at)) {
            return Ok(one.number);
        }
        let number = abi::define_metric(kind, name)?;
        if known.len() < MOST {
            let at = place.unwrap_or_else(|at| at).min(known.len());
            let name = name.into();
            known.insert(at, Known { kind, name, number });
        }
        Ok(number)
    })
}
