#!/usr/bin/env bash
# Runs all tests, then reads what Weir writes with the programs that its users have.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools
need_test_programs
# Of the tests that capture, which need root.
need_program tcpreplay tcpreplay
need_program faketime faketime
# Of those that run programs as containers do, and all services of compose/compose.yaml.
need_program capsh libcap2-bin
need_program curl curl
need_program prometheus prometheus
need_python test

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say "Tests"
# The binary too, for what follows the tests: alone it would take dependencies with other features.
cargo build --workspace --all-targets --locked
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$scratch/tests"

# Runs a command, and shows what it says only if it fails.
check() {
    "$@" >"$scratch/check" 2>&1 || { cat "$scratch/check"; fail "$* failed"; }
}

say "Reading Parquet with DuckDB, pandas, Polars and Spark, and protobuf with protoc"
weir=$target/debug/weir
check "$weir" decode tests/captures --records all --out "$scratch/parquet"
check "$weir" decode tests/captures --records all --out "$scratch/proto" --format proto
check "$python" tests/read_parquet.py "$scratch/parquet"
printf 'DuckDB, pandas and Polars agree on %s files\n' "$(wc -l <"$scratch/check")"
check "$python" tests/read_parquet_spark.py "$scratch/parquet"
printf 'Spark reads %s files\n' "$(grep -c "rows" "$scratch/check")"
check tests/read_proto.py "$weir" "$scratch/proto"
cat "$scratch/check"

scripts/test-alerts.sh

say "The Helm chart"
scripts/test-chart.sh

awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    END { printf "\n%d tests passed, %d failed, %d ignored\n", passed, failed, ignored }' "$scratch/tests"
