//! What Envoy may call in each module, in the example, is what the module has.

use crate::common::allowed::in_the_example;
use seawall_vm_host::module;
use std::collections::BTreeSet;

#[test]
fn callbacks_allowed_in_the_example_are_those_of_the_module() {
    for filter in [
        "rate-limit",
        "response-cache",
        "circuit-breaker",
        "trace-headers",
        "seawall",
    ] {
        let module = module(filter);
        let exported: BTreeSet<String> = module
            .exports()
            .map(|export| export.name().to_owned())
            // Memory is handed over whatever is allowed.
            .filter(|name| name.starts_with("proxy_on_") && name != "proxy_on_memory_allocate")
            .collect();
        let allowed: BTreeSet<String> = in_the_example(filter)
            .into_iter()
            .filter(|name| name.starts_with("proxy_on_"))
            .collect();
        assert_eq!(allowed, exported, "{filter}");
    }
}
