"""Errors are exceptions that say what is wrong and where."""

import os
import pickle

import pytest

import imgtar

from conftest import ENGINES, TESTDATA, answer

BROKEN = TESTDATA / "broken"


def test_a_layer_that_is_not_what_is_claimed(tmp_path):
    path = BROKEN / "layer-bit-flipped.tar"
    with pytest.raises(imgtar.InputError) as caught:
        imgtar.open(path).image().flatten(tmp_path / "rootfs.tar")
    error = caught.value
    problem = imgtar.verify(path).problems[0]
    assert (problem.code, problem.severity) == ("diff-id-mismatch", "error")
    assert (error.claimed, error.computed) == (problem.claimed, problem.computed)
    assert error.claimed != error.computed
    assert (error.kind, error.archive, error.layer) == ("input", str(path), problem.raw["layer"])
    assert error.member.startswith(f"layer {error.layer}")
    assert "imgtar verify" in error.hint
    assert os.listdir(tmp_path) == []


def test_an_archive_that_is_cut():
    path = BROKEN / "truncated-after-manifest.tar"
    with pytest.raises(imgtar.InputError) as caught:
        imgtar.open(path)
    assert caught.value.offset is not None and caught.value.offset <= path.stat().st_size
    assert caught.value.archive == str(path)
    verified = imgtar.verify(path)
    assert not verified
    assert "archive-truncated" in [problem.code for problem in verified.problems]
    assert verified.raw == answer("verify", path, code=1)["archives"][0]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.tar")), ids=lambda path: path.name)
def test_every_broken_archive(path):
    verified = imgtar.verify(path)
    try:
        archive = imgtar.open(path)
        for image in archive.images:
            image.layers, image.history, image.config
            for _ in image.files(digests=True):
                pass
    except imgtar.Error as error:
        assert error.kind in ("input", "usage")
        assert error.archive == str(path)
        assert str(error)
    except ValueError:
        # A config that is not JSON.
        assert not verified.ok
    assert verified.ok == (not verified.failed)


def test_what_is_not_an_archive(tmp_path):
    text = tmp_path / "text.tar"
    text.write_text("not a tar" * 1000)
    with pytest.raises(imgtar.InputError):
        imgtar.open(text)
    verified = imgtar.verify(text)
    assert [problem.code for problem in verified.problems] == ["archive-unreadable"]
    with pytest.raises(imgtar.InputError):
        imgtar.open(tmp_path)


def test_what_the_system_refuses(tmp_path):
    for call in (imgtar.open, imgtar.verify):
        with pytest.raises(FileNotFoundError) as caught:
            call(tmp_path / "none.tar")
        error = caught.value
        assert isinstance(error, imgtar.IoError) and isinstance(error, imgtar.Error)
        assert (error.kind, error.errno, error.filename) == ("environment", 2, str(tmp_path / "none.tar"))


def test_what_is_not_there():
    archive = imgtar.open(ENGINES / "docker26-multi.tar")
    with pytest.raises(imgtar.NotFoundError) as caught:
        archive.images[0].read("no/such/file")
    assert caught.value.member == "no/such/file"
    with pytest.raises(imgtar.InputError):
        archive.images[0].open("etc")
    with pytest.raises(imgtar.NotFoundError):
        archive.image("example.com/none:1")
    with pytest.raises(imgtar.UsageError):
        archive.image()
    with pytest.raises(ValueError):
        imgtar.open(ENGINES / "docker26-one.tar", jobs=0)
    with pytest.raises(imgtar.UsageError):
        imgtar.open(ENGINES / "docker26-one.tar", limits={"none": 1})


def test_limits_are_kept():
    with pytest.raises(imgtar.InputError) as caught:
        imgtar.open(ENGINES / "docker26-one.tar", limits={"members": 3})
    assert "--limit members" in caught.value.hint


def test_errors_travel_between_processes(tmp_path):
    for call in (
        lambda: imgtar.open(tmp_path / "none.tar"),
        lambda: imgtar.open(BROKEN / "truncated-after-manifest.tar"),
    ):
        with pytest.raises(imgtar.Error) as caught:
            call()
        error = caught.value
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)
