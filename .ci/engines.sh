#!/usr/bin/env bash
# The real container engines that imgtar's tests compare it with.
#
#   .ci/engines.sh [start]   install what is missing, start what is not running, and print the variables
#                            that say where everything is, one `export NAME=value` a line, on stdout
#   .ci/engines.sh stop      end the daemons that `start` started and undo the mounts it made
#
# What there is afterwards:
#   IMGTAR_DOCKER20   Docker 20.10 with the overlay2 store, run on this machine itself. It writes the
#                     archive layout of Docker 1.10 to 24.
#   IMGTAR_DOCKER26   Docker 26.1 with the overlay2 store. It writes the layout of Docker 25 and later.
#   IMGTAR_DOCKER26C  Docker 26.1 with the containerd image store, which writes yet another one.
#   IMGTAR_ROOT26     the Debian trixie tree in which the two 26.1 daemons run; `chroot` into it for
#                     podman 5.4, buildah, a newer skopeo, and the 26.1 client.
#   IMGTAR_DOCKER28   Docker 28.5 with the overlay2 store.
#   IMGTAR_DOCKER28C  Docker 28.5 with the containerd image store.
#   IMGTAR_CONTAINERD28  the containerd 2 of that daemon, for `ctr` in a namespace other than `moby`.
#   IMGTAR_BARE       a trixie tree with nothing in it but Debian's minimum; packaging/check.sh copies it.
#   IMGTAR_ROOT28     the Debian forky tree in which these run; `chroot` into it for `ctr`, podman 5.8,
#                     buildah, skopeo 1.22, umoci, and the 28.5 client.
# skopeo, umoci and busybox are installed on this machine itself. forky is not released: its versions move,
# and those above are what it had in November 2026.
#
# `start` may be run again at any time: what is there is kept, and a daemon that already answers is used,
# whoever started it. `stop` never touches what `start` found running: it goes by the record that `start`
# wrote. IMGTAR_ENGINES_RECORD names another record file, for a caller that wants to stop only its own.
#
# Needs Debian bookworm and root, because both dockerd and chroot do.
set -eu

work=${TMPDIR:-/tmp}/engines
# Each tree as debootstrap made it, and bind-mounted: a mount point of its own is what pivot_root wants.
root26=$work/d26root # trixie
root28=$work/d28root # forky
bare=$work/bare      # trixie as debootstrap left it
record=${IMGTAR_ENGINES_RECORD:-$work/started-by-imgtar}

say() { printf 'engines: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

answers() { # URL of a docker host
    DOCKER_HOST=$1 timeout 30 docker version >/dev/null 2>&1
}

mounted() { # directory
    mountpoint -q "$1"
}

# --- stop ---------------------------------------------------------------------------------------------

stop_daemon() { # process id
    # A record can outlive its process, and the number can then belong to somebody else.
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" = dockerd ] || return 0
    kill "$1" 2>/dev/null || return 0
    for _ in $(seq 60); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.5
    done
    say "dockerd $1 did not end within 30 seconds"
    return 1
}

stop() {
    [ -s "$record" ] || { say 'nothing of ours is running'; return 0; }
    failed=0
    # Last started, first stopped: daemons first, then the mounts they stood on.
    while read -r kind what; do
        case $kind in
        daemon) stop_daemon "$what" || failed=1 ;;
        # Everything below was made a slave of the host, so this cannot reach the host's own mounts.
        mount) ! mounted "$what" || umount -R "$what" 2>/dev/null || umount -R -l "$what" || failed=1 ;;
        esac
    done <<END
$(tac "$record")
END
    [ "$failed" = 0 ] || die "not everything could be stopped; see $record"
    rm -f "$record"
    say stopped
}

# --- start --------------------------------------------------------------------------------------------

missing() { # commands
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || return 0
    done
    return 1
}

install_here() {
    missing dockerd docker skopeo umoci busybox debootstrap python3 gzip bzip2 xz zstd bsdtar tar-split tmux tidy rpm node parallel ||
        ! python3 -m pip --version >/dev/null 2>&1 || return 0
    say 'installing Docker 20.10, skopeo, umoci and what tests use beside them'
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends ca-certificates docker.io skopeo umoci busybox-static \
        debootstrap python3 python3-pip gzip bzip2 xz-utils zstd libarchive-tools tar-split tmux tidy rpm nodejs parallel \
        >"$work/apt.log" 2>&1 ||
        die "apt-get install failed: $(tail -n 1 "$work/apt.log")"
}

