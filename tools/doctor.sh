#!/usr/bin/env bash
# Says what this computer lacks.
cd "$(dirname "$0")/.."
missing=0
report() {
  if [ "$2" = yes ]; then printf 'ok       %s\n' "$1"; else printf 'missing  %s: %s\n' "$1" "$3"; missing=1; fi
}
has() { command -v "$1" >/dev/null && echo yes; }

report cargo "$(has cargo)" "install Rust with rustup"
report rustup "$(has rustup)" "install Rust with rustup"
for target in wasm32-wasip1 wasm32-unknown-unknown; do
  report "Rust target $target" "$(rustup target list --installed 2>/dev/null | grep -qx "$target" && echo yes)" \
    "make adds it"
done
report python3 "$(has python3)" "install Python 3"
report "Python's venv" "$(python3 -c 'import venv, ensurepip' 2>/dev/null && echo yes)" "install python3-venv"
report Envoy "$([ -x "${ENVOY_BIN:-.tools/bin/envoy}" ] && echo yes)" "make tools installs it"
report Node.js "$({ [ -x .tools/bin/node ] || has node >/dev/null; } && echo yes)" "make tools installs it"
report "wasm-bindgen's test runner" "$([ -x .tools/bin/wasm-bindgen-test-runner ] && echo yes)" "make tools installs it"
exit $missing
