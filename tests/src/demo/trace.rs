use super::{claim, title, Stage};
use crate::wait::eventually;
use serde_json::Value;

/// One request through two hops, and its lines in the log.
pub async fn trace_headers(stage: &Stage) {
    title("trace-headers: one request through two hops");
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = stage
        .envoy
        .get_with("/checkout", &[("traceparent", &parent)])
        .await;
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    let seen = stage.payments.last();
    println!("  the client sent       traceparent: {parent}");
    println!(
        "  the service received  traceparent: {}",
        seen.header("traceparent").unwrap_or("-")
    );
    println!(
        "  and                   x-request-id: {}",
        seen.header("x-request-id").unwrap_or("-")
    );
    claim(
        "the trace went through both hops, the request id came back to the client",
        {
            seen.header("traceparent")
                .is_some_and(|value| value.contains(trace))
                && !id.is_empty()
                && seen.header("x-request-id") == Some(id.as_str())
        },
    );
    let lines = eventually("both hops have logged", || async {
        let lines: Vec<Value> = stage
            .envoy
            .log()
            .lines()
            .filter(|line| line.starts_with('{') && line.contains(trace))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    for line in &lines {
        println!("  log: {line}");
    }
    claim(
        "each hop logged one JSON line with that trace, its own span, and the request id",
        {
            lines.len() == 2
                && lines[0]["span_id"] != lines[1]["span_id"]
                && lines
                    .iter()
                    .all(|line| line["trace_id"] == trace && line["request_id"] == id.as_str())
        },
    );
    let refused = stage.envoy.get("/nowhere-but-orders").await;
    claim(
        "every other answer carries an id as well",
        refused.header("x-request-id").is_some(),
    );
}
