#!/usr/bin/env bash
# Fills fuzz/corpus from testdata: whole archives, their layers, their JSON, and some references.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=$here/../testdata
corpus=$here/corpus
mkdir -p "$corpus"/{change,outer,program,layer,compression,json,reference,remake,metadata,delta_program,delta_pair,rescue_bolt,rescue_root,rescue_split}

# libFuzzer reads no more than -max_len bytes of a file; longer seeds would be cut to no purpose.
limit=65536

cp_small() { # file, target, name
    [ "$(stat -c %s "$1")" -gt "$limit" ] || cp "$1" "$corpus/$2/$3"
}

for archive in "$data"/broken/*.tar* "$data"/engines/tiny*.tar "$data"/engines/*.tar.*; do
    name=$(basename "$archive")
    cp_small "$archive" outer "$name"
    cp_small "$archive" program "$name"
    cp_small "$archive" layer "$name"
    cp_small "$archive" compression "$name"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for archive in "$data"/engines/{tiny20,tiny26,tiny-oci,docker20-one,skopeo-oci,skopeo-oci-zstd}.tar; do
    stem=$(basename "$archive" .tar)
    mkdir "$work/$stem"
    tar -C "$work/$stem" -xf "$archive"
    # -type f leaves out the links by which old archives share layers.
    find "$work/$stem" -type f | sort | while read -r file; do
        name=$stem-$(basename "$(dirname "$file")" | cut -c1-12)-$(basename "$file" | cut -c1-12)
        case $(head -c 1 "$file") in
        '{' | '[') cp_small "$file" json "$name" ;;
        *)
            cp_small "$file" layer "$name"
            cp_small "$file" compression "$name"
            ;;
        esac
    done
done

# A flat tar and its metadata, behind the length of the former.
imgtar=${IMGTAR:-$here/../target/release/imgtar}
if [ -x "$imgtar" ]; then
    for archive in "$data"/engines/tiny*.tar; do
        for options in "" --lean --keep-blobs; do
            # shellcheck disable=SC2086 # no option is no argument
            "$imgtar" flatten "$archive" -f -o "$work/flat" --metadata "$work/metadata" $options
            len=$(stat -c %s "$work/flat")
            {
                # shellcheck disable=SC2059 # the format is made of the four bytes
                printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((len & 255)) $((len >> 8 & 255)) $((len >> 16 & 255)) $((len >> 24)))"
                cat "$work/flat" "$work/metadata"
            } >"$work/seed"
            cp_small "$work/seed" metadata "$(basename "$archive" .tar)$options"
        done
    done
fi

n=0
while read -r reference; do
    n=$((n + 1))
    printf %s "$reference" >"$corpus/reference/$n"
done <<'END'
nginx
docker.io/library/nginx:1.12
registry.example.com:5000/team/q:r@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
[::1]:5000/app:T_x.9-
index.docker.io/a__b.c---d_e
localhost/app
linux/arm64/v8
@1
e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
END

# What the tests run is where a fuzzer begins too.
for target in "$data"/fuzz/*; do
    cp "$target"/* "$corpus/$(basename "$target")/"
done
for archive in "$data"/hostile/*.tar*; do
    cp_small "$archive" program "hostile-$(basename "$archive")"
done
