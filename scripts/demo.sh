#!/usr/bin/env bash
# Decodes a capture of half a minute in a small office to Parquet, and asks DuckDB about it.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools
need_python demo

say "Building Weir"
cargo build --release --locked --package weir

capture=tests/captures/office.pcapng
rm -rf demo
say "weir decode $capture --out demo"
"$target/release/weir" decode "$capture" --out demo

say "The records are in demo/. DuckDB reads them:"
"$python" scripts/demo.py demo
