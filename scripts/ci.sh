#!/usr/bin/env bash
# What must pass before a change lands.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools

say "Formatting and scripts"
# `cargo fmt` does not find the modules that macros declare.
git ls-files '*.rs' | xargs rustfmt --check --edition 2024
need_program shellcheck shellcheck
shellcheck scripts/*.sh tests/harness/readers/*.sh .ci/run

scripts/test.sh

say "Lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
# The fuzz targets, a workspace of their own, must go on building.
cargo clippy --manifest-path fuzz/Cargo.toml --all-targets --locked --target-dir "$target" -- -D warnings

say "Documentation of the code"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Known vulnerabilities are left to `cargo deny check advisories`: their list is fetched from the network.
say "Licences, bans and sources of dependencies"
need_cargo_tool cargo-deny 0.20.2
cargo deny --log-level error check bans licenses sources

say "Size of the agent's program, and what it goes without"
cargo build --release --locked --package weir-agent
strip -o "$target/release/weir-agent.stripped" "$target/release/weir-agent"
agent_bytes=$(stat -c %s "$target/release/weir-agent.stripped")
printf '%s bytes\n' "$agent_bytes"
[[ $agent_bytes -le 10000000 ]] || fail "the agent has more than 10 MB"
if cargo tree --locked --package weir-agent --edges normal | grep -E 'weir-engine|arrow|parquet'; then
    fail "the agent must go without the engine and Arrow"
fi

say "All is well"
