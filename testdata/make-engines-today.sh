#!/usr/bin/env bash
# Remake what testdata/engines has of today's engines: save the test images with Docker 28.5 (both stores), podman
# 5.8, skopeo 1.22 and BuildKit, and keep what the engines print about them. See README.md for what is what.
#
#   testdata/make-engines-today.sh
#
# The images are those of docker20-multi.tar, which make.sh makes; that script empties the directory, so this one
# comes after it. Only what BuildKit builds anew has new times and digests.
set -eu
# shellcheck disable=SC2034 # read by common.bash
engines='d28 d28c'
. "$(dirname "${BASH_SOURCE[0]}")/recipe/common.bash"
out=$testdata/engines
recipe=$testdata/recipe
for engine in $engines; do tidy $engine; tidy_cache $engine; done
cd "$work"

names="$prefix/app:1 $prefix/app:2 $registry/app:release $prefix/classic:1 $prefix/base:1"
images="app:1 app:2 classic:1 base:1"

# --- Docker 28.5 ----------------------------------------------------------------------------------------
d28 load -q <"$out/docker20-multi.tar" >/dev/null
for image in $images; do
    file=${image/:/-}
    image=$prefix/$image
    TZ=UTC d28 history --no-trunc -H=false "$image" >"$file.history28.txt"
    TZ=UTC d28 history -H=false "$image" >"$file.history28-trunc.txt"
    d28 history -q "$image" >"$file.history28-quiet.txt"
    TZ=UTC d28 history --no-trunc --format '{{json .}}' "$image" >"$file.history28.jsonl"
    d28 inspect "$image" >"$file.inspect28.json"
    d28 create --name $prefix "$image" x >/dev/null
    d28 export $prefix >export.tar
    d28 rm $prefix >/dev/null
    python3 "$recipe/listing.py" export.tar >"$file.export-d28.tsv"
done
list() { # engine, arguments of `images`
    # The heading of a tree is coloured even in a file.
    "$@" 2>/dev/null | sed 's/\x1b\[[0-9;]*m//g' | grep -E "^(REPOSITORY|IMAGE)|^($prefix|$registry)/|^[├└]─|^\$"
}
list d28 images --no-trunc >images.d28.txt
d28 save $prefix/app:1 >docker28-one.tar
# shellcheck disable=SC2086
d28 save $names >docker28-multi.tar

# --- Docker 28.5 with the containerd store --------------------------------------------------------------
d28c load -q <docker28-multi.tar >/dev/null
for image in $images; do
    TZ=UTC d28c history --no-trunc -H=false "$prefix/$image" >"${image/:/-}.history28c.txt"
    d28c inspect "$prefix/$image" >"${image/:/-}.inspect28c.json"
done
list d28c images --no-trunc >images.d28c.txt
d28c save $prefix/app:1 >docker28c-one.tar
# shellcheck disable=SC2086
d28c save $names >docker28c-multi.tar

# Three platforms with an attestation for each: as BuildKit itself writes it, with attestations as artifacts
# and with zstd layers, and as `save` does: everything, one platform, and what is left of an image of which
# only one platform was pulled.
cp "$recipe/Dockerfile.platforms28" "$recipe"/*.txt "$inner28"
touch -d 2020-09-13T12:26:40Z "$inner28"/*
build() { # arguments
    d28c buildx build -q --no-cache -f "$within28/Dockerfile.platforms28" "$@" "$within28" >/dev/null
}
platforms='--platform linux/amd64,linux/arm64/v8,linux/arm/v7 --provenance=true'
name=docker.io/$prefix/platforms:1
# shellcheck disable=SC2086
build $platforms --output "type=oci,name=$name,dest=$within28/buildkit28-platforms.tar"
# shellcheck disable=SC2086
build $platforms --output "type=oci,oci-artifact=true,name=$name,dest=$within28/buildkit28-artifacts.tar"
build --output "type=oci,compression=zstd,force-compression=true,name=$name,dest=$within28/buildkit28-zstd.tar"
build --output "type=docker,compression=zstd,force-compression=true,name=$name,dest=$within28/buildkit28-docker-zstd.tar"
mv "$inner28"/buildkit28-*.tar .
# shellcheck disable=SC2086
build $platforms -t $prefix/platforms:1
d28c save $prefix/platforms:1 >docker28c-platforms.tar
d28c save --platform linux/arm64 $prefix/platforms:1 >docker28c-platform.tar
tidy d28c
tidy_cache d28c
# As it is after loading: the host's platform alone is unpacked.
d28c load -q <docker28-multi.tar >/dev/null
d28c load -q <docker28c-platforms.tar >/dev/null
list d28c images --tree >images.d28c-tree.txt
d28c inspect $prefix/platforms:1 >platforms-1.inspect28c.json
tidy d28c
# What a pull of one platform leaves: the index, and of the others not even the manifest.
python3 "$recipe/without.py" docker28c-platforms.tar pulled.tar linux/arm64 linux/arm/v7
d28c load -q <pulled.tar >/dev/null
d28c save $prefix/platforms:1 >docker28c-pulled.tar
list d28c images --tree >images.d28c-pulled-tree.txt

# --- skopeo and podman ----------------------------------------------------------------------------------
cp docker28-one.tar "$inner28/in.tar"
cp docker28-multi.tar "$inner28/multi.tar"
cp buildkit28-platforms.tar "$inner28/platforms.tar"
copy() { tree28 skopeo copy -q --insecure-policy "$@"; }
copy "docker-archive:$within28/in.tar" "docker-archive:$within28/skopeo122-docker.tar:$prefix/app:1"
copy "docker-archive:$within28/in.tar" "oci-archive:$within28/skopeo122-oci.tar:$prefix/app:1"
copy --dest-compress-format zstd "docker-archive:$within28/in.tar" "oci-archive:$within28/skopeo122-oci-zstd.tar:$prefix/app:1"
copy --all "oci-archive:$within28/platforms.tar" "oci-archive:$within28/skopeo122-platforms.tar:$prefix/platforms:1"
mv "$inner28"/skopeo122-*.tar .

pod28 load -q -i "$within28/in.tar" >/dev/null
pod28 save -q --format docker-archive -o "$within28/podman58-docker.tar" docker.io/$prefix/app:1
pod28 save -q --format oci-archive -o "$within28/podman58-oci.tar" docker.io/$prefix/app:1
# Of several images it reads manifest.json, and takes the names for its own.
pod28 load -q -i "$within28/multi.tar" >/dev/null
pod28 save -q -m -o "$within28/podman58-multi.tar" localhost/$prefix/app:2 localhost/$prefix/base:1
pod28 images --no-trunc >images.podman58.txt
mv "$inner28"/podman58-*.tar .

rm -f export.tar pulled.tar
cp ./*.tar ./*.jsonl ./*.json ./*.tsv ./*.txt "$out"
chmod 0644 "$out"/*
du -sh "$out"
