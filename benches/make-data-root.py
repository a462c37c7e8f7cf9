#!/usr/bin/env python3
"""Makes a tar of a Docker data root (overlay2) with an image of many files, to measure `imgtar rescue`.

    benches/make-data-root.py OUT.tar [FILES [SIZE [LAYERS]]]

FILES files (500,000) of SIZE bytes each (40,960) are in LAYERS layers (20). Their bytes are zeros, which are holes of
the tar: 20 GB take about 4 GB of disk. What to compare with:

    time imgtar rescue OUT.tar            the list, with
    time imgtar images OUT.tar            a walk over the headers, after which it is refused
    time imgtar rescue OUT.tar -o NEW.tar the images, with
    time cp --sparse=never OUT.tar COPY; time sha256sum COPY
"""

import base64
import gzip
import hashlib
import io
import json
import struct
import sys
import tarfile

OUT = sys.argv[1]
FILES, SIZE, LAYERS = [int(n) for n in sys.argv[2:]] + [500_000, 40_960, 20][len(sys.argv) - 2 :]


def sha(content):
    return hashlib.sha256(content).hexdigest()


def crc64_of_zeros(count):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0xD800000000000000 if byte & 1 else 0)
        table.append(byte)
    crc = (1 << 64) - 1
    for _ in range(count):
        crc = crc >> 8 ^ table[crc & 0xFF]
    return base64.b64encode(struct.pack(">Q", crc ^ (1 << 64) - 1)).decode()


TEMPLATE = tarfile.TarInfo("x")
TEMPLATE.size = SIZE
PLAIN = TEMPLATE.tobuf(tarfile.USTAR_FORMAT)


def header(name):
    """A header as Python writes it, with another name: of 500,000 that is what takes time."""
    made = bytearray(PLAIN)
    prefix = b""
    name = name.encode()
    if len(name) > 100:
        at = name.index(b"/", len(name) - 101)
        prefix, name = name[:at], name[at + 1 :]
    made[:100] = name.ljust(100, b"\0")
    made[345:500] = prefix.ljust(155, b"\0")
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


out = open(OUT, "wb")


def put(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    out.write(info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512))


padding = bytes(-SIZE % 512)
body = bytes(SIZE) + padding
checksum = crc64_of_zeros(SIZE)
diff_ids, chain = [], ""
for layer in range(LAYERS):
    cache = sha(b"cache %d" % layer)
    digest, split, lines = hashlib.sha256(), io.BytesIO(), 0
    stream = gzip.GzipFile(fileobj=split, mode="wb", compresslevel=6, mtime=0)
    between = b""
    for number in range(layer * FILES // LAYERS, (layer + 1) * FILES // LAYERS):
        name = f"srv/data/{number // 100:06}/file-{number:08}.bin"
        out.write(header(f"overlay2/{cache}/diff/{name}"))
        out.seek(len(body), 1)
        own = header(name)
        digest.update(own)
        digest.update(body)
        raw = base64.b64encode(between + own).decode()
        stream.write(
            f'{{"type":2,"payload":"{raw}","position":{lines}}}\n'
            f'{{"type":1,"name":"{name}","size":{SIZE},"payload":"{checksum}","position":{lines + 1}}}\n'.encode()
        )
        lines += 2
        between = padding
    digest.update(bytes(1024))
    raw = base64.b64encode(between + bytes(1024)).decode()
    stream.write(f'{{"type":2,"payload":"{raw}","position":{lines}}}\n'.encode())
    stream.close()
    diff = "sha256:" + digest.hexdigest()
    diff_ids.append(diff)
    chain = "sha256:" + sha(f"{chain} {diff}".encode()) if chain else diff
    at = f"image/overlay2/layerdb/sha256/{chain[7:]}"
    put(f"{at}/diff", diff.encode())
    put(f"{at}/cache-id", cache.encode())
    put(f"{at}/tar-split.json.gz", split.getvalue())
config = json.dumps({
    "architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}
}).encode()
put("image/overlay2/imagedb/content/sha256/" + sha(config), config)
names = {"Repositories": {"many": {"many:1": "sha256:" + sha(config)}}}
put("image/overlay2/repositories.json", json.dumps(names).encode())
out.write(bytes(1024))
out.close()
