# What the scripts share: where things are kept, and how what is missing gets installed.
# shellcheck shell=bash
# To be sourced. Installs nothing by itself, and nothing that is there already.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir
# Where cargo builds.
# shellcheck disable=SC2034 # used by those who source this
target=${CARGO_TARGET_DIR:-target}

say() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Installs Debian packages that are missing. Elsewhere it only names them.
need_packages() {
    if ! command -v dpkg-query >/dev/null; then
        printf 'note: not a Debian-like system; needed are what Debian calls: %s\n' "$*" >&2
        return
    fi
    local missing=() package
    for package in "$@"; do
        if [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
            missing+=("$package")
        fi
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        return
    fi
    say "Installing ${missing[*]}"
    local as_root=()
    if [[ $(id -u) -ne 0 ]]; then
        command -v sudo >/dev/null || fail "run as root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Installs a program's Debian package, unless the program is there from somewhere.
need_program() {
    command -v "$1" >/dev/null || need_packages "$2"
}

# What building Weir takes: a C compiler (zstd), libpcap, and Rust as rust-toolchain.toml has it.
need_build_tools() {
    need_packages build-essential libpcap-dev libssl-dev pkg-config zlib1g-dev
    if [[ -d $HOME/.cargo/bin ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    if ! command -v cargo >/dev/null; then
        fail "Rust is missing: install rustup (Debian 13 and later: apt-get install rustup; else see" \
            "https://rustup.rs), and run this again"
    fi
    if command -v rustup >/dev/null; then
        # Older releases of rustup install the toolchain of the folder only when asked so.
        rustup show active-toolchain >/dev/null 2>&1 || rustup toolchain install
    fi
}

# What the tests take besides: Kafka needs Java and comes by Maven, the S3 server is built with Go. Both are fetched by
# the tests themselves.
need_test_programs() {
    need_program protoc protobuf-compiler
    need_program javac default-jdk-headless
    need_program mvn maven
    need_go
    need_program openssl openssl
}

# Go as it is since 1.21, which fetches by itself the release that a module asks for. Debian 12's is older.
need_go() {
    need_program go golang-go
    [[ -n $(go env GOTOOLCHAIN) ]] || fail "$(go version) is too old: install Go 1.21 or later, from" \
        "https://go.dev/dl/ for example, and run this again"
}

# Makes the large captures to measure with; sets `captures`.
need_large_captures() {
    local home=$cache/bench kind capture
    mkdir -p "$home"
    captures=()
    for kind in mix small; do
        capture=$home/$kind.pcap
        if [[ ! -f $capture || tests/large_capture.py -nt $capture ]]; then
            say "Making $capture"
            tests/large_capture.py "$kind" "$capture.partial"
            mv "$capture.partial" "$capture"
        fi
        captures+=("$capture")
    done
}

# Makes a Python environment with the packages of scripts/python-NAME.txt; sets `python`.
need_python() {
    need_packages python3-venv
    local requirements=scripts/python-$1.txt home=$cache/python-$1
    python=$home/bin/python
    if cmp -s "$requirements" "$home/requirements.txt"; then
        return
    fi
    say "Installing Python packages to $home"
    python3 -m venv --clear "$home"
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    cp "$requirements" "$home/requirements.txt"
}

# Installs a cargo subcommand of a version; puts it on the PATH.
need_cargo_tool() {
    local name=$1 version=$2 home=$cache/$1-$2
    if [[ ! -x $home/bin/$name ]]; then
        say "Installing $name $version to $home"
        cargo install --quiet --locked --root "$home" "$name@$version"
    fi
    PATH=$home/bin:$PATH
}
