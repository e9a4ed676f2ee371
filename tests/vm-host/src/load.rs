//! The modules as they ship.

use crate::state::Pairs;
use std::path::{Path, PathBuf};
use wasmi::Module;

/// A built module: `rate-limit` and the like.
///
/// # Panics
/// When it was not built.
pub fn module(filter: &str) -> Module {
    let dist = std::env::var_os("SEAWALL_DIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist"),
        PathBuf::from,
    );
    let path = dist.join(format!("{filter}.wasm"));
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make` first", path.display()));
    Module::new(&crate::vm::engine(), &bytes[..]).expect("the module is valid")
}

/// Fields from text and bytes.
pub fn pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Pairs {
    fields
        .iter()
        .map(|(name, value)| (name.as_ref().to_vec(), value.as_ref().to_vec()))
        .collect()
}
