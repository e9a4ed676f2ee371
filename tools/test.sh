#!/usr/bin/env bash
# Every test, or those of one filter: tools/test.sh [FILTER]
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:$PWD/.tools/bin"
export ENVOY_BIN=${ENVOY_BIN:-$PWD/.tools/bin/envoy}

filter=${1:-}
filters=(rate-limit response-cache circuit-breaker trace-headers seawall)
pure=(-p seawall-core)
for name in "${filters[@]}"; do
  if [ -z "$filter" ] || [ "$filter" = "$name" ]; then pure+=(-p "seawall-$name"); fi
done
if [ -n "$filter" ] && [[ " ${filters[*]} " != *" $filter "* ]]; then
  echo "no filter is called $filter; there are: ${filters[*]}" >&2
  exit 1
fi

step() { printf '\n== %s\n' "$1"; }

step "format, clippy, documentation"
if [ -z "$filter" ]; then
  tools/lint.sh "${filters[@]}"
else
  cargo fmt --all --check
  cargo clippy --quiet --locked -p "seawall-$filter" --all-targets -- -D warnings
  cargo clippy --quiet --locked --target wasm32-wasip1 -p "$filter-plugin" -- -D warnings
fi

step "unit and property tests, natively"
cargo test --locked "${pure[@]}"

step "the same cores on wasm32, under Node.js"
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$PWD/.tools/bin/wasm-bindgen-test-runner" \
  cargo test --locked --target wasm32-unknown-unknown "${pure[@]}" --test wasm

if [ -z "$filter" ]; then
  step "the command, the tools, the modules on an interpreter, in a real Envoy, and as a fleet on a real Redis"
  # In one go, so that what they depend on is built once, and all of them, however many fail: one run says everything.
  cargo test --locked --no-fail-fast -p seawall-parsers -p seawall-vm-host -p seawall-cli -p seawall-bench -p seawall-module \
    -p seawall-tests -p seawall-rls
  exit
fi

step "no status of any host call makes a module trap"
cargo test --locked -p seawall-vm-host "${filter//-/_}"

step "in a real Envoy"
targets=()
for file in tests/tests/"${filter//-/_}"*.rs tests/tests/"${filter//-/_}"*/main.rs; do
  [ -e "$file" ] || continue
  name=${file%/main.rs}
  targets+=(--test "$(basename "$name" .rs)")
done
cargo test --locked -p seawall-tests "${targets[@]}"

if [ "$filter" = rate-limit ]; then
  step "limits that a fleet shares, through a real service on a real Redis"
  cargo test --locked -p seawall-rls
fi
