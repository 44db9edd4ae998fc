#!/usr/bin/env bash
# Measures what Weir costs, beside what this machine can do at best.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools
need_python test
cargo build --release --locked --package weir
