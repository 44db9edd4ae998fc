#!/usr/bin/env bash
# Tests the Helm chart: what it renders, and what a real control plane of Kubernetes makes of that.
#
# usage: test-chart.sh [--update]
#
# `--update` writes what is expected anew: helm/tests/golden/ and the chart's README.md.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source scripts/kubernetes.sh

[[ -x $target/debug/weir && -x $target/debug/weir-agent ]] || fail "the chart is tested with the programs: cargo build first"
need_program openssl openssl
need_program setpriv util-linux
need_python chart
need_kubernetes
PATH=$kubernetes/bin:$PATH
export KUBERNETES=$kubernetes WEIR_BINARIES=$target/debug
if [[ ${1-} == --update ]]; then
    export UPDATE=1
    helm-docs --chart-search-root helm/weir --sort-values-order=file --log-level error
fi

"$python" -m unittest discover --start-directory helm/tests
