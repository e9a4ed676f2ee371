//! The `tracestate` header (W3C Trace Context Level 2, section 3.3).

use super::trim;

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

/// Combines the field lines, checks them and fits them into `max_length` bytes.
///
/// Several lines become one. Empty members go, and so does the right one of two with the same key: the left is newer.
/// What is too long loses whole members, those over 128 bytes first, then from the right.
pub fn receive(lines: &[&[u8]], max_length: usize) -> Tracestate {
    if lines.is_empty() {
        return Tracestate::Absent;
    }
    let mut members: Vec<(&[u8], &[u8])> = Vec::new();
    let mut seen = 0usize;
    let mut dropped = false;
    for member in lines
        .iter()
        .flat_map(|line| line.split(|byte| *byte == b','))
    {
        let member = trim(member);
        if member.is_empty() {
            dropped = true;
            continue;
        }
        seen = seen.saturating_add(1);
        let key = key_of(member).filter(|_| seen <= MOST_MEMBERS);
        let Some(key) = key else {
            return Tracestate::Invalid;
        };
        if members.iter().any(|(known, _)| *known == key) {
            dropped = true;
        } else {
            members.push((key, member));
        }
    }
    let mut members: Vec<&[u8]> = members.into_iter().map(|(_, member)| member).collect();
    if members.is_empty() {
        return Tracestate::Empty;
    }
    let before = members.len();
    truncate(&mut members, max_length);
    let truncated = before.saturating_sub(members.len());
    match (lines, members.is_empty()) {
        ([line], false) if !dropped && truncated == 0 && line.len() <= max_length => {
            Tracestate::Unchanged
        }
        _ => Tracestate::Rewritten {
            value: members.join(&b','),
            truncated,
        },
    }
}

/// The key of a member that keeps to the grammar.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = member.split_at_checked(at)?;
    let value = value.get(1..)?;
    (is_key(key) && is_value(value)).then_some(key)
}

fn is_key(key: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= LONGEST
        && key.first().is_some_and(letter)
        && key
            .iter()
            .all(|byte| letter(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// Spaces at the front are part of a value; those at the end were taken off with the whitespace around the member.
fn is_value(value: &[u8]) -> bool {
    (1..=LONGEST).contains(&value.len())
        && value
            .iter()
            .all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='))
        && value.last() != Some(&b' ')
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
