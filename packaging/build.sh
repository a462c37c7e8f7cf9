#!/usr/bin/env bash
# Builds the program that the packages have, and prints its path.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
cargo fetch --quiet --locked --target "$host" </dev/null
# What a panic says of its place must not depend on where this machine keeps sources.
home=${CARGO_HOME:-$HOME/.cargo}
flags=("--remap-path-prefix=$PWD=/imgtar")
for registry in "$home"/registry/src/*; do
    flags+=("--remap-path-prefix=$registry=/cargo")
done
case $host in
*-linux-*) flags=(-C target-feature=+crt-static "${flags[@]}") ;;
esac
CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && printf '%s' "${flags[*]}")
# C compilers note where they were started.
CFLAGS="${CFLAGS-} -ffile-prefix-map=$home/registry/src=/cargo"
export CARGO_ENCODED_RUSTFLAGS CFLAGS

# With a target of its own, build scripts and macros are built without these flags, as they have to be.
cargo build --quiet --release --locked --bin imgtar --target "$host" </dev/null >&2
target=${CARGO_TARGET_DIR:-target}
printf '%s\n' "$target/$host/release/imgtar"
