"""Prints the licences of everything that is linked into the program, for the packages.

    python3 packaging/licences.py TARGET

Crates are what the program needs for TARGET when it runs, not what builds or tests it. Equal texts are
printed once, under the names of all crates that have them.
"""

import json
import pathlib
import subprocess
import sys

RULE = "-" * 79

# What is linked in and is not a crate, with where its source is.
OTHERS = """\
The Rust standard library: MIT OR Apache-2.0. Source: https://github.com/rust-lang/rust
The GNU C Library, where the program is linked statically (x86_64-unknown-linux-gnu and other -gnu targets):
LGPL-2.1-or-later. Source: https://sourceware.org/git/glibc.git and the source package of the distribution. To link
the program with another version of it, build imgtar from its source: README.md says how.
"""


def cargo(*arguments):
    """What Cargo says for the target."""
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def linked(target):
    """The packages that the program is linked from, in order of their names."""
    # `cargo tree` knows which features are on without the tests, `cargo metadata` where the sources are.
    form = ("--prefix=none", "--format={p}")
    tree = cargo("tree", "--target", target, "--edges=normal,no-proc-macro", *form).splitlines()
    names = {tuple(line.split()[:2]) for line in tree if line}
    packages = json.loads(cargo("metadata", "--format-version=1", "--filter-platform", target))["packages"]
    packages = [package for package in packages if (package["name"], "v" + package["version"]) in names]
    assert len(packages) == len(names), "a crate is missing"
    return sorted(
        (package for package in packages if package["source"]),
        key=lambda package: (package["name"], package["version"]),
    )


def texts(package):
    """The texts of its licences: every file that looks like one, at its top or in a folder of them."""
    folder = pathlib.Path(package["manifest_path"]).parent
    looks = ("licen", "copying", "copyright", "notice", "unlicense")
    files = [*folder.iterdir(), *folder.glob("LICENSES/*"), *folder.glob("*/LICENSE*"), *folder.glob("*/COPYING*")]
    named = [file for file in files if file.name.lower().startswith(looks) or file.parent.name == "LICENSES"]
    return [file.read_text("utf-8", "replace").strip() for file in sorted(set(named)) if file.is_file()]


def main():
    """Prints everything."""
    packages = linked(sys.argv[1])
    users = {}
    print("imgtar is linked from the following software, under these licences.\n")
    for package in packages:
        print(f"{package['name']} {package['version']}: {package['license'] or 'see below'}")
        for text in texts(package):
            users.setdefault(text, []).append(f"{package['name']} {package['version']}")
    print("\n" + OTHERS)
    for text, names in sorted(users.items(), key=lambda item: item[1]):
        print(f"{RULE}\n{', '.join(names)}\n{RULE}\n\n{text}\n")


if __name__ == "__main__":
    main()
