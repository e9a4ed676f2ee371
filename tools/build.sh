#!/usr/bin/env bash
# Builds the modules of the filters named into dist/: tools/build.sh FILTER...
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-wasip1
if ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
  echo "adding the Rust target $target"
  if ! rustup target add "$target"; then
    echo "The Rust target $target is missing and could not be added. Install rustup (https://rustup.rs) and run:" >&2
    echo "  rustup target add $target" >&2
    exit 1
  fi
fi

packages=()
for filter in "$@"; do packages+=(-p "$filter-plugin"); done
cargo build --quiet --locked --release --target "$target" "${packages[@]}"
cargo build --quiet --locked --release -p seawall-module

out=${CARGO_TARGET_DIR:-target}
mkdir -p dist
for filter in "$@"; do
  callbacks=$(sed -n 's/^callbacks = \[\(.*\)\]/\1/p' "filters/$filter/plugin/Cargo.toml" | tr -d '",')
  # shellcheck disable=SC2086  # one word per callback
  "$out/release/seawall-module" "$out/$target/release/${filter//-/_}_plugin.wasm" "dist/$filter.wasm" $callbacks
  printf '%8d bytes  dist/%s.wasm\n' "$(wc -c <"dist/$filter.wasm")" "$filter"
done
