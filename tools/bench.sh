#!/usr/bin/env bash
# What each filter costs beside its peers: tools/bench.sh [--rounds N] [--requests N] [--only TEXT] [--skip-scaling] ...
set -euo pipefail
cd "$(dirname "$0")/.."
export ENVOY_BIN=${ENVOY_BIN:-$PWD/.tools/bin/envoy}
cargo build --quiet --locked --release --target wasm32-wasip1 -p seawall-noop -p seawall-probe
cargo run --quiet --locked --release -p seawall-bench -- "$@"
