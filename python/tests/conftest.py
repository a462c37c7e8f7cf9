"""What the tests share. The module that is tested is the installed one, and so is the program beside it."""

import json
import pathlib
import random
import subprocess
import sys
import tarfile

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = REPOSITORY / "testdata"
ENGINES = TESTDATA / "engines"
PROGRAM = pathlib.Path(sys.executable).parent / "imgtar"

#: The archives that engines wrote; one of the files there is the tar of a container.
ARCHIVES = sorted(path for path in ENGINES.glob("*.tar*") if path.name != "docker20-export.tar")


def program(*arguments, code=0):
    """Runs the program and returns what it prints."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout


def answer(*arguments, code=0):
    """The JSON that the program prints."""
    return json.loads(program(*arguments, "--json", code=code))


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """An archive of half a gigabyte that cannot be compressed, made by the program."""
    directory = tmp_path_factory.mktemp("large")
    block = random.Random(17).randbytes(1 << 20)
    rootfs = directory / "rootfs.tar"
    with tarfile.open(rootfs, "w") as tar:
        for number in range(8):
            member = tarfile.TarInfo(f"data/{number}")
            member.size = 64 << 20
            tar.addfile(member, Blocks(block, 64))
    archive = directory / "large.tar"
    program("import", rootfs, "-o", archive, "-t", "example.com/large:1")
    rootfs.unlink()
    return archive


class Blocks:
    """A file of the same block many times."""

    def __init__(self, block, count):
        self.block, self.left = block, count * len(block)

    def read(self, size=-1):
        size = self.left if size < 0 else min(size, self.left)
        self.left -= size
        return (self.block * (size // len(self.block) + 1))[:size]
