//! Envoy's `FractionalPercent`.

use crate::document::Node;

const DENOMINATORS: [(&str, u64); 3] = [("HUNDRED", 0), ("TEN_THOUSAND", 1), ("MILLION", 2)];

/// A share in percent.
pub fn percent(share: &Node) -> f64 {
    let numerator = share.get("numerator").and_then(|node| node.whole());
    let numerator = numerator.unwrap_or(0) as f64;
    let denominator = share.get("denominator");
    match denominator.and_then(|node| node.word(&DENOMINATORS)) {
        Some(1) => numerator / 100.0,
        Some(2) => numerator / 10_000.0,
        _ => numerator,
    }
}
