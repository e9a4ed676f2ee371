#!/usr/bin/env bash
# Format, clippy (natively and for the modules) and what is depended on: tools/lint.sh FILTER...
# ADVISORIES=1 checks known advisories as well.
set -euo pipefail
cd "$(dirname "$0")/.."

# The probe of the benchmark is a module as well.
plugins=(-p seawall-probe)
exclude=(--exclude seawall-probe)
for filter in "$@"; do
  plugins+=(-p "$filter-plugin")
  exclude+=(--exclude "$filter-plugin")
done
cargo fmt --all --check
# The plugins link host functions that exist only inside a proxy, so they are checked for wasm alone.
cargo clippy --quiet --locked --workspace "${exclude[@]}" --exclude seawall-host --all-targets -- -D warnings
cargo clippy --quiet --locked --target wasm32-wasip1 -p seawall-host "${plugins[@]}" -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps --workspace "${exclude[@]}" --exclude seawall-host
# The tests must not depend on the network; `make lint` asks for the advisories.
tools/deny.sh ${ADVISORIES:+--advisories}
