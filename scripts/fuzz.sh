#!/usr/bin/env bash
# Runs each target of fuzz/ for SECONDS_EACH seconds from its checked-in corpus; TARGETS names some of them.
# Findings stop it, and stay in fuzz/artifacts/. New inputs that reach new code are kept in the cache.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seconds=${SECONDS_EACH:-300}

need_build_tools
if ! cargo +nightly --version >/dev/null 2>&1; then
    fail "fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal"
fi
need_cargo_tool cargo-fuzz 0.13.2

mapfile -t targets < <(tr ' ' '\n' <<<"${TARGETS:-$(cargo +nightly fuzz list)}")
for name in "${targets[@]}"; do
    say "$name for $seconds s"
    found=$cache/corpus/$name
    mkdir -p "$found" "fuzz/corpus/$name"
    cargo +nightly fuzz run "$name" "$found" "fuzz/corpus/$name" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
say "${#targets[@]} targets, $seconds s each, no findings"
