"""Prints the section of `docs/performance.md` about the packages, after `packaging/make.sh`:

    python3 packaging/measure.py >> docs/performance.md

It also builds the program once more from nothing, in a clone elsewhere, for the time that this takes and to see whether
the same bytes come out.
"""

import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 1000
ARCHIVE = "testdata/engines/docker26-one.tar"


def megabytes(path):
    """A size as people read it."""
    return f"{path.stat().st_size / 1e6:.2f} MB"


def milliseconds(commands):
    """For each command the median time from its start to its end, and of its processor time; all in turns."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, descriptor) for descriptor in (0, 1, 2)]
    times = [([], []) for _ in commands]
    for _ in range(ROUNDS):
        for command, (walls, processors) in zip(commands, times):
            started = time.perf_counter()
            child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
            _, status, usage = os.wait4(child, 0)
            walls.append(time.perf_counter() - started)
            processors.append(usage.ru_utime + usage.ru_stime)
            assert status == 0, command
    return [tuple(statistics.median(values) * 1000 for values in pair) for pair in times]


def build(directory):
    """Builds in a clone in `directory`: the program and the seconds of processor time that this took."""
    clone = f"{directory}/a clone"
    subprocess.run(["git", "clone", "--quiet", ".", clone], check=True)
    environment = dict(os.environ, CARGO_TARGET_DIR=f"{directory}/target")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [f"{clone}/packaging/build.sh"]
    path = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, encoding="utf-8").stdout.strip()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return pathlib.Path(path), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Measures and prints."""
    dist, program = pathlib.Path("target/dist"), pathlib.Path("target/packaging/stage/imgtar")
    (deb,), (rpm,), (tarball,), (crate,) = (
        list(dist.glob(pattern)) for pattern in ("*.deb", "*.rpm", "*.tar.gz", "*.crate")
    )
    with tempfile.TemporaryDirectory() as directory:
        unstripped, processor = build(directory)
        stripped = f"{directory}/stripped"
        subprocess.run(["strip", "--strip-all", "-o", stripped, unstripped], check=True)
        same = pathlib.Path(stripped).read_bytes() == program.read_bytes()
        print(f"the build elsewhere has {'the same' if same else 'OTHER'} bytes", file=sys.stderr)
        commands = [
            ["/bin/true"],
            [str(program), "--version"],
            [str(program), "images", ARCHIVE],
            [str(program), "verify", "-q", ARCHIVE],
        ]
        names = ["`true`, for comparison", "`imgtar --version`", f"`imgtar images {ARCHIVE}`", f"`imgtar verify -q {ARCHIVE}`"]
        wheel_program = pathlib.Path("python/target/venv/bin/imgtar")
        if wheel_program.exists():
            commands.append([str(wheel_program), "--version"])
            names.append("`imgtar --version` of the wheel, which starts Python first")
        times = milliseconds(commands)
        print("\n## The packages\n")
        print("Made by `packaging/make.sh`, measured by `packaging/measure.py`.\n")
        print("| what | size |\n|---|---|")
        print(f"| program, statically linked, with symbols | {megabytes(unstripped)} |")
        print(f"| program, stripped, as it is in all packages | {megabytes(program)} |")
        for what, path in (("Debian package", deb), ("RPM", rpm), ("tarball", tarball), ("crate", crate)):
            print(f"| {what} | {megabytes(path)} |")
        for wheel in dist.glob("*.whl"):
            what = "Python wheel (`python/make-wheel.sh`), with the program and the module"
            print(f"| {what} | {megabytes(wheel)} |")
    print(f"\nStarting it, the median of {ROUNDS} runs in turns, from the start to the end of the process:\n")
    print("| command | ms | processor ms |\n|---|---|---|")
    for name, (wall, used) in zip(names, times):
        print(f"| {name} | {wall:.2f} | {used:.2f} |")
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    print(f"\nThe load average was {load:.1f} on {cores} cores: above {cores} the processor's milliseconds are what counts.")
    print(f"\nBuilding the program from nothing, with all dependencies, takes {processor:.0f} seconds of processor time.")


if __name__ == "__main__":
    main()
