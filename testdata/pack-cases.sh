#!/usr/bin/env bash
# Packs the crafted cases: `testdata/pack-cases.sh DIRECTORY` writes `testdata/cases.tar.zst`. The same files give
# the same bytes.
set -eu

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tar --sort=name --format=ustar --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=0644 \
    -C "$1" -cf - CASES.tsv ENGINES.tsv $(cd "$1" && ls | grep -E '\.(tar|tsv)$' | grep -vE '^(CASES|ENGINES)\.tsv$') |
    zstd -19 --quiet -o "$here/cases.tar.zst" --force
