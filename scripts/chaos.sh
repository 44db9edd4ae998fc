#!/usr/bin/env bash
# Kills, freezes and cuts off agents, processors, sinks, Kafka and the S3 store at random moments, and compares the
# records with those of an undisturbed run: SEEDS (200) runs, the first with FIRST_SEED (1). A run that goes wrong is
# repeated with FIRST_SEED=its-seed SEEDS=1; its logs stay in target/tmp/chaos-SEED, the broker's among them, and the
# segments of all partitions.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

export SEEDS=${SEEDS:-200} FIRST_SEED=${FIRST_SEED:-1}

need_build_tools
need_test_programs

say "Building"
cargo build --workspace --all-targets --locked

say "Chaos: $SEEDS seeds from $FIRST_SEED"
cargo test --locked --package weir-tests --test cluster -- --nocapture --exact chaos::nothing_is_lost_and_nothing_doubled
