#!/usr/bin/env python3
"""Makes the inputs of the fuzz targets `rescue_*` in testdata/fuzz/: data roots as small as they can be.

What each is stands at the head of fuzz/harness/data_root.rs.
"""

import base64
import hashlib
import io
import json
import os
import struct
import tarfile

HERE = os.path.dirname(os.path.abspath(__file__))


def sha(content):
    return hashlib.sha256(content).hexdigest()


def crc64(content):
    """CRC-64/ISO as Go has it, big-endian."""
    crc = (1 << 64) - 1
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xD800000000000000 if crc & 1 else 0)
    return struct.pack(">Q", crc ^ (1 << 64) - 1)


def tar(files, end=True):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, content in files:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.devmajor, info.devminor = tarfile.CHRTYPE, 0, 0
                made.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                made.addfile(info)
            else:
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
    # Python pads to 10,240 bytes.
    whole = out.getvalue().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    return whole + bytes(1024 if end else 0)


def split(layer):
    """The tar-split of a tar of regular files, not compressed."""
    lines, at = [], 0

    def raw(content):
        lines.append({"type": 2, "payload": base64.b64encode(content).decode(), "position": len(lines)})

    with tarfile.open(fileobj=io.BytesIO(layer)) as members:
        for member in members:
            raw(layer[at : member.offset_data])
            end = member.offset_data + member.size
            line = {"type": 1, "name": member.name, "size": member.size}
            line["payload"] = base64.b64encode(crc64(layer[member.offset_data : end])).decode()
            if not member.size:
                del line["size"]
            lines.append({**line, "position": len(lines)})
            at = end
    raw(layer[at:])
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode()


LAYER = tar([("etc/x", b"hello\n"), ("etc/.wh.y", b""), ("bin/z", b"z" * 100)], False)
DIFF = sha(LAYER)
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": ["sha256:" + DIFF]}}).encode()
ID = sha(CONFIG)
V1 = "00000000000000000000000000000000000000000000000000000000000000aa"


def overlay2():
    at = f"image/overlay2/layerdb/sha256/{DIFF}"
    names = {"Repositories": {"x": {"x:1": "sha256:" + ID}}}
    return tar([
        ("image/overlay2/repositories.json", json.dumps(names).encode()),
        (f"image/overlay2/imagedb/content/sha256/{ID}", CONFIG),
        (f"{at}/diff", b"sha256:" + DIFF.encode()),
        (f"{at}/cache-id", b"c"),
        (f"{at}/tar-split.json.gz", split(LAYER)),
        ("overlay2/c/diff/etc/x", b"hello\n"),
        ("overlay2/c/diff/etc/y", None),
        ("overlay2/c/diff/bin", "usr/bin"),
        ("overlay2/c/diff/usr/bin/z", b"z" * 100),
    ])


def podman():
    layers = [{"id": "l", "diff-digest": "sha256:" + DIFF}]
    images = [{"id": ID, "names": ["localhost/x:1"], "layer": "l"}]
    config = "=" + base64.b64encode(f"sha256:{ID}".encode()).decode()
    return tar([
        ("overlay-images/images.json", json.dumps(images).encode()),
        (f"overlay-images/{ID}/{config}", CONFIG),
        ("overlay-layers/layers.json", json.dumps(layers).encode()),
        ("overlay-layers/l.tar-split.gz", split(LAYER)),
        ("overlay/l/diff/etc/x", b"hello\n"),
        ("overlay/l/diff/bin/z", b"z" * 100),
        ("overlay-containers/containers.json", b'[{"id":"c","image":"' + ID.encode() + b'","layer":"l"}]'),
    ])


