#!/usr/bin/env python3
"""Seeds for the fuzz targets of deltas: programs, written by hand, and pairs of small tars.

    testdata/make-fuzz-deltas.py testdata/fuzz
"""

import io
import struct
import sys
import tarfile
from pathlib import Path


def number(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def signed(n):
    return number(n << 1 if n >= 0 else (-n << 1) - 1)


def program(control, headers=b"", differences=b"", data=b"", stored=b""):
    streams = [control, headers, differences, data]
    return b"".join(struct.pack("<H", len(s)) + s for s in streams) + stored


END = b"\0"
ZEROS = lambda n: b"\4" + number(n)
DATA = lambda n: b"\3" + number(n)
COPY = lambda source, at, n: b"\5" + number(source) + signed(at) + number(n)
BEGIN = lambda recipe, corrections=0: b"\6" + number(recipe) + number(corrections)
FINISH = b"\7"
STORED = lambda n: b"\x08" + number(n)
ENTRY, UNPADDED = b"\1", b"\2"

PROGRAMS = {
    # A header like the first of the source, with another time, and the body behind it; the same again.
    "entries": program(
        (ENTRY + bytes([2 | 1 << 4]) + b"\1") * 1 + ENTRY + bytes([2 | 1 << 4]) + b"\0" + END,
        headers=signed(1_700_000_001),
    ),
    # A header of its own and a body that resembles one.
    "patch": program(
        ENTRY + bytes([1 | 2 << 4 | 1 << 6]) + number(0) + signed(0) + signed(0)
        + signed(0) + number(600) + number(100) + END,
        headers=b"a".ljust(124, b"\0") + b"00000001274\0" + bytes(376),
        differences=bytes(600),
        data=bytes(range(100)),
    ),
    "recipes": program(
        BEGIN(0) + COPY(0, 512, 700) + ZEROS(30_000) + FINISH + BEGIN(1) + DATA(3) + FINISH
        + STORED(9) + ZEROS(64) + END,
        data=b"abc",
        stored=b"as it is.",
    ),
    "rest": program(DATA(5) + ZEROS(60_000) + COPY(0, 0, 5_531) + END, data=b"bytes"),
}


def tar(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, body, mtime in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(body), mtime
            archive.addfile(info, io.BytesIO(body))
    # Without what fills the last record.
    return out.getvalue().rstrip(b"\0") + bytes(1024)


def pair(old, new):
    return struct.pack("<I", len(old)) + old + new


TEXT = b"".join(b"%d green bottles, " % n for n in range(40))
OLD = tar([("etc/one", TEXT, 1), ("usr/lib/a-1.2", TEXT[::-1], 1), ("d" * 120, b"long", 1)])
PAIRS = {
    "times": pair(OLD, tar([("etc/one", TEXT, 2), ("usr/lib/a-1.2", TEXT[::-1], 3)])),
    "changed": pair(
        OLD, tar([("opt/moved", TEXT, 2), ("usr/lib/a-1.3", TEXT[::-1].replace(b"n", b"m"), 1)])
    ),
    "archive": pair(
        tar([("manifest.json", b"[]", 0), ("a/layer.tar", OLD, 0)]),
        tar([("manifest.json", b"[ ]", 0), ("b/layer.tar", OLD[:-1100] + b"x" * 1100, 0)]),
    ),
    "bytes": pair(TEXT, TEXT[50:] + b"!"),
}

folder = Path(sys.argv[1])
for target, seeds in ("delta_program", PROGRAMS), ("delta_pair", PAIRS):
    (folder / target).mkdir(parents=True, exist_ok=True)
    for name, seed in seeds.items():
        (folder / target / name).write_bytes(seed)
