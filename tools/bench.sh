#!/usr/bin/env bash
# What each filter costs beside its peers: tools/bench.sh [--rounds N] [--requests N] [--only TEXT] [--skip-scaling] ...
set -euo pipefail
cd "$(dirname "$0")/.."
export ENVOY_BIN=${ENVOY_BIN:-$PWD/.tools/bin/envoy}
cargo build --quiet --locked --release --target wasm32-wasip1 -p seawall-noop -p seawall-probe
cargo build --quiet --locked --release -p seawall-module

# The probe with the callbacks of each filter: it makes the filter's host calls and does nothing else.
release=${CARGO_TARGET_DIR:-target}/wasm32-wasip1/release
for filter in rate-limit response-cache circuit-breaker trace-headers seawall; do
  callbacks=$(sed -n 's/^callbacks = \[\(.*\)\]/\1/p' "filters/$filter/plugin/Cargo.toml" | tr -d '",')
  # shellcheck disable=SC2086  # one word per callback
  "${CARGO_TARGET_DIR:-target}/release/seawall-module" "$release/seawall_probe.wasm" "$release/seawall_calls_of_$filter.wasm" $callbacks
done
cargo run --quiet --locked --release -p seawall-bench -- "$@"
