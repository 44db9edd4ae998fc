#!/usr/bin/env bash
# Builds programs that need nothing but Linux, for images and releases: the C library, libpcap, OpenSSL and zlib are in
# them. They go to FOLDER, stripped: scripts/static.sh FOLDER
#
# For machines of another architecture than this one's with ARCH=aarch64 or ARCH=x86_64.
#
# The C library is glibc: with musl's memcpy, decoding takes half as much processor time again.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:?say which folder the programs shall go to}
arch=${ARCH:-$(uname -m)}
triple=$arch-unknown-linux-gnu
tool=$arch-linux-gnu
need_build_tools
# OpenSSL's own build takes perl.
need_packages bison ca-certificates flex perl python3 xz-utils
glibc=libc6-dev
if [[ $arch != $(uname -m) ]]; then
    case $arch in
    aarch64) glibc=libc6-dev-arm64-cross ;;
    x86_64) glibc=libc6-dev-amd64-cross ;;
    *) fail "ARCH=$arch: there are aarch64 and x86_64" ;;
    esac
    # Half of librdkafka is C++, which is built and left out.
    need_packages "gcc-${tool/_/-}" "g++-${tool/_/-}" "$glibc"
    # librdkafka's own build knows no variables that are for one target only.
    export CC=$tool-gcc CXX=$tool-g++ AR=$tool-ar HOST_CC=cc HOST_CXX=c++ HOST_AR=ar
    linker=CARGO_TARGET_${triple^^}_LINKER
    export "${linker//-/_}=$tool-gcc"
fi
if command -v rustup >/dev/null; then
    rustup target add "$triple"
fi

# The system's libpcap wants D-Bus, and more. Its source comes from where its packages do, and is checked by apt.
home=$cache/libpcap-$triple
if [[ ! -f $home/lib/libpcap.a ]]; then
    say "Building libpcap to $home"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/lists"
    [[ -f /etc/apt/sources.list.d/debian.sources ]] || fail "this takes Debian 12 or later, or its container image"
    sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$work/debian.sources"
    apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/debian.sources" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o APT::Sandbox::User=root)
    "${apt[@]}" update
    (cd "$work" && "${apt[@]}" source --download-only libpcap && tar -xf libpcap_*.orig.tar.?z)
    (
        cd "$work"/libpcap-*/
        ./configure --quiet --prefix="$home" --host="$tool" --with-pcap=linux --disable-shared --disable-dbus \
            --disable-bluetooth --disable-usb --disable-rdma --without-libnl --without-dpdk >/dev/null
        make --silent install >/dev/null
    )
fi

say "Building weir and weir-agent for $triple"
libpcap_version=$(sed -n 's/^Version: //p' "$home/lib/pkgconfig/libpcap.pc")
mkdir -p "$target/$triple" "$folder/licences"
no_plugins=$(realpath "$target/$triple")/no-plugins.o
"$tool-gcc" -O2 -fPIC -c scripts/no-plugins.c -o "$no_plugins"
export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
# The agent first and by itself: beside weir it would get features of dependencies that it goes without.
for program in weir-agent weir; do
    LIBPCAP_LIBDIR=$home/lib LIBPCAP_VER=$libpcap_version cargo rustc --release --locked --target "$triple" \
        --features weir-service/static --package "$program" --bin "$program" -- \
        -C link-arg="$no_plugins" -C link-arg=-Wl,--wrap=__libc_dlopen_mode
    "$tool-strip" -o "$folder/$program" "$target/$triple/release/$program"
done

# Packages for another machine have a suffix to the version of the source that they were made of.
glibc_version=$(dpkg-query --show --showformat '${Version}' "$glibc")
for program in weir weir-agent; do
    scripts/sbom.py "$program" "$triple" "libpcap $libpcap_version BSD-3-Clause" \
        "glibc ${glibc_version%cross*} LGPL-2.1-or-later" \
        "libgcc $("$tool-gcc" -dumpfullversion) GPL-3.0-or-later WITH GCC-exception-3.1" >"$folder/$program.cdx.json"
done
cp /usr/share/common-licenses/LGPL-2.1 "$folder/licences/"
cp "/usr/share/doc/$glibc/copyright" "$folder/licences/glibc"
cp /usr/share/doc/libpcap-dev/copyright "$folder/licences/libpcap"
# Whom the programs trust who have no system around them.
cp /etc/ssl/certs/ca-certificates.crt "$folder/"
ls -l "$folder"
