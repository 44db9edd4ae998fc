# How the programs that the chart is tested with are made.
# shellcheck shell=bash
# To be sourced, after common.sh. What it makes has this file's checksum in its name: a change here builds anew.

# Helm and Kubernetes itself, built from the Go modules of helm/tests/tools: ten minutes of processor time, once. They
# take no debugger and little memory, so that what costs most is left out: inlining, and what debuggers need.
# Sets `kubernetes`. Needs need_python before.
need_kubernetes() {
    local modules=helm/tests/tools
    # shellcheck disable=SC2154 # common.sh sets it
    kubernetes=$cache/kubernetes-$(cat $modules/go.mod scripts/kubernetes.sh helm/tests/schemas.py | sha256sum | cut -c 1-12)
    exec {lock}>"$kubernetes.lock"
    flock "$lock"
    [[ -d $kubernetes ]] || build_kubernetes $modules "$kubernetes.partial"
    exec {lock}>&-
}

build_kubernetes() {
    local modules=$1 home=$2 version variables module crds=()
    say "Building Helm and Kubernetes to $kubernetes"
    need_go
    mkdir -p "$home/bin" "$home/crds"
    version=$(go -C "$modules" list -m -f '{{.Version}}' k8s.io/kubernetes)
    # Unless it is told its version, the API server says v0.0.0, and Helm refuses the chart.
    variables=k8s.io/component-base/version
    GOCACHE=$home/go-build nice -n 10 go -C "$modules" build -mod=readonly -buildvcs=false \
        -gcflags='all=-dwarf=false -l' \
        -ldflags="-s -w -X $variables.gitVersion=$version -X $variables.gitMajor=1 -X $variables.gitMinor=${version:3:2}" \
        -o "$home/bin/" tool
    mv "$home/bin/server" "$home/bin/etcd"
    rm -rf "$home/go-build"

    # Kinds of objects that others bring to a cluster, and what fake nodes do.
    module=$(module_folder github.com/prometheus-operator/prometheus-operator@v0.85.0)
    cp "$module"/example/prometheus-operator-crd/monitoring.coreos.com_{podmonitors,prometheusrules}.yaml "$home/crds/"
    module=$(module_folder github.com/kedacore/keda/v2@v2.21.0)
    cp "$module"/config/crd/bases/keda.sh_{scaledobjects,triggerauthentications}.yaml "$home/crds/"
    crds=("$home"/crds/*)
    module=$(go -C "$modules" list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    awk 'FNR == 1 { print "---" } 1' "$module"/node/{fast,heartbeat}/node-*.yaml \
        "$module"/pod/fast/pod-*.yaml >"$home/stages.yaml"
    module=$(go -C "$modules" list -m -f '{{.Dir}}' k8s.io/kubernetes)
    # shellcheck disable=SC2154 # need_python sets it
    "$python" helm/tests/schemas.py "$module/api/openapi-spec/swagger.json" "${crds[@]}" "$home/schemas"
    chmod -R u+w "$home"
    mv "$home" "$kubernetes"
}

# Fetches a module, and says where it is.
module_folder() {
    go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}
