#!/usr/bin/env bash
# Fuzzes every reader and every decoder, each for SECONDS_EACH seconds (300) from its checked-in corpus, JOBS
# (2) at a time; TARGETS names some of them. With KEEP=1 the shortest inputs that reach new code join the corpus.
# A finding stays in fuzz/artifacts/, and the others go on.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export SECONDS_EACH=${SECONDS_EACH:-300} KEEP=${KEEP:-}

need_build_tools
need_cargo_tool cargo-fuzz 0.13.2

# Safe Rust gives a sanitizer nothing to find. Without one it runs twice as fast, and the compiler need not be a
# nightly one.
cargo fuzz build --sanitizer none
host=$(rustc --version --verbose | sed -n 's/^host: //p')
export binaries=fuzz/target/$host/release found=$cache/fuzzing

# One binary fuzzes all protocols. Without the name of one it lists those that the engine has.
readers=$(cargo fuzz list | grep -vx protocol)
protocols=$("$binaries/protocol" 2>/dev/null | cut -d' ' -f1 || true)
for name in ${TARGETS:-}; do
    if ! grep -qx "$name" <<<"$readers"$'\n'"$protocols"; then
        # shellcheck disable=SC2086 # one line
        fail "there is no target \`$name\`; there are:" $readers $protocols
    fi
done

fuzz() {
    local target=$1 binary=$binaries/protocol log=$found/$1.log
    local corpora=("$found/$target" "fuzz/corpus/$target")
    if [[ -x $binaries/$target ]]; then
        binary=$binaries/$target
    fi
    mkdir -p "${corpora[@]}" "fuzz/artifacts/$target"
    export WEIR_FUZZ_PROTOCOL=$target
    # 5 s, 1 GiB, or 256 MiB at once are far more than any input may need.
    if ! "$binary" "${corpora[@]}" -artifact_prefix="fuzz/artifacts/$target/" -max_total_time="$SECONDS_EACH" \
        -timeout=5 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1 >"$log" 2>&1; then
        printf '%-20s FINDING, see %s; again:\n' "$target" "$log"
        sed -n "s|.*Test unit written to |    WEIR_FUZZ_PROTOCOL=$target $binary |p" "$log"
        return 1
    fi
    local executions edges
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2)
    printf '%-20s %12d executions %8d edges\n' "$target" "$executions" "$edges"
    if [[ -n $KEEP ]]; then
        "$binary" -set_cover_merge=1 -use_counters=0 -max_len=400 "fuzz/corpus/$target" "$found/$target" >>"$log" 2>&1
    fi
}
export -f fuzz

say "Fuzzing, $SECONDS_EACH s each"
mkdir -p "$found"
# shellcheck disable=SC2086 # names of targets have no blanks
if ! printf '%s\n' ${TARGETS:-$readers $protocols} | xargs -P "${JOBS:-2}" -I{} bash -c 'fuzz {}'; then
    fail "there are findings, see above"
fi
say "No findings"
