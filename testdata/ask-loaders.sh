#!/usr/bin/env bash
# Remake testdata/broken/LOADERS.tsv: what the engines make of every archive in testdata/broken.
#
#   testdata/ask-loaders.sh
#
# One line an archive, one column an engine: `accepts`, or the error. Each engine is emptied of test images
# before each archive, because Docker does not read a layer that it already has. What changes from one time
# to the next in an error, such as the name of a temporary directory, is replaced by `*`.
set -eu
. "$(dirname "${BASH_SOURCE[0]}")/recipe/common.bash"

answer() { # exit status; the engine's output is in the work directory
    if [ "$1" = 0 ]; then
        printf accepts
        return
    fi
    # Docker ends with one line of error. podman lists what each of its readers said, of which the one that
    # fits the archive counts: the OCI one only where there is no manifest.json.
    if grep -q '^ \* docker-archive: ' "$work/said"; then
        reader=docker-archive
        ! grep -q 'docker-archive: loading tar component "manifest.json": file does not exist' "$work/said" ||
            reader=oci-archive
        sed -n "s/^ \* $reader: //p" "$work/said"
    else
        grep -v '^Loaded image\|^$' "$work/said"
    fi | tr '\t\r\n' '   ' |
        sed -E -e "s,$within,*,g" -e 's,/var/lib/[a-z0-9]+|/var/tmp|/run/[a-z0-9]+,*,g' \
            -e 's,(docker-import-|docker-tar|oci|storage)[0-9]+,\1*,g' -e 's,[0-9a-f]{64},*,g' -e 's/ +$//'
}
forget() { # engine, archive: what the name of an image does not lead to
    # shellcheck disable=SC2046 # one word each
    "$1" rmi -f $(python3 - "$2" <<'END'
import hashlib, sys, tarfile
try:
    with tarfile.open(sys.argv[1]) as tar:
        for member in tar:
            if member.isreg():
                print('sha256:' + hashlib.sha256(tar.extractfile(member).read()).hexdigest())
except (tarfile.TarError, EOFError, OSError):
    pass
END
    ) >/dev/null 2>&1 || true
    tidy "$1"
}
docker_loads() { # engine, archive
    # Docker with its own store follows the parents of v1 images without end and dies of it (a stack
    # overflow, 20.10.24 and 26.1.5 alike). It is not asked again.
    case $1/$2 in
    d20/v1-parent-loop.tar | d26/v1-parent-loop.tar)
        printf 'dies: stack overflow'
        return
        ;;
    esac
    status=0
    "$1" load -q <"$2" >"$work/said" 2>&1 || status=$?
    answer $status
    forget "$1" "$2"
}
podman_loads() { # archive
    cp "$1" "$inner/in"
    status=0
    pod load -q -i "$within/in" >"$work/said" 2>&1 || status=$?
    answer $status
    pod rmi -af >/dev/null 2>&1 || true
}

cd "$testdata/broken"
for engine in d20 d26 d26c; do tidy $engine; done
printf 'file\tdocker 20.10\tdocker 26.1\tdocker 26.1, containerd store\tpodman 5.4\n' >"$work/table"
for file in *; do
    case $file in *.tsv) continue ;; esac
    {
        printf '%s\t' "$file"
        docker_loads d20 "$file"
        printf '\t'
        docker_loads d26 "$file"
        printf '\t'
        docker_loads d26c "$file"
        printf '\t'
        podman_loads "$file"
        printf '\n'
    } >>"$work/table"
done
cp "$work/table" LOADERS.tsv
chmod 0644 LOADERS.tsv
