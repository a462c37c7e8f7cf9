#!/usr/bin/env bash
# A release, from a checkout whose files already say so: CONTRIBUTING.md has the steps before.
#
#   packaging/release.sh VERSION              check that all is ready, run .ci/run, and make everything in
#                                             target/dist, with the release notes; changes nothing else
#   packaging/release.sh VERSION --tag        and then tag the commit
#   packaging/release.sh VERSION --publish    and then push the tag and publish the crate
#   --no-ci                                   without .ci/run, for what has passed it already
#   --dry-run                                 the default, in so many words; wins over the others
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

version= tag= publish= ci=yes dry=
for argument; do
    case $argument in
    --tag) tag=yes ;;
    --publish) tag=yes publish=yes ;;
    --no-ci) ci= ;;
    --dry-run) dry=yes ;;
    -*) die "unknown option $argument" ;;
    *) [ -z "$version" ] || die 'one VERSION'; version=$argument ;;
    esac
done
[ -z "$dry" ] || tag='' publish=''
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.]+)?$ ]] || die 'usage: packaging/release.sh VERSION [--tag] [--publish] [--no-ci] [--dry-run]'

# --- is it ready? All that is wrong is named, not only the first. ----------------------------------------

wrong=0
wrong() { say "not ready: $*"; wrong=1; }

[ -z "$(git status --porcelain)" ] || wrong 'the checkout has changes that are not committed'
! git rev-parse -q --verify "refs/tags/v$version" >/dev/null || wrong "the tag v$version exists"
of_manifest() { # Cargo.toml: the version that it says
    sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$1"
}
of_lock() { # Cargo.lock: the version of imgtar in it
    sed -n '/^name = "imgtar"$/{n;s/^version = "\(.*\)"$/\1/p}' "$1"
}
for file in Cargo.toml python/Cargo.toml; do
    [ ! -e "$file" ] || [ "$(of_manifest "$file")" = "$version" ] || wrong "$file says version $(of_manifest "$file")"
done
for file in Cargo.lock fuzz/Cargo.lock python/Cargo.lock; do
    [ ! -e "$file" ] || [ "$(of_lock "$file")" = "$version" ] || wrong "$file says version $(of_lock "$file")"
done
notes() { # the section of the version, without its heading
    awk -v heading="## [$version]" '
        index($0, "## [") == 1 { inside = index($0, heading) == 1; next }
        inside { print }' CHANGELOG.md
}
heading=$(grep -F "## [$version]" CHANGELOG.md) || heading=
[[ $heading =~ ^"## [$version] - "[0-9]{4}-[0-9]{2}-[0-9]{2}$ ]] ||
    wrong "CHANGELOG.md has no line \`## [$version] - YYYY-MM-DD\`"
[ -n "$(notes | tr -d '[:space:]')" ] || wrong "CHANGELOG.md says nothing about $version"
unreleased=$(awk 'index($0, "## [") == 1 { inside = index($0, "## [Unreleased]") == 1; next } inside' CHANGELOG.md)
[ -z "$(tr -d '[:space:]' <<<"$unreleased")" ] || wrong 'CHANGELOG.md has lines in [Unreleased]'
[ "$wrong" = 0 ] || die 'nothing was done'

# --- checked, made, tagged, published --------------------------------------------------------------------

if [ -n "$ci" ]; then
    log=$(mktemp)
    bash .ci/run 2>&1 | tee "$log"
    if grep 'NOT CHECKED' "$log" >&2; then
        die "a release is checked completely; the log is $log"
    fi
    rm "$log"
fi
if [ -e python/make-wheel.sh ]; then
    packaging/make.sh --wheel
else
    packaging/make.sh
fi
notes >target/dist/NOTES.md
say "target/dist has what belongs on the release page, NOTES.md the text for it"

if [ -z "$tag" ]; then
    say "dry run: no tag was made and nothing was published"
    exit 0
fi
git tag -a "v$version" -m "imgtar $version"
say "tagged $(git rev-parse --short HEAD) as v$version"
if [ -n "$publish" ]; then
    git push origin "v$version"
    cargo publish --locked
else
    say "not published: git push origin v$version, then cargo publish --locked"
fi
