//! The `baggage` header (W3C Baggage): propagated whole within its limits, else without the members that do not fit.

use super::trim;
use crate::bytes::{all, PRINTABLE_OR_TAB, TOKEN};

/// What a platform must at least propagate: this many members.
pub const MEMBERS: usize = 64;
/// And this many bytes.
pub const BYTES: usize = 8192;

/// What becomes of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Baggage {
    /// It goes on as it is, on as many lines as it came.
    Unchanged,
    /// It goes on as this one line; nothing goes on when it is empty.
    Rewritten {
        /// The new value.
        value: Vec<u8>,
        /// Members that were malformed or did not fit.
        dropped: usize,
    },
}

/// Limits hold for all lines together. A member is never cut; the left ones stay.
pub fn receive(lines: &[&[u8]], max_members: usize, max_bytes: usize) -> Baggage {
    let mut value = Vec::new();
    let (mut kept, mut dropped) = (0usize, 0usize);
    for line in lines {
        for member in line.split(|byte| *byte == b',') {
            let member = trim(member);
            if member.is_empty() {
                continue;
            }
            let comma = usize::from(kept > 0);
            let length = value
                .len()
                .saturating_add(comma)
                .saturating_add(member.len());
            if !is_member(member) || kept >= max_members || length > max_bytes {
                dropped = dropped.saturating_add(1);
                continue;
            }
            if kept > 0 {
                value.push(b',');
            }
            value.extend_from_slice(member);
            kept = kept.saturating_add(1);
        }
    }
    let size = lines
        .iter()
        .fold(lines.len().saturating_sub(1), |sum, line| {
            sum.saturating_add(line.len())
        });
    if dropped == 0 && kept > 0 && size <= max_bytes {
        return Baggage::Unchanged;
    }
    Baggage::Rewritten { value, dropped }
}

/// A token, an equals sign, and nothing that is not printable ASCII. What else the grammar forbids in a value (quotes,
/// spaces) is sent by real producers; passing it on harms nobody.
fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else {
        return false;
    };
    let key = trim(member.get(..at).unwrap_or_default());
    !key.is_empty() && all(TOKEN, key) && all(PRINTABLE_OR_TAB, member)
}
