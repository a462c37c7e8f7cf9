#!/usr/bin/env bash
# Installs what packaging/make.sh made, runs it where nothing else is, and removes it again. As root on Linux.
#
#   packaging/check.sh
#
# The Debian package goes into a copy of a minimal Debian root: the one that IMGTAR_BARE names (.ci/engines.sh makes it),
# or else a new one by debootstrap. The RPM is installed by rpm into an empty root, and the tarball runs in an empty root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8
exec </dev/null

say() { printf '== %s\n' "$*" >&2; }
die() { say "FAILED: $*"; exit 1; }

[ "$(id -u)" = 0 ] || die 'this needs root'
for tool in rpm debootstrap readelf; do
    command -v "$tool" >/dev/null || die "$tool is missing"
done
dist=$PWD/target/dist
one() { # pattern: the one file of target/dist that has this name
    set -- "$dist"/$1
    [ $# = 1 ] && [ -f "$1" ] || die "not one file, but: $*"
    printf '%s\n' "$1"
}
deb=$(one 'imgtar_*.deb') rpm=$(one 'imgtar-*.rpm') tarball=$(one 'imgtar-*.tar.gz')
one 'imgtar-*.crate' >/dev/null
(cd "$dist" && sha256sum --quiet -c SHA256SUMS) || die 'SHA256SUMS is wrong'
commit=$(git rev-parse HEAD) version=$(cargo pkgid </dev/null)
day=$(TZ=UTC git log -1 --no-show-signature --date=format-local:%Y-%m-%d --format=%cd)
expected="imgtar ${version##*[#@]} (${commit:0:7} $day)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Runs a program in a root directory, with no more of this machine's environment than is named.
within() { # root directory, command
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ="${zone-}" chroot "$@"
}

# README's first task, and one command for each way to use the system: temporary files, threads, an output.
works() { # root directory, program
    say "$2 in ${1##*/}"
    [ "$(within "$1" "$2" --version)" = "$expected" ] ||
        die "--version is $(within "$1" "$2" --version) and not $expected"
    mkdir -p "$1/tmp"
    cp testdata/engines/docker20-multi.tar "$1/tmp/app.tar"
    within "$1" "$2" images /tmp/app.tar >"$work/images"
    grep -q '^imgtar-testdata/app  *1 .* ago  *8.83kB$' "$work/images" || die "images prints $(cat "$work/images")"
    within "$1" "$2" verify -q - <"$1/tmp/app.tar" || die 'verify of standard input fails'
    within "$1" "$2" flatten /tmp/app.tar imgtar-testdata/app:1 -o /tmp/rootfs.tar.xz -q
    xz -dc "$1/tmp/rootfs.tar.xz" | tar -t >"$work/names"
    grep -qx 'bin/tool' "$work/names" || die "flatten writes $(cat "$work/names")"
    rm "$1/tmp/app.tar" "$1/tmp/rootfs.tar.xz"
}

has() { # directory, paths in it
    for path in "${@:2}"; do
        [ -s "$1/$path" ] || die "$path is missing"
    done
}

# --- the tarball ----------------------------------------------------------------------------------------

mkdir "$work/empty"
tar -xzf "$tarball" -C "$work/empty" --strip-components=1
needed=$(readelf -dW "$work/empty/imgtar" | grep NEEDED) && die "the program needs $needed"
works "$work/empty" /imgtar
has "$work/empty" README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT THIRD-PARTY man/imgtar.1 \
    man/imgtar-verify.1 completions/imgtar.bash completions/_imgtar completions/imgtar.fish
grep -q "imgtar ${version##*[#@]}\"* *\"imgtar manual" "$work/empty/man/imgtar.1" || die 'the manual page has another version'

# --- the RPM --------------------------------------------------------------------------------------------

mkdir "$work/rpm"
rpm --root "$work/rpm" --initdb
rpm --root "$work/rpm" -i "$rpm"
rpm --root "$work/rpm" -V imgtar || die 'rpm -V finds a difference'
works "$work/rpm" /usr/bin/imgtar
has "$work/rpm" usr/share/man/man1/imgtar.1.gz usr/share/bash-completion/completions/imgtar \
    usr/share/zsh/site-functions/_imgtar usr/share/fish/vendor_completions.d/imgtar.fish \
    usr/share/licenses/imgtar/LICENSE-MIT usr/share/licenses/imgtar/THIRD-PARTY.gz
rpm --root "$work/rpm" -e imgtar
left=$(find "$work/rpm/usr" ! -type d)
[ -z "$left" ] || die "rpm -e leaves $left"

# --- the Debian package ---------------------------------------------------------------------------------

bare=$work/debian
if [ -x "${IMGTAR_BARE-}/usr/bin/dpkg" ]; then
    cp -a "$IMGTAR_BARE" "$bare"
else
    say 'making a minimal Debian root'
    mirror=$(awk '$1 == "URIs:" { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
    debootstrap --variant=minbase bookworm "$bare" "$mirror" >"$work/debootstrap.log" 2>&1 ||
        die "debootstrap failed: $(tail -n 1 "$work/debootstrap.log")"
fi
files() { # what is in the root, apart from records of what was done
    (cd "$bare" && find . -path ./var/log -prune -o -path ./var/lib/dpkg -prune -o -path ./tmp -prune -o -print | sort)
}
files >"$work/before"
cp "$deb" "$bare/tmp/imgtar.deb"
within "$bare" dpkg -i /tmp/imgtar.deb >&2
[ -z "$(within "$bare" dpkg --audit)" ] || die 'dpkg --audit complains'
within "$bare" dpkg --verify imgtar || die 'dpkg --verify finds a difference'
works "$bare" imgtar
has "$bare" usr/share/man/man1/imgtar.1.gz usr/share/man/man1/imgtar-verify.1.gz \
    usr/share/zsh/vendor-completions/_imgtar usr/share/fish/vendor_completions.d/imgtar.fish \
    usr/share/doc/imgtar/copyright usr/share/doc/imgtar/changelog.gz usr/share/doc/imgtar/THIRD-PARTY.gz
gzip -dc "$bare/usr/share/man/man1/imgtar.1.gz" | grep -q '^\.TH imgtar 1' || die 'imgtar.1.gz is not a manual page'
# shellcheck disable=SC2016 # expanded by the shell in the root
completed=$(within "$bare" bash -euc '
    . /usr/share/bash-completion/completions/imgtar
    COMP_WORDS=(imgtar flat) COMP_CWORD=1
    _imgtar imgtar flat imgtar
    printf "%s\n" "${COMPREPLY[@]}"')
[ "$completed" = flatten ] || die "bash completes flat to $completed"
# The zones of the system are used, although nothing of its C library is.
if [ -e "$bare/usr/share/zoneinfo/Asia/Tokyo" ]; then
    cp testdata/engines/docker20-one.tar "$bare/tmp/one.tar"
    zone=Asia/Tokyo within "$bare" imgtar history /tmp/one.tar --human=false | grep -q '+09:00' ||
        die 'the time zone of TZ is not used'
    rm "$bare/tmp/one.tar"
else
    say "NOT CHECKED: time zones, because the Debian root has no zoneinfo"
fi
within "$bare" dpkg -P imgtar >&2
files >"$work/after"
diff "$work/before" "$work/after" >&2 || die 'dpkg -P does not leave what was there before'
say 'the packages work'
