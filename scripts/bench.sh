#!/usr/bin/env bash
# Measures what Weir costs beside what this machine can do at best: on the captures that are named, or on
# large ones that it makes; and how long a contract of 150 types takes to build.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools

say "Building"
cargo build --release --locked --package weir
cargo build --release --locked --package weir-tests --example limits

captures=("$@")
if [[ ${#captures[@]} -eq 0 ]]; then
    home=$cache/bench
    mkdir -p "$home"
    for kind in mix small; do
        capture=$home/$kind.pcap
        if [[ ! -f $capture || tests/large_capture.py -nt $capture ]]; then
            say "Making $capture"
            tests/large_capture.py "$kind" "$capture.partial"
            mv "$capture.partial" "$capture"
        fi
        captures+=("$capture")
    done
fi

say "Measuring"
python3 tests/bench.py "$target/release/weir" "$target/release/examples/limits" "${captures[@]}"

say "Building a contract of 150 types"
python3 tests/generated_contract.py
