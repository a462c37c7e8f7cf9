"""The package: what is in it, and that it fits the program."""

import pathlib
import re
import subprocess
import sys

import imgtar

from conftest import PROGRAM, REPOSITORY, program


def requirements(text, table):
    """What each dependency has to be, in the tables of a Cargo.toml whose names match."""
    found, here = {}, False
    for line in text.splitlines():
        if line.startswith("["):
            here = re.fullmatch(table, line) is not None
        name, is_one, wanted = line.partition(" = ")
        if here and is_one and not line.startswith("#"):
            wanted = wanted.replace(", optional = true", "")
            alone = re.fullmatch(r'\{ version = ("[^"]+") \}', wanted)
            found[name] = alone[1] if alone else wanted
    return found


def test_dependencies_are_those_of_the_program():
    table = r"\[(target\..*\.)?dependencies\]"
    ours = (REPOSITORY / "python" / "Cargo.toml").read_text()
    theirs = (REPOSITORY / "Cargo.toml").read_text()
    shared = requirements(ours, table)
    for name in ("imgtar", "pyo3", "self_cell"):
        del shared[name]
    assert len(shared) > 15
    wanted = requirements(theirs, table)
    assert shared == {name: wanted.get(name) for name in shared}
    assert imgtar.__version__ == requirements(theirs, r"\[package\]")["version"].strip('"')
    assert program("--version").decode().startswith(f"imgtar {imgtar.__version__}")


def test_the_program_is_the_whole_program():
    done = subprocess.run([PROGRAM, "imagse"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "images" in done.stderr and "Traceback" not in done.stderr
    help = program("--help").decode()
    assert help == subprocess.run([sys.executable, "-m", "imgtar", "--help"], capture_output=True, text=True).stdout
    assert "flatten" in help and "browse" in help


def test_it_is_typed():
    package = pathlib.Path(imgtar.__file__).parent
    assert {"py.typed", "_imgtar.pyi", "__init__.py"} <= {path.name for path in package.iterdir()}
    for name in imgtar.__all__:
        assert getattr(imgtar, name).__doc__, name
    stub = (package / "_imgtar.pyi").read_text()
    from imgtar import _imgtar

    for name in dir(_imgtar):
        if not name.startswith("__"):
            assert re.search(rf"^(class|def) {name}\b|^{name}:", stub, re.M), name
    for kind in (_imgtar.Archive, _imgtar.Entries, _imgtar.File):
        for name in vars(kind):
            if not name.startswith("__"):
                assert f"def {name}(" in stub, name
