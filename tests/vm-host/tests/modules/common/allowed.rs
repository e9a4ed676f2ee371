//! `capability_restriction_config` in `envoy/envoy.yaml`: what a module may call, and what Envoy may call in it.

use super::FILTERS;
use std::collections::BTreeSet;
use std::path::Path;

/// The capabilities that the example allows a filter; what all four together need, for the four as one.
pub fn in_the_example(filter: &str) -> BTreeSet<String> {
    if filter == "seawall" {
        return FILTERS.iter().flat_map(|one| in_the_example(one)).collect();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy/envoy.yaml");
    let text = std::fs::read_to_string(file).expect("the example is there");
    let vm = format!("vm_id: seawall.{}\n", filter.replace('-', "_"));
    let after = text
        .split_once(&vm)
        .expect("the filter is in the example")
        .1;
    let list = after
        .split_once("allowed_capabilities:")
        .expect("it has a restriction")
        .1;
    list.lines()
        .skip(1)
        .map(str::trim)
        .map_while(|line| line.strip_suffix(": {}"))
        .map(str::to_owned)
        .collect()
}

/// Host calls in the example are those that the module makes in any of its lives, no more and no less.
pub fn equal(filter: &str, called: &BTreeSet<&'static str>) {
    let allowed = in_the_example(filter);
    let called: BTreeSet<String> = called.iter().map(|name| (*name).to_owned()).collect();
    let calls: BTreeSet<String> = allowed
        .iter()
        .filter(|name| !name.starts_with("proxy_on_"))
        .cloned()
        .collect();
    let missing: Vec<_> = called.difference(&calls).collect();
    let needless: Vec<_> = calls.difference(&called).collect();
    assert!(
        missing.is_empty() && needless.is_empty(),
        "allowed_capabilities of {filter} in envoy/envoy.yaml: missing {missing:?}, needless {needless:?}"
    );
}
