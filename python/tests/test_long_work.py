"""Long work: it stops when it is told to, reports progress, leaves the interpreter to others and keeps nothing."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import imgtar

from conftest import ENGINES, PROGRAM

FLATTEN = """
import os, sys, imgtar
said = False
def progress(what, done, total):
    global said
    if not said and done > 0:
        said = True
        print(what, flush=True)
image = imgtar.open(sys.argv[1], jobs=1).image()
try:
    image.flatten(sys.argv[2], progress=progress)
except KeyboardInterrupt:
    print("interrupted", os.listdir(os.path.dirname(sys.argv[2])), flush=True)
    # The archive can be read again.
    print(len(image.read("data/0")), flush=True)
    raise
"""


def test_ctrl_c_ends_the_work_and_leaves_nothing(large, tmp_path):
    out = tmp_path / "rootfs.tar"
    child = subprocess.Popen(
        [sys.executable, "-c", FLATTEN, large, out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline().strip(), "no progress before the end"
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    said, error = child.communicate(timeout=60)
    assert said.splitlines() == ["interrupted []", str(64 << 20)], error
    assert child.returncode != 0 and "KeyboardInterrupt" in error
    assert time.monotonic() - begun < 20
    assert os.listdir(tmp_path) == []


def test_ctrl_c_ends_the_program(large, tmp_path):
    out = tmp_path / "rootfs.tar"
    for arguments in (["verify", large], ["flatten", large, "-o", out]):
        child = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # The program is at work as soon as it has opened the archive.
        opened = lambda: any(
            os.path.realpath(f"/proc/{child.pid}/fd/{fd}") == str(large.resolve())
            for fd in os.listdir(f"/proc/{child.pid}/fd")
        )
        while child.poll() is None and not opened():
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGINT, error.decode()
        assert b"Traceback" not in error
        assert os.listdir(tmp_path) == []


def test_progress_is_reported(large, tmp_path):
    calls = []
    imgtar.verify(large, progress=lambda *step: calls.append(step))
    assert calls
    steps = {what for what, _, _ in calls}
    assert any("verifying" in what for what in steps), steps
    for what in steps:
        done = [done for name, done, _ in calls if name == what]
        assert done == sorted(done)
    what, done, total = calls[-1]
    assert total is None or done <= total
    assert max(done for _, done, _ in calls) > 100 << 20


class Enough(Exception):
    """What a callback raises."""


def test_what_a_callback_raises_ends_the_work(large, tmp_path):
    def progress(what, done, total):
        raise Enough(what)

    archive = imgtar.open(large)
    with pytest.raises(Enough):
        archive.verify(progress=progress)
    with pytest.raises(Enough):
        archive.image().flatten(tmp_path / "rootfs.tar", progress=progress)
    assert os.listdir(tmp_path) == []
    assert archive.image().read("data/1")[:10] == archive.image().read("data/2")[:10]


def test_other_threads_run_meanwhile(large):
    counted = 0
    ends = threading.Event()

    def count():
        nonlocal counted
        while not ends.is_set():
            counted += 1
            time.sleep(0.001)

    other = threading.Thread(target=count)
    other.start()
    try:
        for call in (lambda: imgtar.verify(large), lambda: imgtar.open(large).image().read("data/3")):
            before, begun = counted, time.monotonic()
            call()
            took, meanwhile = time.monotonic() - begun, counted - before
            # A thousand a second on a machine with nothing else to do. With the lock held it would be a handful.
            assert meanwhile > took * 20, (meanwhile, took)
    finally:
        ends.set()
        other.join()


def test_two_threads_at_once(large):
    archive = imgtar.open(large)
    answers = {}

    def work(number):
        answers[number] = (archive.verify().ok, len(archive.image().read(f"data/{number}")))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {0: (True, 64 << 20), 1: (True, 64 << 20)}


def resident():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_given_back():
    paths = [ENGINES / name for name in ("docker26-multi.tar", "docker20-one.tar.zst", "skopeo-oci.tar")]

    def look(path):
        archive = imgtar.open(path)
        for image in archive.images:
            assert image.layers and image.config
            assert sum(1 for _ in image.files()) > 0
            image.read("etc/os-release")

    def rounds(count):
        for number in range(count):
            look(paths[number % len(paths)])

    files = len(os.listdir("/proc/self/fd"))
    rounds(300)
    before = resident()
    rounds(1000)
    assert resident() - before < 4 << 20, (before, resident())
    assert len(os.listdir("/proc/self/fd")) == files
