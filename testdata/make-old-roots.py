#!/usr/bin/env python3
"""Makes the data roots in testdata/rescue/ that no kernel of today can make: those of the aufs driver.

  docker19-aufs   Docker 1.9: graph/, repositories-aufs, aufs/diff; from the images of engines/v1.tar
  docker17-aufs   Docker 17: image/aufs/, aufs/diff; from the images of engines/docker20-multi.tar

Written by the sources: moby v1.9.1 graph/graph.go, graph/tags.go, daemon/graphdriver/aufs/aufs.go; v17.03
layer/filestore.go, image/fs.go. Whiteouts are hard links to `.wh..wh.aufs`, as aufs makes them. The tar-splits are made
by `tar-split`, the program of the library that Docker uses. Needs tar-split and zstd.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


class Root:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)
        self.known = set()

    def directory(self, path):
        parts = path.strip("/").split("/")
        for at in range(1, len(parts) + 1):
            name = "/".join(parts[:at])
            if name not in self.known:
                self.known.add(name)
                info = tarfile.TarInfo("./" + name)
                info.type, info.mode = tarfile.DIRTYPE, 0o700
                self.tar.addfile(info)

    def file(self, path, content):
        self.directory(os.path.dirname(path) or ".")
        info = tarfile.TarInfo("./" + path)
        info.size, info.mode = len(content), 0o600
        self.tar.addfile(info, io.BytesIO(content))

    def aufs(self, layer, id):
        """A branch of aufs with the files of a layer."""
        top = f"aufs/diff/{id}"
        self.directory(top)
        self.file(f"{top}/.wh..wh.aufs", b"")
        self.directory(f"{top}/.wh..wh.orph")
        self.directory(f"{top}/.wh..wh.plnk")
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            for member in tar:
                name = os.path.normpath("/" + member.name).lstrip("/")
                if not name:
                    continue
                info = tarfile.TarInfo(f"./{top}/{name}")
                for key in ("mode", "uid", "gid", "mtime", "type", "devmajor", "devminor"):
                    setattr(info, key, getattr(member, key))
                content = None
                if os.path.basename(name).startswith(".wh."):
                    info.type, info.linkname = tarfile.LNKTYPE, f"./{top}/.wh..wh.aufs"
                elif member.islnk():
                    info.linkname = f"./{top}/" + os.path.normpath("/" + member.linkname).lstrip("/")
                elif member.issym():
                    info.linkname = member.linkname
                elif member.isreg():
                    content = tar.extractfile(member).read()
                    info.type, info.size = tarfile.REGTYPE, len(content)
                    content = io.BytesIO(content)
                self.known.add(f"{top}/{name}")
                self.tar.addfile(info, content)

    def write(self, name):
        self.tar.close()
        out = os.path.join(HERE, "rescue", name + ".tar.zst")
        subprocess.run(["zstd", "-19", "-q", "-f", "-o", out], input=self.bytes.getvalue(), check=True)


def split(layer):
    """What stands between the files of a layer."""
    with tempfile.TemporaryDirectory() as work:
        tar, out = os.path.join(work, "layer.tar"), os.path.join(work, "tar-data.json.gz")
        with open(tar, "wb") as file:
            file.write(layer)
        subprocess.run(["tar-split", "disasm", "--no-stdout", "--output", out, tar], check=True, capture_output=True)
        with open(out, "rb") as file:
            return file.read()


def read(archive):
    """The members of an archive by name, links between them followed."""
    found = {}
    with tarfile.open(os.path.join(HERE, "engines", archive)) as tar:
        members = {member.name: member for member in tar}
        for name, member in members.items():
            while member.issym():
                member = members[os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))]
            if member.isreg():
                found[name] = tar.extractfile(member).read()
    return found


def docker19():
    archive, root = read("v1.tar"), Root()
    repositories = json.loads(archive["repositories"])
    ids = sorted(name.split("/")[0] for name in archive if name.endswith("/json"))
    parents = {id: json.loads(archive[f"{id}/json"]).get("parent", "") for id in ids}
    of_classic = repositories["imgtar-testdata/classic"]["1"]
    for id in ids:
        text, layer = archive[f"{id}/json"], archive[f"{id}/layer.tar"]
        if id == of_classic:
            # As of an image that was pulled by digest: its parent has another ID here than its description says.
            parent = parents[id]
            root.file(f"graph/{id}/parent", parent.encode())
            text = text.replace(parent.encode(), hashlib.sha256(parent.encode()).hexdigest().encode())
        root.file(f"graph/{id}/json", text)
        root.file(f"graph/{id}/layersize", str(len(layer)).encode())
        root.file(f"graph/{id}/tar-data.json.gz", split(layer))
        ancestors = []
        above = parents[id]
        while above:
            ancestors.append(above + "\n")
            above = parents[above]
        root.file(f"aufs/layers/{id}", "".join(ancestors).encode())
        root.directory(f"aufs/mnt/{id}")
        root.aufs(layer, id)
    root.directory("graph/_tmp")
    root.file("repositories-aufs", json.dumps({"Repositories": repositories}).encode())
    root.write("docker19-aufs")


def docker17():
    archive, root = read("docker20-multi.tar"), Root()
    repositories, known = {}, {}
    for image in json.loads(archive["manifest.json"]):
        config = archive[image["Config"]]
        id = "sha256:" + hashlib.sha256(config).hexdigest()
        root.file("image/aufs/imagedb/content/sha256/" + id[7:], config)
        for name in image["RepoTags"]:
            repositories.setdefault(name.rsplit(":", 1)[0], {})[name] = id
        chain, lower = "", []
        for diff, member in zip(json.loads(config)["rootfs"]["diff_ids"], image["Layers"]):
            below = chain
            chain = f"{chain} {diff}" if chain else diff
            if below:
                chain = "sha256:" + hashlib.sha256(chain.encode()).hexdigest()
            if chain not in known:
                cache = hashlib.sha256(b"cache " + chain.encode()).hexdigest()
                known[chain] = cache
                at = "image/aufs/layerdb/sha256/" + chain[7:]
                root.file(f"{at}/diff", diff.encode())
                root.file(f"{at}/cache-id", cache.encode())
                root.file(f"{at}/size", str(len(archive[member])).encode())
                if below:
                    root.file(f"{at}/parent", below.encode())
                root.file(f"{at}/tar-split.json.gz", split(archive[member]))
                root.file(f"aufs/layers/{cache}", "".join(line + "\n" for line in lower).encode())
                root.directory(f"aufs/mnt/{cache}")
                root.aufs(archive[member], cache)
            lower.insert(0, known[chain])
    root.file("image/aufs/repositories.json", json.dumps({"Repositories": repositories}).encode())
    root.write("docker17-aufs")


docker19()
docker17()
