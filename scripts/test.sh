#!/usr/bin/env bash
# Runs every test and ends in one line: `N passed, N failed`. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

# The outside judge of LLM calls, which a test starts.
scripts/llmock.sh >/dev/null
# The mail server that a test sends to.
scripts/smtp_sink.sh >/dev/null
# The proxies that the API is tested behind.
scripts/proxies.sh >/dev/null

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Most of what the judges at the end need is compiled while the tests wait for their events, behind everything else.
# Cargo lets nobody else build until the tests run. Of the chaos build only the library: its binary would take the place
# of the one that the tests start.
spare_time() {
  until grep -q '^ *Running ' "$log"; do sleep 1; done
  nice -n 19 cargo test --locked --test runbook --no-run
  nice -n 19 cargo build --locked --features chaos --lib
}
spare_time >/dev/null 2>&1 &
spare=$!

# Tests wait for events more than they compute.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(getconf _NPROCESSORS_ONLN)))}

status=0
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?
grep -q '^ *Running ' "$log" || kill "$spare"
wait "$spare" || true

# Sums the `test result: ok. 12 passed; 0 failed; …` lines of all test binaries.
sum() { awk -v word="$1" '/^test result: / { for (i = 2; i <= NF; i++) if ($i ~ "^" word) n += $(i - 1) } END { print n + 0 }' "$log"; }
passed=$(sum passed)
failed=$(sum failed)
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  # Did not build, or a test binary died without a result line.
  failed=1
fi

# One outside judge's verdict, counted as one test.
judge() {
  echo "judge: $*"
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
  fi
}

judge scripts/alert-rules.sh
judge python3 deploy/grafana/generate.py --check
# What deploy/ and .github/ say, by the tools that read it.
for name in $(scripts/validate_deploy.sh --list); do
  judge scripts/validate_deploy.sh "$name"
done
# Every command of runbook.md, and the trouble that it is for.
judge cargo test --locked --test runbook
# Workers killed inside effects: none may happen twice. Without the guard some do.
judge cargo test --locked --features chaos --test effects -- --jobs 320 --kills 12
judge cargo test --locked --features chaos --test effects -- --jobs 200 --kills 8 --unguarded
# A minute and a half of faults against real processes, judged by their history.
judge cargo test --locked --features chaos --test chaos -- run --minutes 1.5 --seed 7

if [ "$failed" -gt 0 ]; then
  # Again at the end, where they are seen.
  sed -n '/^failures:$/,/^test result:/p' "$log" | grep -E '^    [a-zA-Z0-9_:]+$' | sort -u | sed 's/^ */failed: /' || true
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
