#!/usr/bin/env bash
# Builds the images without an engine, from static programs, and tries them: the OCI archives are in target/images/.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_program buildah buildah
need_program capsh libcap2-bin
need_test_programs
scripts/static.sh target/image

# A store of its own, which is gone afterwards.
store=$(mktemp -d)
buildah=(buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs)
trap '"${buildah[@]}" unmount --all >/dev/null; "${buildah[@]}" rm --all >/dev/null; rm -rf "$store"' EXIT

rm -rf target/images
mkdir target/images
for image in agent weir; do
    say "Building the image of $image"
    "${buildah[@]}" build --quiet --isolation chroot --build-arg PROGRAMS=prebuilt \
        --build-arg REVISION="$(git rev-parse HEAD)" --target "$image" --tag "$image" .
    "${buildah[@]}" push --quiet "$image" "oci-archive:target/images/$image.tar"
    container=$("${buildah[@]}" from "$image")
    declare "$image=$("${buildah[@]}" mount "$container")"
done
ls -l target/images

say "Trying them"
ROOT_OF_AGENT=${agent:?} ROOT_OF_WEIR=${weir:?} cargo test --package weir-tests --locked --test images
