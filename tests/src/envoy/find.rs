//! Where things are.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Envoy to test with: `ENVOY_BIN`, or the one that `make` puts into `.tools`.
pub fn envoy_binary() -> PathBuf {
    let path = std::env::var_os("ENVOY_BIN")
        .map_or_else(|| repository().join(".tools/bin/envoy"), PathBuf::from);
    assert!(
        path.exists(),
        "{} is missing: run `make tools`, or set ENVOY_BIN",
        path.display()
    );
    path
}

/// The built module of a filter, from `SEAWALL_DIST` or `dist/`.
pub fn dist(filter: &str) -> PathBuf {
    let folder =
        std::env::var_os("SEAWALL_DIST").map_or_else(|| repository().join("dist"), PathBuf::from);
    let path = folder.join(format!("{filter}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `make` first",
        path.display()
    );
    path.canonicalize().expect("it exists")
}
