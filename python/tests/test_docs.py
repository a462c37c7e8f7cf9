"""What the documentation shows works."""

import doctest
import re

import imgtar

from conftest import REPOSITORY


def blocks(page, language):
    """The blocks of a page in one language."""
    text = (REPOSITORY / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def test_every_block_of_python_works(tmp_path, monkeypatch, capsys):
    (tmp_path / "testdata").symlink_to(REPOSITORY / "testdata")
    monkeypatch.chdir(tmp_path)
    found = blocks("python.md", "python")
    assert len(found) > 6
    names = {}
    for block in found:
        exec(compile(block, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out
    assert "diff-id-mismatch" in said and "does not match" in said
    assert {path.name for path in tmp_path.glob("*.tar")} == {"rootfs.tar", "oci.tar", "one.tar", "all.tar"}


def test_the_docstrings_work(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    result = doctest.testmod(imgtar)
    assert (result.failed, result.attempted > 2) == (0, True)
