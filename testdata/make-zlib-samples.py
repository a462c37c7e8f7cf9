#!/usr/bin/env python3
"""Writes src/source/remake/zlib/samples.tsv: what zlib and GNU gzip make of contents, at each level.

Python's zlib is the system's; gzip must be GNU's. The contents are those of testdata/recipe/deflate-samples.go and of
`content` in src/source/remake/go/tests.rs, and "late", whose second block of random bytes begins right before 64 KiB.
The sizes around 64 KiB are those where the window of GNU gzip moves. Each line has a kind of content, its size, and for
each level of zlib, then of gzip, the size of the deflate stream and the first bytes of its SHA-256.
"""

import hashlib
import subprocess
import zlib


def content(kind, size):
    state = 1

    def below(limit):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (state >> 33) % limit

    if kind == "zeros":
        return bytes(size)
    if kind == "random":
        return bytes(below(256) for _ in range(size))
    if kind == "period":
        return (b"imgtar7" * (size // 7 + 1))[:size]
    made = bytearray()
    if kind == "late":
        made += bytes(32700) + bytes(below(256) for _ in range(size - 32700))
    if kind == "text":
        words = []
        for _ in range(400):
            length = 1 + below(9)
            words.append(bytes(97 + below(16) for _ in range(length)))
        while len(made) < size:
            word = below(400)
            made += words[word * below(400) // 400] + b" "
    if kind == "mixed":
        while len(made) < size:
            made += bytes(below(256) for _ in range(below(3000)))
            made += bytes(below(3000))
            made += bytes(b"ab"[below(2)] for _ in range(below(3000)))
    return bytes(made[:size])


def summary(stream):
    return f"{len(stream)} {hashlib.sha256(stream).hexdigest()[:8]}"


def by_zlib(data, level):
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15, 8)
    return summary(encoder.compress(data) + encoder.flush())


def by_gzip(data, level):
    made = subprocess.run(["gzip", f"-{level}n"], input=data, stdout=subprocess.PIPE, check=True)
    return summary(made.stdout[10:-8])


SIZES = [0, 1, 2, 3, 5, 16, 258, 1000, 16383, 32768, 65300, 65400, 65536, 70001, 98304, 200000]

with open("src/source/remake/zlib/samples.tsv", "w", encoding="ascii") as out:
    for kind in ["zeros", "random", "period", "text", "mixed", "late"]:
        sizes = [150000] if kind == "late" else SIZES + [1500000] * (kind in ("text", "mixed"))
        for size in sizes:
            data = content(kind, size)
            made = [f(data, level) for f in (by_zlib, by_gzip) for level in range(1, 10)]
            print(kind, size, *made, sep="\t", file=out)
