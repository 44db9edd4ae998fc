#!/usr/bin/env bash
# Measures what Weir costs beside what this machine can do at best: on the captures that are named, or on
# large ones that it makes; and how long a contract of 150 types takes to build.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_build_tools

say "Building"
cargo build --release --locked --package weir
cargo build --release --locked --package weir-tests --example limits --example parsers

captures=("$@")
if [[ ${#captures[@]} -eq 0 ]]; then
    need_large_captures
fi

say "Measuring"
python3 tests/bench.py "$target/release/weir" "$target/release/examples/limits" "${captures[@]}"

say "What each parser costs a byte"
"$target/release/examples/parsers" tests/captures/{dns-types,mdns,llmnr,nbns,ntp,snmp,syslog,tftp,dhcpv4,dhcpv6,quic,ssh,http,tls}.pcap

if [[ $(id -u) -eq 0 ]]; then
    need_program tcpreplay tcpreplay
    need_program java default-jre-headless
    need_program mvn maven
    say "Capturing from a pair of interfaces, 300,000 packets a second, to Kafka"
    BENCH_CAPTURE=$(realpath "${captures[0]}") cargo test --release --locked --package weir-agent --test kafka -- \
        --exact capture::what_a_busy_link_costs --ignored --nocapture | grep '^capture: '
else
    printf 'note: run as root to measure capturing too\n' >&2
fi

say "Building a contract of 150 types"
python3 tests/generated_contract.py
