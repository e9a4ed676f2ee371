//! The demonstration behind `make demo` and `make run`.

mod breaker;
mod cache;
mod limit;
mod stage;
mod trace;

pub use breaker::circuit_breaker;
pub use cache::response_cache;
pub use limit::rate_limit;
pub use stage::Stage;
pub use trace::trace_headers;

/// Prints what was claimed and seen; ends the demonstration when it was not so.
fn claim(what: &str, true_: bool) {
    println!("  {} {what}", if true_ { "ok " } else { "NOT" });
    assert!(true_, "the demonstration claimed, and did not see: {what}");
}

fn title(text: &str) {
    println!("\n{text}\n{}", "-".repeat(text.len()));
}
