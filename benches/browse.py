#!/usr/bin/env python3
"""How long `imgtar browse` takes to show its first screen and to answer each key, and the memory that it takes.

    benches/browse.py IMGTAR ARCHIVE...

The program runs on a pseudo-terminal of 160 by 50. For each key the first figure is the time to the first byte of the
answer, the second the time to the last one, after which nothing follows for 150 ms: they differ where the program shows
that it is at work and the list follows. Keys are pressed once the screen is still.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

KEYS = [
    ("Tab", b"\t"),
    ("* (open all)", b"*"),
    ("G", b"G"),
    ("g", b"g"),
    ("Page Down", b"\x1b[6~"),
    ("Down", b"j"),
    ("s (by size)", b"s"),
    ("d (changes)", b"d"),
    ("d (all)", b"d"),
    ("/ filter", b"/"),
    ("a", b"a"),
    ("9", b"9"),
    ("Escape", b"\x1b"),
    ("w (waste)", b"w"),
    ("Escape", b"\x1b"),
    ("?", b"?"),
    ("Escape", b"\x1b"),
    ("Tab", b"\t"),
    ("Down (next layer)", b"j"),
]
STILL = 0.15


def start(program, archive):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(program, [program, "browse", archive])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    return pid, terminal


def read(terminal, until, limit):
    """Seconds until the first and the last byte before `until` is satisfied or nothing came for STILL, and what came."""
    began = last = time.monotonic()
    first = None
    came = b""
    while time.monotonic() - began < limit:
        ready, _, _ = select.select([terminal], [], [], STILL)
        if not ready:
            if until is None:
                break
            continue
        try:
            came += os.read(terminal, 1 << 16)
        except OSError:
            break
        last = time.monotonic()
        first = first or last
        if until is not None and until in came:
            break
    return (first or last) - began, last - began, came


def peak(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1000
    return 0


def main(program, archives):
    for archive in archives:
        pid, terminal = start(program, archive)
        _, first, _ = read(terminal, b"LAYER", 60)
        began = time.monotonic()
        while read(terminal, None, 600)[2]:
            pass
        print(f"{archive}: first screen {first:.3f} s, all read after {time.monotonic() - began - STILL:.1f} s")
        for name, key in KEYS:
            os.write(terminal, key)
            first, last, came = read(terminal, None, 60)
            print(f"  {name:<20} {first * 1000:7.1f} ms {last * 1000:7.1f} ms  {len(came):7} bytes")
            time.sleep(0.05)
        print(f"  memory {peak(pid):.0f} MB")
        os.write(terminal, b"qq")
        read(terminal, None, 5)
        os.close(terminal)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
