#!/usr/bin/env bash
# Measures what agent, processor, sink and broker cost on this machine, each alone and all at once, beside what Kafka's
# client takes for the same messages: on the captures that are named, or on large ones that it makes. WHAT may be
# something else: `restart`, what a processor that was killed takes to go on; `types`, transactions over hundreds of
# partitions; `day`, memory over 24 hours, which pass in seven minutes.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools
need_test_programs

say "Building"
cargo build --release --locked --workspace --bins
cargo build --release --locked --package weir-tests --example cluster

captures=("$@")
if [[ ${#captures[@]} -eq 0 ]]; then
    need_large_captures
fi

say "Measuring"
"$target/release/examples/cluster" "${WHAT:-line}" "${captures[@]}"
