//! The `tracestate` header (W3C Trace Context Level 2, section 3.3).

use super::trim;
use crate::bytes::{all, prefix, STATE_KEY, STATE_VALUE};

/// The most list members there may be.
pub const MOST_MEMBERS: usize = 32;
/// What everybody should pass on at least (section 3.3.1.5).
pub const LEAST: usize = 512;
/// Members longer than this go first when the header is too long.
const LONG: usize = 128;
/// The longest key and the longest value.
const LONGEST: usize = 256;

/// What becomes of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracestate {
    /// There is none, and none is sent.
    Absent,
    /// It goes on as it is.
    Unchanged,
    /// It goes on as this one line.
    Rewritten {
        /// The new value.
        value: Vec<u8>,
        /// Members that did not fit.
        truncated: usize,
    },
    /// It is empty: allowed to receive, not to be sent.
    Empty,
    /// It breaks the grammar and is not sent. The `traceparent` is not affected.
    Invalid,
}

/// Whether a line, where it is the only one, goes on as it is. Nearly every one does, and to find out no list of members is
/// made.
pub fn goes_on(line: &[u8], max_length: usize) -> bool {
    let mut keys: Vec<&[u8]> = Vec::new();
    let mut rest = Some(line);
    while let Some(list) = rest {
        let comma = list.iter().position(|byte| *byte == b',');
        let (member, after) = match comma.and_then(|at| list.split_at_checked(at)) {
            Some((member, after)) => (member, after.get(1..)),
            None => (list, None),
        };
        match key_of(trim(member)) {
            Some(key) if keys.len() < MOST_MEMBERS && !keys.contains(&key) => {
                // The last one is compared with nothing, and most are alone.
                if after.is_some() {
                    keys.push(key);
                }
            }
            _ => return false,
        }
        rest = after;
    }
    line.len() <= max_length
}

/// Combines the field lines, checks them and fits them into `max_length` bytes.
///
/// Several lines become one. Empty members go, and so does the right one of two with the same key: the left is newer.
/// What is too long loses whole members, those over 128 bytes first, then from the right.
pub fn receive(lines: &[&[u8]], max_length: usize) -> Tracestate {
    match lines {
        [] => return Tracestate::Absent,
        [line] if goes_on(line, max_length) => return Tracestate::Unchanged,
        _ => {}
    }
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut seen = 0usize;
    for line in lines {
        for member in line.split(|byte| *byte == b',') {
            let member = trim(member);
            if member.is_empty() {
                continue;
            }
            seen = seen.saturating_add(1);
            let key = key_of(member).filter(|_| seen <= MOST_MEMBERS);
            let Some(key) = key else {
                return Tracestate::Invalid;
            };
            if !members.iter().any(|(known, _)| *known == key) {
                members.push((key, member));
            }
        }
    }
    let mut members: Vec<&[u8]> = members.into_iter().map(|(_, member)| member).collect();
    if members.is_empty() {
        return Tracestate::Empty;
    }
    let before = members.len();
    truncate(&mut members, max_length);
    let truncated = before.saturating_sub(members.len());
    Tracestate::Rewritten {
        value: members.join(&b','),
        truncated,
    }
}

/// The key of a member that keeps to the grammar.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let (key, value) = member.split_at_checked(prefix(STATE_KEY, member))?;
    let [b'=', value @ ..] = value else {
        return None;
    };
    let begins = matches!(key, [b'a'..=b'z' | b'0'..=b'9', ..]) && key.len() <= LONGEST;
    // Spaces at the front are part of a value; those at the end were taken off with the whitespace around the member.
    let ends = value.last().is_some_and(|byte| *byte != b' ');
    let fits = value.len() <= LONGEST && all(STATE_VALUE, value);
    (begins && ends && fits).then_some(key)
}

fn length(members: &[&[u8]]) -> usize {
    let commas = members.len().saturating_sub(1);
    members
        .iter()
        .fold(commas, |sum, member| sum.saturating_add(member.len()))
}

fn truncate(members: &mut Vec<&[u8]>, max_length: usize) {
    while length(members) > max_length {
        match members.iter().rposition(|member| member.len() > LONG) {
            Some(at) => {
                members.remove(at);
            }
            None => {
                members.pop();
            }
        }
    }
}
