#!/bin/sh
# Draws the pictures of the README: what the program prints on a terminal of 100 columns, as SVG.
# Needs `script` (util-linux). tests/it/pictures.rs says what is typed for each, and compares them in every test run.
set -eu
cd "$(dirname "$0")/../.."
UPDATE_DOCS=1 cargo test --test it -- pictures::
