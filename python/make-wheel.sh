#!/usr/bin/env bash
# Builds the Python wheel as it is released and puts it into a folder: `bash python/make-wheel.sh FOLDER`. maturin comes
# from a virtual environment that is made for it, in the version of requirements-test.txt.
set -euo pipefail
out=$(realpath -m "${1:?usage: make-wheel.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")"

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
environment=$target/maturin-venv
"${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/pip" install --quiet "$(grep '^maturin==' requirements-test.txt)"
CARGO_TARGET_DIR=$target "$environment/bin/maturin" build --release --locked --out "$out"
