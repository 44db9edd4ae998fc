#!/usr/bin/env bash
# Writes the pages of docs/ that come from the code, and the code's own documentation.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools
UPDATE_DOCS=1 cargo test --locked --package weir --lib described
UPDATE_DOCS=1 cargo test --locked --package weir-agent --bin weir-agent described
cargo doc --workspace --no-deps --locked
printf '\nThe documentation of the code begins at %s/doc/weir_contract/index.html\n' "$target"
