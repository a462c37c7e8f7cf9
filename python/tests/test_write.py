"""What is written is what the program writes."""

import os

import pytest

import imgtar

from conftest import ARCHIVES, ENGINES, program

archives = pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)


@archives
def test_flatten(path, tmp_path):
    for image in imgtar.open(path).images:
        ours, theirs = tmp_path / f"ours-{image.index}.tar", tmp_path / f"theirs-{image.index}.tar"
        written = image.flatten(ours)
        assert (written.bytes, written.entries) == (ours.stat().st_size, sum(1 for _ in image.files()))
        program("flatten", path, "--image", f"@{image.index}", "-o", theirs)
        assert ours.read_bytes() == theirs.read_bytes()
        assert ours.stat().st_mode == theirs.stat().st_mode


def test_flatten_a_part(tmp_path):
    path = ENGINES / "docker26-one.tar"
    image = imgtar.open(path).image()
    image.flatten(tmp_path / "ours.tar", only=["etc"])
    program("flatten", path, "--only", "etc", "-o", tmp_path / "theirs.tar")
    assert (tmp_path / "ours.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()
    with pytest.raises(imgtar.NotFoundError):
        image.flatten(tmp_path / "none.tar", only=["no/such/path"])
    assert sorted(os.listdir(tmp_path)) == ["ours.tar", "theirs.tar"]


@pytest.mark.parametrize("layout", ["docker", "docker-legacy", "oci"])
@pytest.mark.parametrize("name", ["docker20-multi.tar", "docker26-one.tar", "skopeo-oci-zstd.tar", "v1.tar"])
def test_convert(name, layout, tmp_path):
    path = ENGINES / name
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    written = imgtar.open(path).convert(ours, layout=layout)
    ids = program("convert", path, "--layout", layout, "-o", theirs).decode().split()
    assert ours.read_bytes() == theirs.read_bytes()
    assert [image["id"] for image in written.images] == ids
    assert (written.layout, written.bytes) == (layout, ours.stat().st_size)


def test_convert_and_compress(tmp_path):
    path = ENGINES / "docker26-one.tar"
    archive = imgtar.open(path)
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    archive.convert(ours, layout="oci", compress="gzip", level=6)
    program("convert", path, "--layout", "oci", "--compress", "gzip", "--level", "6", "-o", theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    for wrong in ({"layout": "oci", "compress": "lzma"}, {"layout": "tar"}, {"layout": "oci", "level": 3}):
        with pytest.raises(imgtar.UsageError):
            archive.convert(tmp_path / "wrong.tar", **wrong)


def test_select(tmp_path):
    path = ENGINES / "docker26-multi.tar"
    archive = imgtar.open(path)
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    written = archive.select(ours, [archive.images[1]])
    program("select", path, "@1", "-o", theirs)
    assert ours.read_bytes() == theirs.read_bytes()
    assert [image["id"] for image in written.images] == [archive.images[1].id]
    assert imgtar.verify(ours).ok
    other = imgtar.open(ENGINES / "docker26-one.tar").image()
    with pytest.raises(imgtar.UsageError):
        archive.select(tmp_path / "wrong.tar", [other])


def test_merge(tmp_path):
    paths = [ENGINES / "docker26-one.tar", ENGINES / "podman-docker.tar", ENGINES / "skopeo-oci.tar"]
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    imgtar.merge([imgtar.open(path) for path in paths], ours, layout="oci")
    program("merge", *paths, "--layout", "oci", "-o", theirs)
    assert ours.read_bytes() == theirs.read_bytes()


def test_nothing_is_overwritten(tmp_path):
    copy = tmp_path / "copy.tar"
    copy.write_bytes((ENGINES / "docker26-one.tar").read_bytes())
    there = tmp_path / "there.tar"
    there.write_bytes(b"mine")
    image = imgtar.open(copy).image()
    with pytest.raises(FileExistsError) as caught:
        image.flatten(there)
    assert isinstance(caught.value, imgtar.Error)
    assert there.read_bytes() == b"mine"
    with pytest.raises(imgtar.UsageError):
        image.flatten(copy, force=True)
    with pytest.raises(imgtar.UsageError):
        image.flatten(tmp_path / "packed.tar.gz")
    image.flatten(there, force=True)
    assert there.stat().st_size > 10_000
    with pytest.raises(FileNotFoundError):
        image.flatten(tmp_path / "no" / "such" / "directory.tar")
    assert sorted(os.listdir(tmp_path)) == ["copy.tar", "there.tar"]
