#!/usr/bin/env bash
# Builds programs that need nothing but Linux, for images and releases: with musl, and with libpcap, OpenSSL and zlib in
# them. They go to FOLDER, stripped: scripts/static.sh FOLDER
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:?say which folder the programs shall go to}
need_build_tools
# OpenSSL's own build takes perl.
need_packages bison ca-certificates flex musl-tools perl python3 xz-utils
musl=$(uname -m)-unknown-linux-musl
if command -v rustup >/dev/null; then
    rustup target add "$musl"
fi

# The system's libpcap is made for its own C library. Its source comes from where its packages do, and is checked by apt.
home=$cache/libpcap-$musl
if [[ ! -f $home/lib/libpcap.a ]]; then
    say "Building libpcap to $home"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists" "$work/kernel"
    [[ -f /etc/apt/sources.list.d/debian.sources ]] || fail "this takes Debian 12 or later, or its container image"
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/debian.sources"
    apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/debian.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User=root)
    "${apt[@]}" update
    (cd "$work" && "${apt[@]}" source --download-only libpcap && tar -xf libpcap_*.orig.tar.?z)
    # musl comes without the kernel's headers.
    for headers in /usr/include/linux /usr/include/asm-generic "/usr/include/$(uname -m)-linux-gnu/asm"; do
        ln -s "$headers" "$work/kernel/"
    done
    (
        cd "$work"/libpcap-*/
        ./configure --quiet --prefix="$home" CC="musl-gcc -isystem $work/kernel" --disable-shared --disable-dbus \
            --disable-bluetooth --disable-usb --disable-rdma --without-libnl --without-dpdk >/dev/null
        make --silent install >/dev/null
    )
fi

say "Building weir and weir-agent for $musl"
libpcap_version=$(sed -n 's/^Version: //p' "$home/lib/pkgconfig/libpcap.pc")
build() {
    # librdkafka's own build knows no other variable, and takes the system's compiler without: it would be made for another
    # C library then, and work until it tells an error.
    CC=musl-gcc HOST_CC=cc LIBPCAP_LIBDIR=$home/lib LIBPCAP_VER=$libpcap_version \
        cargo build --release --locked --target "$musl" --features weir-service/static "$@"
}
# The agent by itself: beside weir it would get features of dependencies that it goes without.
build --package weir-agent
mkdir -p "$folder"
cp "$target/$musl/release/weir-agent" "$folder/"
build --package weir
cp "$target/$musl/release/weir" "$folder/"
strip "$folder/weir" "$folder/weir-agent"
for program in weir weir-agent; do
    scripts/sbom.py "$program" "$libpcap_version" >"$folder/$program.cdx.json"
done
# Whom the programs trust who have no system around them.
cp /etc/ssl/certs/ca-certificates.crt "$folder/"
ls -l "$folder"
