//! What comes back from shared data and from other services.

use seawall_circuit_breaker::table::Slot;
use seawall_rate_limit::fleet::wire;
use seawall_response_cache::entry::Entry;

/// Any bytes as a stored record: nothing, or something that is written as it was read.
pub fn records(bytes: &[u8]) {
    if let Some(entry) = Entry::decode(bytes) {
        let written = entry.encode().expect("room for it");
        assert_eq!(Entry::decode(&written), Some(entry));
    }
    let slot = Slot::decode(Some(bytes));
    assert_eq!(Slot::decode(Some(&slot.encode())), slot);
}

/// Any bytes as the answer of a rate limit service.
pub fn fleet_answer(bytes: &[u8]) {
    if let Some(answer) = wire::answer(bytes) {
        assert!(answer.statuses.len() <= bytes.len() / 2 + 1);
    }
}
