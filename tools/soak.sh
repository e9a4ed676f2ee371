#!/usr/bin/env bash
# A million requests, nearly all of other tenants, URLs and trace ids, through all four filters: tools/soak.sh [REQUESTS]
set -euo pipefail
cd "$(dirname "$0")/.."
export ENVOY_BIN=${ENVOY_BIN:-$PWD/.tools/bin/envoy}
SOAK_REQUESTS=${1:-1000000} cargo test --locked -p seawall-tests --test floods_soak memory -- --nocapture
