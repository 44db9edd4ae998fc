#!/usr/bin/env bash
# Makes a release of the commit that is checked out: an archive of each program, static and with what it is made of
# (CycloneDX), and checksums. They go to FOLDER: scripts/release.sh [FOLDER]
#
# It is for machines of this one's architecture, or of that in ARCH: aarch64 or x86_64.
#
# Whoever builds the same commit with the same compilers gets the same bytes, wherever the checkout is. With CHECK=1 it is
# built twice, from two folders, and compared.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:-$target/dist}
need_build_tools
need_packages xz-utils
[[ -z $(git status --porcelain) ]] || fail "there are changes that are in no commit: a release must be of one"

say "Licences, bans and sources of dependencies"
need_cargo_tool cargo-deny 0.20.2
cargo deny --log-level error check bans licenses sources
# Their list is fetched from GitHub.
if ! cargo deny --log-level error check advisories; then
    [[ ${ADVISORIES:-} == later ]] || fail "known vulnerabilities, or no list of them; ADVISORIES=later goes on all the same"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
# OpenSSL has the folder in it that it was built in, and so needs the same one each time.
export CARGO_TARGET_DIR=/var/tmp/weir-release
cargo_home=$(realpath "${CARGO_HOME:-$HOME/.cargo}")
version=$(sed -n '/^\[workspace.package\]/,/^$/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
platform=${ARCH:-$(uname -m)}-linux
commit=$(git rev-parse HEAD)

# Builds the commit in a folder of its own, $1, into archives in $2.
build() {
    local checkout=$1 archives=$2 program
    mkdir -p "$(dirname "$checkout")"
    git clone --quiet --no-checkout . "$checkout"
    git -C "$checkout" checkout --quiet "$commit"
    rm -rf "$CARGO_TARGET_DIR"
    (
        cd "$checkout"
        # Messages of panics and assertions tell where the source was.
        export RUSTFLAGS="--remap-path-prefix=$PWD=/weir --remap-path-prefix=$cargo_home=/cargo"
        export CFLAGS="-ffile-prefix-map=$cargo_home=/cargo"
        scripts/static.sh "$checkout/programs"
    )
    mkdir -p "$archives"
    for program in weir weir-agent; do
        local name=$program-$version-$platform
        mkdir "$checkout/$name"
        cp "$checkout/programs/$program" "$checkout/programs/$program.cdx.json" LICENSE NOTICE "$checkout/$name/"
        cp -r "$checkout/programs/licences" "$checkout/$name/"
        tar --create --directory "$checkout" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
            --numeric-owner --mode=u=rwX,go=rX "$name" | xz --threads=1 >"$archives/$name.tar.xz"
    done
    (cd "$archives" && sha256sum -- *.tar.xz >SHA256SUMS)
}

build "$work/once" "$work/archives"
if [[ -n ${CHECK:-} ]]; then
    say "Building it again, elsewhere"
    build "$work/somewhere/else" "$work/archives-again"
    diff -r "$work/archives" "$work/archives-again" || fail "the second build gave other bytes"
    say "Both builds gave the same bytes"
fi
rm -rf "$CARGO_TARGET_DIR"
mkdir -p "$folder"
cp "$work/archives"/* "$folder/"
cat "$folder/SHA256SUMS"
