#!/usr/bin/env bash
# Says what this computer lacks: what has to be there, and what only some things need.
cd "$(dirname "$0")/.." || exit 1
missing=0
report() {
  if [ "$2" = yes ]; then printf 'ok       %s\n' "$1"; else printf 'missing  %s: %s\n' "$1" "$3"; missing=1; fi
}
option() {
  if [ "$2" = yes ]; then printf 'ok       %s\n' "$1"; else printf 'without  %s: %s\n' "$1" "$3"; fi
}
has() { command -v "$1" >/dev/null && echo yes; }

report cargo "$(has cargo)" "install Rust with rustup (https://rustup.rs)"
report rustup "$(has rustup)" "install Rust with rustup (https://rustup.rs)"
needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
have=$(rustc --version 2>/dev/null | cut -d ' ' -f 2)
report "Rust $needed or newer" "$(printf '%s\n%s\n' "$needed" "${have:-0}" | sort --check=quiet --version-sort && echo yes)" \
  "rustup update stable"
for target in wasm32-wasip1 wasm32-unknown-unknown; do
  report "Rust target $target" "$(rustup target list --installed 2>/dev/null | grep -qx "$target" && echo yes)" \
    "make tools adds it"
done
report "a linker (cc)" "$(has cc)" "install a C compiler (Debian and Ubuntu: build-essential)"
report python3 "$(has python3)" "install Python 3"
report "Python's venv" "$(python3 -c 'import venv, ensurepip' 2>/dev/null && echo yes)" "install python3-venv"
report curl "$(has curl)" "install curl: the tests type the examples of the documents"
report Envoy "$([ -x "${ENVOY_BIN:-.tools/bin/envoy}" ] && echo yes)" "make envoy installs it"
report Node.js "$({ [ -x .tools/bin/node ] || has node >/dev/null; } && echo yes)" "make tools installs it"
report Redis "$({ [ -n "${REDIS_SERVER:-}" ] || [ -x .tools/bin/redis-server ] || has redis-server >/dev/null; } && echo yes)" \
  "make tools installs it"
report "wasm-bindgen's test runner" "$([ -x .tools/bin/wasm-bindgen-test-runner ] && echo yes)" "make tools installs it"
option Chromium "$({ has chromium || has chromium-browser || has google-chrome; } | head -n 1)" \
  "the live view is tested by HTTP only"
for program in wrk h2load; do option "$program" "$(has "$program")" "make bench needs it"; done
exit $missing
