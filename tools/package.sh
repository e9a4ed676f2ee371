#!/usr/bin/env bash
# Puts checksums, images and their digests beside the modules in dist/: tools/package.sh FILTER...
set -euo pipefail
cd "$(dirname "$0")/.."
for filter in "$@"; do
  [ -f "dist/$filter.wasm" ] || { echo "dist/$filter.wasm is missing: make builds it" >&2; exit 1; }
done
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
python3 tools/package.py "$version" "$revision" "$@"
(cd dist && sha256sum ./*.wasm images/*.tar | sed 's| \./| |' >SHA256SUMS)
cat dist/SHA256SUMS dist/images/DIGESTS
