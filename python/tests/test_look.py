"""What is read of archives equals what the program prints of them."""

import base64
import hashlib
import os

import pytest

import imgtar

from conftest import ARCHIVES, ENGINES, answer, program

archives = pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)


def test_there_are_archives():
    assert len(ARCHIVES) > 40


@archives
def test_images(path):
    archive = imgtar.open(path)
    printed = answer("images", path)
    assert archive.facts() == printed["images"]
    assert [archive.path, archive.layout, archive.compression, archive.size] == [
        printed["archive"][name] for name in ("path", "layout", "compression", "size")
    ]
    for image, facts in zip(archive.images, printed["images"]):
        assert [image.id, image.names, image.platform, image.created] == [
            facts[name] for name in ("id", "references", "platform", "created")
        ]


@archives
def test_layers_and_history(path):
    archive = imgtar.open(path)
    for image in archive.images:
        chosen = ("--image", f"@{image.index}")
        layers = answer("layers", path, *chosen)["images"][0]["layers"]
        for layer, row in zip(image.layers, layers):
            # The program computes what no config claims.
            if not row["diff_id_computed"]:
                assert layer.raw == row
        assert len(image.layers) == len(layers)
        steps = answer("history", path, *chosen)["images"][0]["history"]
        assert [step.__dict__ for step in image.history] == steps
        if image.raw_config is None:
            assert image.config is None
        else:
            assert image.config["os"] == image.platform.split("/")[0]


def name(value):
    """A name in JSON, which is an object where it is not UTF-8."""
    return os.fsdecode(base64.b64decode(value["bytes"])) if isinstance(value, dict) else value


def linked(row):
    """Where a symbolic link points."""
    return name(row["target"]) if row["type"] == "symlink" else None


@archives
def test_files(path):
    for image in imgtar.open(path).images:
        printed = answer("ls", path, "--image", f"@{image.index}")["entries"]
        entries = list(image.files(digests=True))
        assert [(entry.path, entry.mode, entry.uid, entry.gid, entry.layer, entry.target) for entry in entries] == [
            (name(row["path"]), row["mode"], row["uid"], row["gid"], row["layer"], linked(row)) for row in printed
        ]
        # The program adds up what is in directories.
        assert [entry.size for entry in entries if entry.type == "file"] == [
            row["size"] for row in printed if row["type"] in ("file", "hardlink")
        ]
        assert [entry[:-1] for entry in image.files()] == [entry[:-1] for entry in entries]
        read = 0
        for entry in entries:
            if entry.type != "file":
                assert entry.sha256 is None
                continue
            data = image.read(entry.path)
            assert len(data) == entry.size
            assert f"sha256:{hashlib.sha256(data).hexdigest()}" == entry.sha256
            with image.open("/" + entry.path) as file:
                assert file.read() == data
            read += 1
        assert read > 0


def test_a_file_is_read_in_pieces():
    image = imgtar.open(ENGINES / "docker26-one.tar").image()
    entry = max(image.files(), key=lambda entry: entry.size)
    data = image.read(entry.path)
    assert len(data) > 1000
    with image.open(entry.path) as file:
        assert file.seek(-10, os.SEEK_END) == len(data) - 10
        assert file.read() == data[-10:]
        assert file.seek(3) == 3
        assert (file.read(7), file.tell()) == (data[3:10], 10)
        buffer = bytearray(5)
        assert (file.readinto(buffer), bytes(buffer)) == (5, data[10:15])
        file.seek(len(data) + 100)
        assert file.read() == b""
        with pytest.raises(ValueError):
            file.seek(-1)


def test_a_sparse_file_has_its_holes(tmp_path):
    import subprocess
    import tarfile

    holes = tmp_path / "holes"
    with open(holes, "wb") as file:
        for at in (1 << 20, 3 << 20):
            file.seek(at)
            file.write(os.urandom(5000))
        file.truncate(4 << 20)
    rootfs = tmp_path / "rootfs.tar"
    subprocess.run(["tar", "--sparse", "--format=pax", "-C", tmp_path, "-cf", rootfs, "holes"], check=True)
    assert rootfs.stat().st_size < 1 << 20, "tar found no holes"
    with tarfile.open(rootfs) as tar:
        assert tar.getmember("holes").issparse()
    archive = tmp_path / "archive.tar"
    program("import", rootfs, "-o", archive)
    image = imgtar.open(archive).image()
    data = holes.read_bytes()
    assert image.read("holes") == data
    with image.open("holes") as file:
        for at, size in ((0, 10), ((1 << 20) - 5, 10), ((1 << 20) + 4990, 20), ((3 << 20) + 4999, 9000)):
            file.seek(at)
            assert file.read(size) == data[at : at + size]


def test_links_are_followed_inside_the_image():
    image = imgtar.open(ENGINES / "docker26-one.tar").image()
    assert image.read("/etc/os-release").startswith(b"PRETTY_NAME") or b"NAME=" in image.read("/etc/os-release")
    links = [entry for entry in image.files() if entry.type == "symlink"]
    assert links and all(entry.target for entry in links)


@archives
def test_verify(path):
    printed = answer("verify", path, code=0 if imgtar.verify(path).ok else 1)["archives"][0]
    verified = imgtar.verify(path)
    assert verified.raw == printed
    assert bool(verified) == printed["ok"]
    assert {verdict.engine for verdict in verified.verdicts} == {"docker", "ctr", "podman", "skopeo"}
    assert imgtar.open(path).verify().raw == printed


def test_demands():
    path = ENGINES / "skopeo-oci.tar"
    assert imgtar.verify(path).ok
    refused = imgtar.verify(path, loads=["docker-classic"])
    assert refused.failed == ["loads: docker-classic"]
    assert refused.raw == answer("verify", path, "--loads", "docker-classic", code=1)["archives"][0]
    audited = imgtar.verify(path, audit=True, digest=True)
    assert audited.raw["audit"] == answer("verify", path, "--audit")["archives"][0]["audit"]
    assert audited.sha256 == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_diff_and_waste():
    path = ENGINES / "docker26-multi.tar"
    old, new = imgtar.open(path).images[:2]
    printed = answer("diff", path, "--old-image", "@0", "--new-image", "@1", code=1)
    assert old.diff(new) == printed
    assert old.diff(old)["same"] is True
    for image in (old, new):
        assert image.waste() == answer("waste", path, "--image", f"@{image.index}")


def test_an_image_is_picked():
    archive = imgtar.open(ENGINES / "docker26-multi.tar")
    image = archive.images[1]
    assert archive.image(image.names[0]) is image
    assert archive.image("@1") is image
    assert archive.image(image.id) is image
    platforms = imgtar.open(ENGINES / "docker28c-platforms.tar")
    assert {platforms.image(platform=image.platform).platform for image in platforms.images} == {
        image.platform for image in platforms.images
    }
