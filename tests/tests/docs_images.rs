//! What `make package` leaves: checksums of everything, and each module as an image in both layouts.

use seawall_tests::envoy::{dist, repository};
use seawall_tests::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILTERS: [&str; 5] = [
    "trace-headers",
    "rate-limit",
    "response-cache",
    "circuit-breaker",
    "seawall",
];

fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let ran = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output();
    let ran = ran.unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// A copy of what packaging needs, with the built modules, and the packages in its `dist`.
fn packaged() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["tools", "dist"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    for file in ["Cargo.toml", "tools/package.sh", "tools/package.py"] {
        std::fs::copy(repository().join(file), folder.path().join(file)).expect("a file");
    }
    for filter in FILTERS {
        let module = folder.path().join(format!("dist/{filter}.wasm"));
        std::fs::copy(dist(filter), module).expect("the module is built");
    }
    let mut arguments = vec!["tools/package.sh"];
    arguments.extend(FILTERS);
    run("bash", &arguments, folder.path());
    folder
}

/// The file of a digest in an unpacked layout, whose content has this digest.
fn blob(layout: &Path, digest: &Value) -> PathBuf {
    let digest = digest.as_str().expect("a digest").replace(':', "/");
    let path = layout.join("blobs").join(&digest);
    let sum = run("sha256sum", &[&path.display().to_string()], layout);
    assert!(digest.ends_with(sum.split(' ').next().unwrap_or_default()));
    path
}

/// The digest of an image, and the module in it.
fn module(archive: &Path, kind: &str) -> (String, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a folder");
    let layout = folder.path();
    run("tar", &["-xf", &archive.display().to_string()], layout);
    assert_eq!(
        json(&layout.join("oci-layout"))["imageLayoutVersion"],
        "1.0.0"
    );
    let index = json(&layout.join("index.json"));
    let digest = &index["manifests"][0]["digest"];
    let manifest = json(&blob(layout, digest));
    let digest = digest.as_str().unwrap_or_default().replace("sha256:", "");
    blob(layout, &manifest["config"]["digest"]);
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], kind);
    let layer = blob(layout, &layers[0]["digest"]);
    if kind.ends_with("+wasm") {
        return (digest, std::fs::read(layer).expect("the layer"));
    }
    let files = run("tar", &["-tf", &layer.display().to_string()], layout);
    assert_eq!(files, "plugin.wasm\n");
    run("tar", &["-xf", &layer.display().to_string()], layout);
    let module = std::fs::read(layout.join("plugin.wasm")).expect("plugin.wasm");
    (digest, module)
}

#[test]
fn every_module_is_packaged_in_both_layouts_with_checksums() {
    let folder = packaged();
    let dist = folder.path().join("dist");
    let digests = std::fs::read_to_string(dist.join("images/DIGESTS")).expect("the digests");
    for filter in FILTERS {
        let built = std::fs::read(dist.join(format!("{filter}.wasm"))).expect("the module");
        for (layout, kind) in [
            ("compat", "application/vnd.oci.image.layer.v1.tar+gzip"),
            (
                "artifact",
                "application/vnd.module.wasm.content.layer.v1+wasm",
            ),
        ] {
            let archive = dist.join(format!("images/{filter}-{layout}.tar"));
            let (digest, packaged) = module(&archive, kind);
            assert!(packaged == built, "{filter} {layout}: another module");
            let line = digests.lines().find(|line| line.starts_with(&digest));
            assert_eq!(line, Some(format!("{digest}  {filter}-{layout}").as_str()));
        }
    }
    let checked = run("sha256sum", &["--check", "SHA256SUMS"], &dist);
    assert_eq!(checked.matches(": OK").count(), 3 * FILTERS.len());
}

#[test]
fn the_recipe_has_one_layer_with_one_file() {
    let recipe = std::fs::read_to_string(repository().join("deploy/image/Containerfile"));
    let recipe = recipe.expect("the recipe");
    assert!(recipe.contains("COPY dist/${FILTER}.wasm ./plugin.wasm"));
    assert_eq!(recipe.matches("\nCOPY ").count(), 1);
    assert!(!recipe.contains("\nRUN "));
}
