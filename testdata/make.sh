#!/usr/bin/env bash
# Remake testdata/engines from nothing: build the test images with real engines, save them with every engine
# and tool that writes archives, and keep what the engines print about them. See README.md for what is what.
#
#   testdata/make.sh
#
# Needs what .ci/engines.sh needs and starts the engines itself (it leaves them running). Nothing is pulled:
# the images' base is imported from a tar that recipe/base.py writes. Image IDs, times and therefore digests
# are new each time, since the engines stamp what they make; the tests take them from these files.
# testdata/broken is made of the result: run make-broken.py afterwards.
set -eu
. "$(dirname "${BASH_SOURCE[0]}")/recipe/common.bash"
out=$testdata/engines
recipe=$testdata/recipe

for engine in d20 d26 d26c; do tidy $engine; tidy_cache $engine; done
rm -rf "$out"
mkdir -p "$out"

# --- the images -----------------------------------------------------------------------------------------
# BuildKit copies the times of the files it is given, so these are fixed.
cp "$recipe"/Dockerfile* "$recipe"/*.txt "$work"
touch -d 2020-09-13T12:26:40Z "$work"/*
cp "$work"/Dockerfile* "$work"/*.txt "$inner"
touch -d 2020-09-13T12:26:40Z "$inner"/*
cd "$work"

tar -C "$(dirname "$(readlink -f "$(command -v busybox)")")" -c busybox | d20 import - $prefix/busybox:1 >/dev/null
python3 "$recipe/base.py" base.tar
d20 import -m 'base of the test images' base.tar $prefix/base:1 >/dev/null
DOCKER_BUILDKIT=1 d20 build -q --no-cache --network host -t $prefix/app:1 . >/dev/null
DOCKER_BUILDKIT=0 d20 build -q --no-cache -f Dockerfile.classic -t $prefix/classic:1 . >/dev/null

# A commit: the one way to an image whose parent is another saved image. The container's command becomes
# created_by, so this one holds a newline, a tab and wide characters; the message holds a newline as well.
d20 create --name $prefix $prefix/app:1 --serve "--message=first line
second line	after a tab" 漢字 >/dev/null
printf 'level=2\n' >patched
d20 cp patched $prefix:/srv/patched
d20 commit -a 'A Person <person@example.com>' -m 'configured by hand
in two lines' -c 'ENV EDITION=second' -c 'LABEL patched=yes' $prefix $prefix/app:2 >/dev/null
d20 rm $prefix >/dev/null
d20 tag $prefix/app:2 $registry/app:release

# The smallest image that still has two layers and empty history entries, to break copies of.
printf 'hello\n' >hello
touch -d 2020-09-13T12:26:40Z hello
tar --format=ustar --owner=0 --group=0 --numeric-owner -b 1 -c hello | d20 import -m imported - $prefix/tiny:base >/dev/null
printf 'FROM %s/tiny:base\nCOPY same.txt /same.txt\nLABEL org.opencontainers.image.title="imgtar test image"\nCMD ["/hello"]\n' \
    $prefix >Dockerfile.tiny
DOCKER_BUILDKIT=0 d20 build -q --no-cache -f Dockerfile.tiny -t $prefix/tiny:1 . >/dev/null

# --- Docker 20.10 ---------------------------------------------------------------------------------------
names="$prefix/app:1 $prefix/app:2 $registry/app:release $prefix/classic:1 $prefix/base:1"
d20 save -o docker20-one.tar $prefix/app:1
# shellcheck disable=SC2086
d20 save -o docker20-multi.tar $names
d20 save -o docker20-untagged.tar "$(d20 inspect -f '{{.Id}}' $prefix/app:1)"
d20 save -o tiny20.tar $prefix/tiny:1
d20 create --name $prefix $prefix/app:1 >/dev/null
d20 export -o docker20-export.tar $prefix
d20 rm $prefix >/dev/null
gzip -9 -n -c docker20-one.tar >docker20-one.tar.gz
bzip2 -9 -c docker20-one.tar >docker20-one.tar.bz2
xz -9 -c docker20-one.tar >docker20-one.tar.xz
zstd -q -19 -c docker20-one.tar >docker20-one.tar.zst
python3 "$recipe/v1.py" docker20-multi.tar v1.tar

# What the engines print, and of which images. What they know of an image that they built differs from what
# they know of the same image loaded, and imgtar sees what is loaded: so everything is loaded afresh first.
ask() { # engine, its number, image, name of the files
    TZ=UTC "$1" history --no-trunc -H=false "$3" >"$4.history$2.txt"
    TZ=UTC "$1" history -H=false "$3" >"$4.history$2-trunc.txt"
    TZ=UTC "$1" history -q "$3" >"$4.history$2-quiet.txt"
    TZ=UTC "$1" history --no-trunc --format '{{json .}}' "$3" >"$4.history$2.jsonl"
    "$1" inspect "$3" >"$4.inspect$2.json"
}
images="app:1 app:2 classic:1 base:1"
tidy d20
tidy_cache d20
d20 load -q -i docker20-multi.tar >/dev/null
for image in $images; do ask d20 20 "$prefix/$image" "${image/:/-}"; done
d20 images --no-trunc | grep -E "^REPOSITORY|$prefix/" >images.d20.txt

# The v1 archive gives every image another configuration, hence another ID.
tidy d20
d20 load -q -i v1.tar
for image in $images; do ask d20 20 "$prefix/$image" "v1-${image/:/-}"; done
d20 images --no-trunc | grep -E "^REPOSITORY|$prefix/" >v1.images20.txt

# --- Docker 26.1 ----------------------------------------------------------------------------------------
d26 load -q <docker20-multi.tar >/dev/null
for image in $images; do
    ask d26 26 "$prefix/$image" "${image/:/-}"
    d26 create --name $prefix "$prefix/$image" x >/dev/null
    d26 export $prefix >export.tar
    d26 rm $prefix >/dev/null
    python3 "$recipe/listing.py" export.tar >"${image/:/-}.export-d26.tsv"
done
d26 images --no-trunc | grep -E "^REPOSITORY|$prefix/" >images.d26.txt
d26 save $prefix/app:1 >docker26-one.tar
# shellcheck disable=SC2086
d26 save $names >docker26-multi.tar
d26 load -q <tiny20.tar >/dev/null
d26 save $prefix/tiny:1 >tiny26.tar

# Its own builder, which writes here-documents into the history.
tar -C "$(dirname "$(readlink -f "$(command -v busybox)")")" -c busybox | d26 import - $prefix/busybox:1 >/dev/null
d26 buildx build -q --no-cache --network host -f "$within/Dockerfile.heredoc" -t $prefix/heredoc:1 "$within" >/dev/null
d26 save $prefix/heredoc:1 >docker26-heredoc.tar
tidy d26
tidy_cache d26
d26 load -q <docker26-heredoc.tar >/dev/null
ask d26 26 $prefix/heredoc:1 heredoc-1

# --- Docker 26.1 with the containerd store --------------------------------------------------------------
d26c load -q <docker26-multi.tar >/dev/null
d26c save $prefix/app:1 >docker26c-one.tar
# shellcheck disable=SC2086
d26c save $names >docker26c-multi.tar
d26c images --no-trunc | grep -E "^REPOSITORY|$prefix/" >images.d26c.txt
for image in $images; do
    TZ=UTC d26c history --no-trunc -H=false "$prefix/$image" >"${image/:/-}.history26c.txt"
done
# Two platforms and an attestation for each, as BuildKit makes them: once by its own OCI exporter, once
# saved from the store.
d26c buildx build -q --no-cache --platform linux/amd64,linux/arm64/v8 --provenance=true -f "$within/Dockerfile.platforms" \
    --output "type=oci,name=docker.io/$prefix/platforms:1,dest=$within/platforms.tar" "$within" >/dev/null
mv "$inner/platforms.tar" buildkit-platforms.tar
d26c buildx build -q --no-cache --platform linux/amd64,linux/arm64/v8 --provenance=true -f "$within/Dockerfile.platforms" \
    -t $prefix/platforms:1 "$within" >/dev/null
d26c save $prefix/platforms:1 >docker26c-platforms.tar

# --- skopeo and podman ----------------------------------------------------------------------------------
skopeo copy -q --insecure-policy docker-archive:docker20-one.tar docker-archive:skopeo-docker.tar:$prefix/app:1
skopeo copy -q --insecure-policy docker-archive:docker20-one.tar oci-archive:skopeo-oci.tar:$prefix/app:1
skopeo copy -q --insecure-policy docker-archive:tiny20.tar oci-archive:tiny-oci.tar:$prefix/tiny:1
cp docker20-one.tar "$inner/in.tar"
tree skopeo copy -q --insecure-policy --dest-compress-format zstd \
    "docker-archive:$within/in.tar" "oci-archive:$within/zstd.tar:$prefix/app:1"
mv "$inner/zstd.tar" skopeo-oci-zstd.tar
pod load -q -i "$within/in.tar" >/dev/null
image=$(pod images -q --no-trunc | head -n 1)
pod tag "$image" docker.io/$prefix/app:1
pod save -q --format docker-archive -o "$within/pd.tar" docker.io/$prefix/app:1
pod save -q --format oci-archive -o "$within/po.tar" docker.io/$prefix/app:1
mv "$inner/pd.tar" podman-docker.tar
mv "$inner/po.tar" podman-oci.tar
# Two platforms once more, this time without attestations and without a nested index of BuildKit's.
for platform in amd64 arm64; do
    pod import -q --arch $platform --os linux -m "for $platform" - localhost/$prefix/import:$platform <base.tar >/dev/null
done
pod manifest create localhost/$prefix/list:1 >/dev/null
for platform in amd64 arm64; do
    pod manifest add localhost/$prefix/list:1 containers-storage:localhost/$prefix/import:$platform >/dev/null
done
pod manifest push -q --all localhost/$prefix/list:1 "oci-archive:$within/list.tar:$prefix/list:1" >/dev/null
mv "$inner/list.tar" podman-platforms.tar

rm -f base.tar export.tar
cp ./*.tar ./*.tar.* ./*.jsonl ./*.json ./*.tsv ./*.history*.txt ./*images*.txt "$out"
chmod 0644 "$out"/*
du -sh "$out"
