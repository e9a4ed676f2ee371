#!/usr/bin/env bash
# Builds the modules twice, each time from nothing and in another folder, and compares them: tools/reproducible.sh FILTER...
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then set -- rate-limit response-cache circuit-breaker trace-headers; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for build in one two; do
  mkdir -p "$work/$build"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/$build" 2>/dev/null || true
  CARGO_TARGET_DIR="$work/$build/target" "$work/$build/tools/build.sh" "$@" >/dev/null
  rm -rf "$work/$build/target"
done
for filter in "$@"; do
  one=$(sha256sum <"$work/one/dist/$filter.wasm")
  two=$(sha256sum <"$work/two/dist/$filter.wasm")
  if [ "$one" != "$two" ]; then
    echo "$filter.wasm differs between two builds" >&2
    exit 1
  fi
  printf '%s  %s.wasm\n' "${one%% *}" "$filter"
done
