# For make.sh, make-engines-today.sh and ask-loaders.sh, which source this: the engines of .ci/engines.sh as commands, a work
# directory, and the clearing away of both when the script ends.
# shellcheck shell=bash
umask 022
testdata=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

variables=$(bash "$testdata/../.ci/engines.sh")
eval "$variables"

work=$(mktemp -d)
inner=$(mktemp -d "$IMGTAR_ROOT26/tmp/imgtar.XXXXXX") # a work directory that the tree's programs can see
within=${inner#"$IMGTAR_ROOT26"}                      # and what they call it
inner28=$(mktemp -d "$IMGTAR_ROOT28/tmp/imgtar.XXXXXX") # the same in the tree of today's engines
within28=${inner28#"$IMGTAR_ROOT28"}
: "${engines:=d20 d26 d26c}" # those that the script uses

# Each daemon with the client of its own release. The 26.1 client lives in the tree, so it is given and asked
# for archives on standard input and output.
d20() { DOCKER_HOST=$IMGTAR_DOCKER20 /usr/bin/docker "$@"; }
tree() { chroot "$IMGTAR_ROOT26" /usr/bin/env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
d26() { tree DOCKER_HOST="unix://${IMGTAR_DOCKER26#"unix://$IMGTAR_ROOT26"}" docker "$@"; }
d26c() { tree DOCKER_HOST="unix://${IMGTAR_DOCKER26C#"unix://$IMGTAR_ROOT26"}" docker "$@"; }
pod() {
    tree PODMAN_IGNORE_CGROUPSV1_WARNING=1 podman --root "$within/pod" --runroot "$within/podrun" \
        --storage-driver vfs --cgroup-manager cgroupfs "$@"
}

tree28() { chroot "$IMGTAR_ROOT28" /usr/bin/env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"; }
d28() { tree28 DOCKER_HOST="unix://${IMGTAR_DOCKER28#"unix://$IMGTAR_ROOT28"}" docker "$@"; }
d28c() { tree28 DOCKER_HOST="unix://${IMGTAR_DOCKER28C#"unix://$IMGTAR_ROOT28"}" docker "$@"; }
pod28() {
    tree28 PODMAN_IGNORE_CGROUPSV1_WARNING=1 podman --root "$within28/pod" --runroot "$within28/podrun" \
        --storage-driver overlay --cgroup-manager cgroupfs "$@"
}

# Everything made in the engines is named or labelled so that it can be found and taken away again.
prefix=imgtar-testdata
registry=registry.example.com:5000/$prefix
label='org.opencontainers.image.title=imgtar test image'
each() { # command, to which the words of standard input are added, if there are any
    arguments=$(cat)
    # shellcheck disable=SC2086 # one word each: IDs and references
    [ -z "$arguments" ] || "$@" $arguments
}
tidy() { # engine
    "$1" ps -aq --filter "name=^$prefix" | each "$1" rm -f >/dev/null
    "$1" images --format '{{.Repository}}:{{.Tag}}' | grep -E "^($prefix|$registry)/" | sed 's/:<none>$//' |
        each "$1" rmi -f >/dev/null 2>&1 || true
    # What was loaded without a name.
    "$1" images -q --filter dangling=true --filter label="$label" | each "$1" rmi -f >/dev/null 2>&1 || true
}
tidy_cache() { # engine
    # The builder's cache keeps layers, and with them what the builder thought of their sizes.
    "$1" builder prune -af >/dev/null
}
finish() {
    status=$?
    for engine in $engines; do
        { tidy $engine && tidy_cache $engine; } || true
    done
    # podman's overlay driver leaves its directory mounted on itself.
    umount "$inner28/pod/overlay" 2>/dev/null || true
    rm -rf "$work" "$inner" "$inner28"
    [ "$status" = 0 ] || echo "$0: failed, its output is not complete" >&2
}
trap finish EXIT
