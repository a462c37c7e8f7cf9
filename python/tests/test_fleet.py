"""`docs/fleet.md`: every block works on a depot, and the table equals what the program prints archive by archive."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import imgtar

from conftest import REPOSITORY, program
from make_depot import main as make_depot
from test_docs import blocks

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("dask.distributed")

#: How many archives the depot has.
COUNT = int(os.environ.get("IMGTAR_DEPOT", "500"))


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """A folder with the depot in it, the programs at hand, and the table that the example writes."""
    place = tmp_path_factory.mktemp("fleet")
    make_depot(place / "depot", COUNT)
    (place / "python").symlink_to(REPOSITORY / "python")
    for block in blocks("fleet.md", "sh"):
        if "python/examples" in block:
            sh(place, block)
    return place


def sh(place, block):
    """Runs a block as a shell would; the last command's output."""
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=place, env={**os.environ, "PATH": path}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def archives(place):
    """The archives of the depot, as `find` names them."""
    return sorted(str(path.relative_to(place)) for path in (place / "depot").rglob("*.tar*"))


def verified(place):
    """What the program says of every archive."""
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "imgtar", "verify", "--json", *archives(place)],
        cwd=place,
        capture_output=True,
        check=False,
    )
    assert done.returncode in (1, 3), done.stderr.decode()
    return {row["path"]: row for row in json.loads(done.stdout)["archives"]}


def table(place, query="SELECT * FROM 'depot.parquet' ORDER BY archive, image", digest=None):
    """The rows of a query as dictionaries."""
    with duckdb.connect() as database:
        database.execute(f"SET file_search_path = '{place}'")
        if digest is not None:
            database.execute(f"SET VARIABLE digest = '{digest}'")
        found = database.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row)) for row in found.fetchall()]


def text(path):
    """A path as the table has it."""
    if isinstance(path, dict):
        path = os.fsdecode(base64.b64decode(path["bytes"]))
    return path.encode(errors="backslashreplace").decode()


def test_the_example_is_short():
    lines = (REPOSITORY / "python" / "examples" / "fleet.py").read_text().splitlines()
    assert len(lines) <= 60 and f"has {len(lines)} lines" in (REPOSITORY / "docs" / "fleet.md").read_text()


def test_the_depot_is_like_a_real_one(place):
    assert len(archives(place)) == COUNT
    sizes = sorted((place / path).stat().st_size for path in archives(place))
    assert sizes[-1] > 10 * sizes[0]


def test_the_table_equals_what_the_program_prints(place):
    rows, printed = table(place), verified(place)
    assert sorted({row["archive"] for row in rows}) == archives(place)
    engine = ("engine", "store", "version", "options", "verdict")
    seen = 0
    for row in rows:
        path = place / row["archive"]
        said = printed[row["archive"]]
        assert row["bytes"] == path.stat().st_size
        assert row["ok"] == said["ok"]
        assert row["problems"] == sorted({problem["code"] for problem in said["problems"]})
        assert row["verdicts"] == [{name: one[name] for name in engine} for one in said["loaders"] or []]
        if row["image"] is None:
            assert not row["ok"]
            continue
        image = said["images"][row["image"]]
        assert (row["id"], row["names"], row["platform"]) == (image["id"], image["references"], image["platform"])
        assert [layer["diff_id"] for layer in row["layers"]] == [layer["diff_id"] for layer in image["layers"]]
        assert [layer["stored_size"] for layer in row["layers"]] == [layer["size"] for layer in image["layers"]]
        seen += 1
        # A process for each image takes time: a tenth of them is compared in full.
        if seen % 10:
            continue
        chosen = ("--image", f"@{row['image']}", "--json")
        layers = json.loads(program("layers", path, *chosen))["images"][0]["layers"]
        assert [layer["digest"] for layer in row["layers"]] == [layer["digest"] for layer in layers]
        images = json.loads(program("images", path, "--json"))["images"]
        assert (row["size"], row["created"]) == tuple(images[row["image"]][name] for name in ("size", "created"))
        files = json.loads(program("ls", path, *chosen))["entries"]
        files = [{**file, "path": text(file["path"])} for file in files if file["type"] in ("file", "hardlink")]
        assert [(file["path"], file["size"]) for file in row["files"]] == [
            (file["path"], file["size"]) for file in files
        ]
    assert seen > COUNT // 2


def test_the_questions(place):
    fails, old_docker, twice, layer, file = blocks("fleet.md", "sql")
    printed = verified(place)
    failing = sorted(path for path, said in printed.items() if not said["ok"])
    assert [row["archive"] for row in table(place, fails)] == failing
    assert len(failing) == COUNT // 50
    refused = {
        path
        for path, said in printed.items()
        for one in said["loaders"] or []
        if one["engine"] == "docker" and one["store"] == "classic" and one["verdict"] != "loads"
    }
    assert {row["archive"] for row in table(place, old_docker)} == refused and refused
    holders = {}
    for path, said in printed.items():
        for image in said["images"]:
            for one in image["layers"]:
                holders.setdefault(one["diff_id"], set()).add(path)
    rows = table(place, twice)
    assert rows and rows[0]["twice"] > 0
    for row in rows:
        assert row["archives"] >= len(holders[row["diff_id"]]) > 1
    digest = rows[0]["diff_id"]
    assert {row["archive"] for row in table(place, layer, digest)} == holders[digest]
    # A file that the table has is found where the image has it, with the bytes that it has there.
    sample = next(row for row in table(place) if row["files"])["files"][0]
    found = table(place, file, sample["sha256"])
    assert found
    for row in found[:20]:
        archive = imgtar.open(place / row["archive"])
        entry = next(
            entry for image in archive.images if image.id == row["id"] for entry in image.files(digests=True)
            if text(entry.path) == row["path"]
        )
        assert entry.sha256 == sample["sha256"]


def test_xargs(place):
    inventories = [block for block in blocks("fleet.md", "sh") if "xargs" in block]
    assert len(inventories) == 2
    for block in inventories:
        sh(place, block)
    failing = {path for path, said in verified(place).items() if not said["ok"]}
    said = (place / "failing.txt").read_text()
    assert all(path in said for path in failing if verified_whole(place, path))
    for path in archives(place)[:: COUNT // 20]:
        written = (place / "inventory" / f"{pathlib.Path(path).name}.json").read_text()
        alone = subprocess.run(
            [pathlib.Path(sys.executable).parent / "imgtar", "images", "--json", path], cwd=place, capture_output=True
        )
        assert written == alone.stdout.decode()


def verified_whole(place, path):
    """Whether the archive can be opened: what cannot be is reported on standard error."""
    try:
        imgtar.open(place / path)
        return True
    except imgtar.Error:
        return False


def test_parallel(place):
    assert shutil.which("parallel"), "check.sh should have installed GNU parallel"
    (block,) = [block for block in blocks("fleet.md", "sh") if "| parallel" in block]
    sh(place, block)
    decoder, text, found = json.JSONDecoder(), (place / "verified.json").read_text(), {}
    while text.strip():
        document, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        found.update({row["path"]: row for row in document["archives"]})
    assert found == verified(place)
    assert len((place / "times.tsv").read_text().splitlines()) == COUNT + 1