def graph():
    text = json.dumps({"id": V1, "created": "2015-01-01T00:00:00Z", "container_config": {}}).encode()
    return tar([
        (f"graph/{V1}/json", text),
        (f"graph/{V1}/tar-data.json.gz", split(LAYER)),
        ("repositories-aufs", json.dumps({"Repositories": {"x": {"1": V1}}}).encode()),
        (f"aufs/diff/{V1}/etc/x", b"hello\n"),
        (f"aufs/diff/{V1}/bin/z", b"z" * 100),
    ])


def leaf(number, items):
    """A leaf page of bolt: flag, key, value."""
    page = struct.pack("<QHHI", number, 2, len(items), 0)
    offset, rest = 16 * len(items), b""
    for at, (flag, key, value) in enumerate(items):
        page += struct.pack("<IIII", flag, offset - 16 * at, len(key), len(value))
        offset += len(key) + len(value)
        rest += key + value
    return page + rest


def inline(items):
    return bytes(16) + leaf(0, items)


def target(digest):
    return inline([(1, b"target", inline([
        (0, b"digest", digest.encode()),
        (0, b"mediatype", b"application/vnd.oci.image.manifest.v1+json"),
        (0, b"size", b"\xac\x04"),
    ]))])


def bolt(with_branch):
    config = b'{"rootfs":{"type":"layers","diff_ids":[]}}'
    manifest = (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":'
        f'"application/vnd.oci.image.config.v1+json","digest":"sha256:{sha(config)}","size":{len(config)}}},"layers":[]}}'
    )
    digest = "sha256:" + sha(manifest.encode())
    names = [b"docker.io/library/a:1", b"docker.io/library/b:1"]
    pages = {}
    if with_branch:
        pages[3] = struct.pack("<QHHI", 3, 1, 2, 0)
        pages[3] += struct.pack("<IIQ", 32, 1, 4) + struct.pack("<IIQ", 17, 1, 5) + b"ab"
        pages[4] = leaf(4, [(1, names[0], target(digest))])
        pages[5] = leaf(5, [(1, names[1], target(digest))])
        images = struct.pack("<QQ", 3, 0)
    else:
        images = inline([(1, name, target(digest)) for name in names[:1]])
    space = inline([(1, b"images", images)])
    pages[2] = leaf(2, [(1, b"v1", inline([(1, b"default", space), (0, b"version", b"\x06")]))])
    file = bytearray(6 * 1024)
    for number in (0, 1):
        file[number * 1024 : number * 1024 + 16] = struct.pack("<QHHI", number, 4, 0, 0)
        meta = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, 1024, 0, 2, 0, 0, 6, number)
        file[number * 1024 + 16 : number * 1024 + 16 + len(meta)] = meta
    for number, page in pages.items():
        assert len(page) <= 1024
        file[number * 1024 : number * 1024 + len(page)] = page
    return bytes(file if with_branch else file[:3072])


def of_split(files):
    text = split(LAYER)
    return struct.pack("<I", len(text)) + text + files


def write(target, name, content):
    directory = os.path.join(HERE, "fuzz", target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(content)


write("rescue_root", "overlay2.tar", overlay2())
write("rescue_root", "podman.tar", podman())
write("rescue_root", "graph.tar", graph())
write("rescue_bolt", "inline", bolt(False))
write("rescue_bolt", "branch", bolt(True))
write("rescue_bolt", "meta-alone", bolt(True)[:2048])
A, B = "a/overlay2/c/diff", f"b/aufs/diff/{V1}"
whole = [(f"{at}/{name}", content) for at in (A, B) for name, content in
         (("etc/x", b"hello\n"), ("bin/z", b"z" * 100))]
write("rescue_split", "whole", of_split(tar(whole, False)))
write("rescue_split", "lies", of_split(tar([
    (f"{A}/etc/x", b"hellO\n"), (f"{A}/bin", "../../usr"), (f"{A}/usr/z", b"z"),
    (f"{B}/etc", "/etc"), (f"{B}/bin", "bin"), (f"{B}/bin/z", b"z" * 100),
], False)))
write("rescue_split", "none", of_split(b""))
