//! Every property of every parser: over the corpus of the fuzzer, over bytes alike to it, and over any bytes.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use seawall_parsers::ALL;
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    files
        .iter()
        .map(|file| std::fs::read(file).expect("readable"))
        .collect()
}

#[test]
fn over_the_corpus() {
    for (name, property) in ALL {
        for input in corpus(name) {
            println!("{name}: {}", String::from_utf8_lossy(&input));
            property(&input);
        }
    }
}

/// An input of the corpus with some bytes changed, taken out or put in, or any bytes.
fn inputs(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    let edited = (
        prop::sample::select(corpus),
        prop::collection::vec(edit, 0..6),
    )
        .prop_map(|(mut bytes, edits)| {
            for (at, byte, what) in edits {
                let at = at.index(bytes.len() + 1);
                match what {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => bytes.push(byte),
                }
            }
            bytes
        });
    prop_oneof![
        4 => edited,
        1 => prop::collection::vec(any::<u8>(), 0..200),
    ]
}

/// How many inputs: fewer where each is many requests through five filters.
fn cases(name: &str) -> u32 {
    match name {
        "shared_data" => 100,
        "known" | "service_answers" => 500,
        _ => 2_000,
    }
}

#[test]
fn over_bytes_alike_to_the_corpus() {
    for (name, property) in ALL {
        let config = Config {
            cases: cases(name),
            failure_persistence: None,
            ..Config::default()
        };
        let result = TestRunner::new(config).run(&inputs(corpus(name)), |bytes| {
            property(&bytes);
            Ok(())
        });
        assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
    }
}

#[test]
fn every_property_has_a_fuzz_target() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).expect("readable");
    for (name, _) in ALL {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} has no target"
        );
    }
}
