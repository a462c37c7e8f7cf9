#!/usr/bin/env bash
# What continuous integration does with the Python package: `bash python/check.sh`, from anywhere. Lints it, builds one
# wheel in a quick profile, installs it in a clean virtual environment and runs the tests and the fleet's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
environment=$target/venv
python=${PYTHON:-python3}

say() { printf '== python: %s\n' "$*"; }

if ! command -v parallel >/dev/null 2>&1; then
    say 'GNU parallel, for docs/fleet.md'
    apt-get install -y -qq parallel >/dev/null
fi

say 'a virtual environment'
rm -rf "$environment"
mkdir -p "$target"
# Debian has the module that makes one in a package of its own.
"$python" -m venv "$environment" 2>/dev/null || {
    apt-get install -y -qq python3-venv >/dev/null
    "$python" -m venv "$environment"
}
"$environment/bin/pip" install --quiet -r requirements-test.txt

export CARGO_TARGET_DIR=$target
say 'formatting and Clippy'
cargo fmt --check
cargo clippy --locked --profile ci -- -D warnings
say 'the wheel'
rm -rf "$target/wheels"
"$environment/bin/maturin" build --locked --profile ci --out "$target/wheels"
"$environment/bin/pip" install --quiet --no-index "$target"/wheels/imgtar-*-abi3-*.whl

say 'tests'
"$environment/bin/python" -m pytest -q -x --durations=10 tests
