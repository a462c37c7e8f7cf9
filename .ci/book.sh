#!/usr/bin/env bash
# Builds the documentation as a book into target/book and checks it: it has every page, there are no warnings, every link
# leads somewhere, and the search finds the page that answers each common question. Uses the mdbook of this machine; where
# there is none, the one in the tree that engines.sh made (IMGTAR_ROOT28).
set -eu -o pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

find docs -name '*.md' ! -name SUMMARY.md -printf '%P\n' | while read -r page; do
    grep -qF "($page)" docs/SUMMARY.md || { echo "docs/SUMMARY.md does not list $page" >&2; exit 1; }
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf target/book
if command -v mdbook >/dev/null 2>&1; then
    mdbook build 2>&1 | tee "$log"
elif [ -x "${IMGTAR_ROOT28:-}/usr/bin/mdbook" ]; then
    inside=$(mktemp -d "$IMGTAR_ROOT28/tmp/book.XXXXXX")
    trap 'rm -rf "$log" "$inside"' EXIT
    cp -R book.toml docs README.md CHANGELOG.md CONTRIBUTING.md "$inside/"
    env -u TMPDIR PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$IMGTAR_ROOT28" mdbook build "/tmp/${inside##*/}" 2>&1 | tee "$log"
    mkdir -p target
    cp -R "$inside/target/book" target/book
else
    echo 'mdbook is missing: cargo install --locked mdbook, or start the engines' >&2
    exit 1
fi
if grep -E 'WARN|ERROR' "$log"; then
    echo 'the book has warnings' >&2
    exit 1
fi
[ -e target/book/index.html ] || exit 1
node "$here/check-book.mjs" target/book
