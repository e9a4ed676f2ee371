//! What the `seawall` command reads.

use clap::Parser;
use seawall_cli::args::{Args, Command, Explain};
use seawall_cli::check::check;
use seawall_cli::convert::{self, Converted};
use seawall_cli::document::read;
use seawall_cli::explain::{explain, Request};
use serde_json::Value;

/// A request that says something to every filter.
fn explained() -> Explain {
    let words = ["seawall", "explain", "f", "--request", "GET /orders?id=1"];
    match Args::parse_from(words).command {
        Command::Explain(explain) => explain,
        _ => unreachable!("these words are of explain"),
    }
}

fn printed(converted: Result<Converted, String>) {
    match converted {
        Ok(converted) => {
            assert!(read(&converted.yaml()).is_ok(), "{}", converted.yaml());
            converted.json();
        }
        Err(problem) => assert!(!problem.is_empty(), "refused without a word"),
    }
}

/// Any text as a file: checked, explained and converted, or refused with words; and JSON is read as serde_json reads it.
pub fn documents(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check("f", &text);
    if let Ok(request) = Request::new(&explained()) {
        let _ = explain("f", &text, None, &request);
    }
    printed(convert::nginx(&text));
    let documents = read(&text);
    if let Ok(documents) = &documents {
        printed(convert::envoy(documents));
    }
    if let Ok(theirs @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(&text) {
        match documents.as_deref() {
            Ok([ours]) => assert_eq!(ours.json(), theirs),
            other => panic!("{other:?} is JSON"),
        }
    }
}
