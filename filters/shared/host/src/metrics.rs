//! The metrics that this VM has defined so far.
//!
//! Envoy gives out a new number for each definition, of a known name as well, and keeps it as long as the VM lives. A VM outlives
//! the configurations of its filters, each of which defines its metrics: so a name is defined once, and its number is kept here.

use crate::abi;
use seawall_core::host::Answer;
use std::cell::Cell;

/// Chains that names are spread over: the metrics of a thousand limits are some fifty in each.
const CHAINS: usize = 128;
/// Names in a chain at most; what comes after them is defined every time.
const MOST: usize = 128;

/// What was defined, and what was in the chain before it. It is never given back, for it is true as long as the VM lives.
struct Known {
    kind: u32,
    name: Box<str>,
    number: u32,
    before: Option<&'static Known>,
}

thread_local! {
    static CHAIN: [Cell<Option<&'static Known>>; CHAINS] = const { [const { Cell::new(None) }; CHAINS] };
}

/// The number of a metric, which is defined when it is asked for first.
pub(crate) fn define(kind: u32, name: &str) -> Answer<u32> {
    let add = |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
    let place = name.bytes().fold(0, add) % CHAINS;
    CHAIN.with(|chains| {
        let mut length = 0usize;
        let mut next = chains.get(place).and_then(Cell::get);
        while let Some(known) = next {
            if known.kind == kind && *known.name == *name {
                return Ok(known.number);
            }
            length = length.saturating_add(1);
            next = known.before;
        }
        let number = abi::define_metric(kind, name)?;
        if let Some(last) = chains.get(place).filter(|_| length < MOST) {
            last.set(Some(Box::leak(Box::new(Known {
                kind,
                name: name.into(),
                number,
                before: last.get(),
            }))));
        }
        Ok(number)
    })
}
