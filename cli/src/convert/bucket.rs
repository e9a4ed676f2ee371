//! Envoy's token bucket as a limit: so many at once, and so many in each interval.

use super::{name, Converted, MOST_REQUESTS};
use crate::document::{Content, Node};
use serde_json::{json, Map, Value};

/// The limit; none where its numbers cannot be read, or are none that a limit has, which is said.
pub(super) fn limit(
    bucket: &Node,
    wanted: &str,
    converted: &mut Converted,
) -> Option<Map<String, Value>> {
    let most = number(bucket, "max_tokens", 0, wanted, converted);
    let fill = number(bucket, "tokens_per_fill", 1, wanted, converted);
    let (most, fill) = (most?, fill?);
    let interval = match duration(bucket.text_of("fill_interval")) {
        Some(interval) => interval,
        None => {
            converted.remark(format!(
                "{wanted}: its fill_interval cannot be read, and is taken for 1s"
            ));
            "1s".to_owned()
        }
    };
    let mut limit = Map::new();
    limit.insert("name".to_owned(), json!(name(wanted)));
    limit.insert("requests".to_owned(), json!(fill));
    limit.insert("per".to_owned(), json!(interval));
    if most != fill {
        limit.insert("burst".to_owned(), json!(most));
    }
    converted.remark("a bucket is filled all the time, not once in each interval: nothing is admitted sooner than before in the long run");
    Some(limit)
}

/// A number of tokens, which is `absent` where it is not there.
fn number(
    bucket: &Node,
    field: &str,
    absent: u64,
    wanted: &str,
    converted: &mut Converted,
) -> Option<u64> {
    let node = bucket.get(field);
    let node = node.filter(|node| !matches!(node.content, Content::Null));
    let found = node.map_or(Some(absent), |node| node.whole());
    let found = found.filter(|number| (1..=MOST_REQUESTS).contains(number));
    if found.is_none() {
        converted.remark(format!(
            "{wanted}: its {field} is no whole number from 1 to {MOST_REQUESTS}, and the limit is left out"
        ));
    }
    found
}

/// A protobuf duration, `60s` or `0.1s`, as one of ours.
fn duration(text: &str) -> Option<String> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    let millis = (seconds * 1000.0).round();
    if !(1.0..=3.2e10).contains(&millis) {
        return None;
    }
    let millis = millis as u64;
    Some(if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    })
}
