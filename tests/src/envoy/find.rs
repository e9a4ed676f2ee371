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
        "{} is missing: run `make envoy`, or set ENVOY_BIN",
        path.display()
    );
    path
}

/// The minor version of that Envoy: 40 of 1.40.0.
pub fn envoy_minor() -> u32 {
    static MINOR: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *MINOR.get_or_init(|| {
        let output = std::process::Command::new(envoy_binary())
            .arg("--version")
            .output()
            .expect("Envoy can be started");
        // `… version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split('/').find_map(|part| part.strip_prefix("1."));
        let minor = version.and_then(|rest| rest.split('.').next()?.parse().ok());
        minor.expect("Envoy says its version")
    })
}

/// Whether that Envoy has something that came with this minor version; where not, says so past the capture of a test's output.
pub fn envoy_has(since: u32, what: &str) -> bool {
    use std::io::Write;
    let minor = envoy_minor();
    if minor < since {
        let _ = writeln!(
            std::io::stderr(),
            "skipped on Envoy 1.{minor}: {what} came with 1.{since}"
        );
    }
    minor >= since
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
