"""Makes a depot: python make_depot.py FOLDER [COUNT]. The same files every time.

Archives of one to four images in three layouts. Images are those of testdata, and applications of 16 KiB to 4 MiB that
share files. As in a real depot, most archives hold something that others hold too. One in fifty is damaged.
"""

import io
import pathlib
import random
import subprocess
import sys
import tarfile

import imgtar

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
ENGINES = REPOSITORY / "testdata" / "engines"
PROGRAM = pathlib.Path(sys.executable).parent / "imgtar"
SOURCES = ["docker20-multi.tar", "docker26-multi.tar", "docker28c-one.tar", "podman-docker.tar", "skopeo-oci-zstd.tar"]
APPLICATIONS = 40


def application(work, number):
    """An archive of one image: files of its own, and one that every fifth application has."""
    chance = random.Random(number)
    rootfs = work / "rootfs.tar"
    with tarfile.open(rootfs, "w") as tar:
        for part in range(1 + number % 4):
            member = tarfile.TarInfo(f"srv/app-{number}/part-{part}")
            member.size = int(2 ** chance.uniform(14, 20))
            tar.addfile(member, io.BytesIO(chance.randbytes(member.size)))
        shared = tarfile.TarInfo(f"srv/shared-{number % 5}")
        shared.size = 50_000
        tar.addfile(shared, io.BytesIO(random.Random(f"shared {number % 5}").randbytes(shared.size)))
    only = work / f"only-{number}.tar"
    created = f"2026-01-{1 + number % 28:02}T00:00:00Z"
    name = f"depot.example.com/app-{number}:1"
    run(["import", rootfs, "-o", only, "-t", name, "--created", created])
    return only


def run(arguments):
    """Runs the program."""
    subprocess.run([PROGRAM, *map(str, arguments)], check=True, capture_output=True)


def main(folder, count="500"):
    """Makes the depot."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    work = folder / "work"
    work.mkdir()
    pool = [imgtar.open(ENGINES / name) for name in SOURCES]
    pool += [imgtar.open(application(work, number)) for number in range(APPLICATIONS)]
    chance = random.Random(2026)
    for number in range(int(count)):
        chosen = chance.sample(pool, chance.choice((1, 1, 2, 3)))
        layout = chance.choice(("docker", "docker-legacy", "oci"))
        out = folder / f"{number % 10}" / f"archive-{number:03}.tar"
        out.parent.mkdir(exist_ok=True)
        imgtar.merge(chosen, out, layout=layout)
        if number % 50 == 49:
            damage(out, chance)
    for file in work.iterdir():
        file.unlink()
    work.rmdir()


def damage(path, chance):
    """Cuts the end off, or changes a byte in the largest member."""
    data = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        del data[len(data) * 2 // 3 :]
    else:
        with tarfile.open(path) as tar:
            largest = max(tar.getmembers(), key=lambda member: member.size)
        data[largest.offset_data + largest.size // 2] ^= 1
    path.write_bytes(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
