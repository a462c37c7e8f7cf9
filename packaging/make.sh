#!/usr/bin/env bash
# Makes everything that a release consists of, from a checkout, into target/dist/: the crate, a Debian package, an RPM, a
# tarball, and SHA256SUMS.
#
#   packaging/make.sh           all of it
#   packaging/make.sh --wheel   and the Python wheel, by python/make-wheel.sh
#
# One program is built for all of them, with the release profile. On Linux it is linked statically, with the C library:
# it runs on every distribution, whatever its C library is. It writes the manual pages and completions itself.
#
# The same commit, Rust, C compiler and C library give the same bytes, wherever the checkout and Cargo's directory
# are. Times in the packages are those of the commit, or SOURCE_DATE_EPOCH.
#
# Needs Rust, a C compiler with binutils, git, python3 and GNU tar, gzip and xz. cargo-deb and cargo-generate-rpm are
# installed into target/packaging/ if they are not there: by pip, or else built by Cargo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Neither the order of files nor what tools print depends on who runs this.
export LC_ALL=C.UTF-8 TZ=UTC
umask 022

say() { printf '== %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

wheel=
case ${1-} in
'') ;;
--wheel) wheel=yes ;;
*) die 'usage: packaging/make.sh [--wheel]' ;;
esac

dist=target/dist stage=target/packaging/stage tools=target/packaging/tools
version=$(cargo pkgid --offline </dev/null 2>/dev/null || cargo pkgid </dev/null)
version=${version##*[#@]}
host=$(rustc -vV | sed -n 's/^host: //p')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --no-show-signature --format=%ct)}
export SOURCE_DATE_EPOCH
allow=()
[ -z "$(git status --porcelain)" ] || {
    say 'the checkout has changes that are not committed; a release has none'
    allow=(--allow-dirty)
}
rm -rf "$dist" "$stage"
mkdir -p "$dist" "$stage"

# --- the tools ------------------------------------------------------------------------------------------

tool() { # name: its path, after it has been installed if need be
    wanted=$(sed -n "s/^$1==\([0-9.]*\).*/\1/p" packaging/tools.txt)
    if [ "$(cat "$tools/$1.version" 2>/dev/null)" != "$wanted" ]; then
        say "installing $1 $wanted"
        mkdir -p "$tools"
        # Only the programs that packaging/tools.txt has the digests of; no pip, or another machine, is no error.
        sed -n "/^$1==/,/--hash/p" packaging/tools.txt >"$tools/$1.txt"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
            --only-binary :all: --require-hashes --upgrade --target "$tools/$1" -r "$tools/$1.txt" >&2 2>"$tools/$1.log" ||
            cargo install --quiet --locked --root "$tools/$1" --version "$wanted" "$1" >&2 </dev/null
        echo "$wanted" >"$tools/$1.version"
    fi
    printf '%s\n' "$PWD/$tools/$1/bin/$1"
}

# --- the program ----------------------------------------------------------------------------------------

built=$(packaging/build.sh)
say "staging $built"
install -m 755 "$built" "$stage/imgtar"
strip --strip-all "$stage/imgtar"
"$stage/imgtar" man "$stage/man"
mkdir "$stage/completions"
"$stage/imgtar" completions bash >"$stage/completions/imgtar.bash"
"$stage/imgtar" completions zsh >"$stage/completions/_imgtar"
"$stage/imgtar" completions fish >"$stage/completions/imgtar.fish"
python3 packaging/licences.py "$host" >"$stage/THIRD-PARTY"

# Packages have their pages and long texts compressed, and the tarball has them as they are.
mkdir "$stage/man.gz"
for page in "$stage"/man/*.1; do
    gzip -9nc "$page" >"$stage/man.gz/${page##*/}.gz"
done
gzip -9nc CHANGELOG.md >"$stage/changelog.gz"
gzip -9nc "$stage/THIRD-PARTY" >"$stage/THIRD-PARTY.gz"
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# --- the packages ---------------------------------------------------------------------------------------

say 'the crate'
cargo package --quiet --locked --no-verify "${allow[@]}" </dev/null
cp "${CARGO_TARGET_DIR:-target}/package/imgtar-$version.crate" "$dist/"

# The packages are made in the crate. These versions of the tools, the last that pip has, do not know all that may
# stand in a manifest today. They compile nothing, so neither the edition nor the profiles matter to them.
crate=target/packaging/crate
rm -rf "$crate"
mkdir "$crate"
tar -xzf "$dist/imgtar-$version.crate" -C "$crate" --strip-components=1
awk '/^\[/ { skip = /^\[profile\./ } !skip' "$crate/Cargo.toml" | sed 's/^edition = "2024"$/edition = "2021"/' \
    >"$crate/Cargo.toml.new"
mv "$crate/Cargo.toml.new" "$crate/Cargo.toml"
find "$crate" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
where=$PWD/$dist/

say 'the Debian package'
deb=$(tool cargo-deb)
(cd "$crate" && "$deb" --quiet --no-build --no-strip --output "$where" </dev/null >&2)

say 'the RPM'
rpm=$(tool cargo-generate-rpm)
(cd "$crate" && "$rpm" --auto-req no --output "$where" </dev/null >&2)

say 'the tarball'
name=imgtar-$version-$host
mkdir "$stage/$name"
cp -p "$stage/imgtar" "$stage/THIRD-PARTY" "$stage/$name/"
cp -rp "$stage/man" "$stage/completions" "$stage/$name/"
cp README.md CHANGELOG.md LICENSE LICENSE-APACHE LICENSE-MIT "$stage/$name/"
tar -C "$stage" --format=ustar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX \
    --mtime="@$SOURCE_DATE_EPOCH" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"

if [ -n "$wheel" ]; then
    [ -e python/make-wheel.sh ] || die 'there is no python/make-wheel.sh'
    say 'the wheel'
    bash python/make-wheel.sh "$PWD/$dist"
fi

(cd "$dist" && sha256sum -- *.* >SHA256SUMS)
say "$dist"
ls -l "$dist" >&2