make_tree() { # suite
    tree=$work/$1
    [ -x "$tree/usr/bin/apt-get" ] && return 0
    say "making the $1 tree"
    mirror=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
    [ -n "$mirror" ] || die 'no Debian mirror in /etc/apt/sources.list.d/debian.sources'
    # Made under another name first, so that an interrupted run does not leave half a tree that looks whole.
    rm -rf --one-file-system "$tree.new"
    # debootstrap is bookworm's and may not know the suite, but all of Debian's are made by one script.
    debootstrap --variant=minbase "$1" "$tree.new" "$mirror" /usr/share/debootstrap/scripts/sid \
        >"$work/$1-debootstrap.log" 2>&1 || die "debootstrap of $1 failed: $(tail -n 1 "$work/$1-debootstrap.log")"
    # The tree has to reach the mirror the way this machine does: proxies, name servers, certificates.
    cp -n /etc/apt/apt.conf.d/* "$tree.new/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp /etc/resolv.conf "$tree.new/etc/resolv.conf"
    cp -r /usr/local/share/ca-certificates "$tree.new/usr/local/share/" 2>/dev/null || true
    # The packages of a release are installed into one that has nothing else.
    if [ "$1" = trixie ]; then
        rm -rf --one-file-system "$bare"
        cp -a --reflink=auto "$tree.new" "$bare"
    fi
    mv "$tree.new" "$tree"
}

mount_tree() { # suite, where
    mkdir -p "$2"
    mounted "$2" && return 0
    echo "mount $2" >>"$record"
    mount --bind "$work/$1" "$2"
    mount --make-rprivate "$2"
    for d in proc sys dev; do
        echo "mount $2/$d" >>"$record"
        mount --rbind "/$d" "$2/$d"
        mount --make-rslave "$2/$d"
    done
}

in_tree() { # root directory, command
    # The tree has another /tmp than ours, wherever ours is.
    env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$@"
}

install_tree() { # suite, root directory, packages
    suite=$1 root=$2
    shift 2
    # An installation that was interrupted leaves programs that are there but not set up.
    [ -x "$root/usr/sbin/dockerd" ] && [ -x "$root/usr/bin/podman" ] && [ -z "$(in_tree "$root" dpkg --audit)" ] &&
        in_tree "$root" dpkg -s umoci "$@" >/dev/null 2>&1 && return 0
    say "installing Docker, podman, buildah and skopeo in the $suite tree"
    # shellcheck disable=SC2016 # expanded by the tree's shell
    in_tree "$root" sh -eu -c '
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
    ' sh ca-certificates iptables docker.io docker-cli docker-buildx podman buildah skopeo umoci "$@" \
        >"$work/$suite-apt.log" 2>&1 ||
        die "apt-get install in the $suite tree failed: $(tail -n 1 "$work/$suite-apt.log")"
}

start_daemon() { # name, root directory or '', further flags of dockerd
    name=$1 base=$2
    shift 2
    url=unix://$base/run/$name/docker.sock
    answers "$url" && return 0
    say "starting $name"
    mkdir -p "$base/run/$name" "$base/var/lib/$name"
    # No bridge and no firewall rules: nothing here needs a network, and the machine's stays as it is.
    set -- dockerd --bridge=none --iptables=false --data-root="/var/lib/$name" --exec-root="/run/$name/exec" \
        --host="unix:///run/$name/docker.sock" --pidfile="/run/$name/d.pid" "$@"
    # Each daemon gets a session of its own, so that an interrupt at the terminal reaches only the caller,
    # whose `stop` then ends the daemons in order.
    if [ -n "$base" ]; then
        env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin setsid chroot "$base" "$@" >"$work/$name.log" 2>&1 </dev/null &
    else
        setsid "$@" >"$work/$name.log" 2>&1 </dev/null &
    fi
    # env, setsid and chroot all turn into the program they run, so this is the number of dockerd itself.
    echo "daemon $!" >>"$record"
    for _ in $(seq 120); do
        answers "$url" && return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.5
    done
    die "$name did not start: $(tail -n 1 "$work/$name.log")"
}

start_pair() { # name, root directory: one daemon with the overlay2 store and one with containerd's
    start_daemon "$1" "$2" --storage-driver=overlay2 --ip6tables=false
    mkdir -p "$2/etc/${1}c"
    echo '{"features":{"containerd-snapshotter":true}}' >"$2/etc/${1}c/daemon.json"
    start_daemon "${1}c" "$2" "--config-file=/etc/${1}c/daemon.json" --ip6tables=false
}

# What is done side by side; `start` has the words for it.
on_this_machine() {
    start_daemon d20 '' --storage-driver=overlay2
}

in_trixie() {
    make_tree trixie
    mount_tree trixie "$root26"
    install_tree trixie "$root26"
    start_pair d26 "$root26"
}

in_forky() {
    make_tree forky
    mount_tree forky "$root28"
    # Without the program xz Docker refuses layers that are compressed with it. mdbook makes the book of the documentation:
    # bookworm has none, and this way nothing has to be compiled.
    install_tree forky "$root28" containerd xz-utils mdbook
    start_pair d28 "$root28"
}

jobs=
in_background() { # function
    # In a process group of its own, and that is all that job control is wanted for: if we are interrupted,
    # what makes a tree must not go on behind the back of a `stop` that follows. A daemon has left the group.
    set -m
    { set +m; "$1"; } >&2 </dev/null &
    set +m
    jobs="$jobs $!"
}

end_jobs() {
    for group in $jobs; do
        kill -- "-$group" 2>/dev/null || true
    done
    wait
}

start() {
    [ "$(id -u)" = 0 ] || die 'needs root'
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p "$work"
    install_here
    trap 'end_jobs; exit 130' INT
    trap 'end_jobs; exit 143' TERM
    # All side by side: making a tree takes minutes, most of which pass while packages come and are unpacked.
    for job in on_this_machine in_trixie in_forky; do
        in_background "$job"
    done
    failed=0
    for job in $jobs; do
        wait "$job" || failed=1
    done
    [ "$failed" = 0 ] || exit 1
    cat <<END
export IMGTAR_DOCKER20=unix:///run/d20/docker.sock
export IMGTAR_DOCKER26=unix://$root26/run/d26/docker.sock
export IMGTAR_DOCKER26C=unix://$root26/run/d26c/docker.sock
export IMGTAR_ROOT26=$root26
export IMGTAR_DOCKER28=unix://$root28/run/d28/docker.sock
export IMGTAR_DOCKER28C=unix://$root28/run/d28c/docker.sock
export IMGTAR_CONTAINERD28=unix://$root28/run/d28c/exec/containerd/containerd.sock
export IMGTAR_ROOT28=$root28
export IMGTAR_BARE=$bare
END
}

case ${1:-start} in
start) start ;;
stop) stop ;;
*) die 'usage: engines.sh [start|stop]' ;;
esac
