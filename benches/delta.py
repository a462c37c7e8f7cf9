#!/usr/bin/env python3
"""Sizes, seconds and memory of `imgtar delta` and `imgtar apply` beside other programs, on five pairs of tars.

    benches/delta.py FOLDER                       makes the tars and measures all programs that are installed
    benches/delta.py FOLDER --only imgtar         measures imgtar; the rest comes from FOLDER/results.json
    benches/delta.py FOLDER --only sets           makes the tars

    --imgtar PROGRAM     the program to measure (target/release/imgtar)
    --tar-diff PROGRAM   containers/tar-diff, if it is not on the PATH
    --sets S,W           these pairs alone; "big" is one more (below)
    --only a,b           these methods alone, by the words of the table ("imgtar" stands for all of imgtar's)
    --again              also measures what FOLDER/results.json has already

The pairs, OLD and NEW, are FOLDER/{S,W,B,R,P}-{old,new}.tar; FOLDER/versions.json says what they were made from:

    S   the files of Debian bookworm packages (nginx, git, vim, python3 and others): those of the last point release,
        and the same with the updates of the day
    W   Python wheels, two versions each: numpy, scipy, pandas
    B   two programs, two versions each: esbuild (Go), ruff (Rust)
    R   S's OLD, and the same with other modification times, as a rebuild has them
    P   W's NEW with pandas compiled, and the same again later: each .pyc holds the time of its source

    big an image of 2.2 GB in six layers, saved as Docker does, and the same with one package upgraded, whose layer
        was built anew; made and measured with `--sets big`

Making them needs Debian's apt-get and dpkg-deb, pip and npm. Debian's mirrors have only the latest update of each
package, so S and big differ from month to month. The others are always the same, but for the .pyc of P, which are
those of the Python that runs this script.

Each program runs alone, after OLD and NEW were read once. CPU seconds are those of the process and its children;
memory is that of the largest process, and never less than the 25 MB that this script has. bsdiff is the sum of one
patch per file that differs: of the file of the same path, or else of the same name and nearest in size (at most ten
times), or else of one byte. Headers, and which files are equal, are not in its sum. xdelta3 has a source window
of 1 GiB. Programs that are not installed are left out, and the table says so. The goals in MB were set with other
packages in S and R; there the ratios count.
"""

import argparse
import collections
import hashlib
import io
import json
import marshal
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib.util import MAGIC_NUMBER

DEBIAN = "nginx git vim python3 curl gnupg rsync bind9-dnsutils redis-server openssl".split()
DEBIAN_BASE = ["?essential", "?priority(required)", "?priority(important)"]
WHEELS = [["numpy==2.4.5", "scipy==1.17.0", "pandas==3.1.0"], ["numpy==2.4.6", "scipy==1.17.1", "pandas==3.1.1"]]
ESBUILD = ["0.28.1", "0.28.2"]
RUFF = ["0.17.5", "0.17.6"]
# Two builds, five weeks apart.
BUILT = [1_760_000_000, 1_763_000_000]
SITE = "usr/local/lib/python3.13/site-packages/"

GOALS = {  # the largest size in MB: by default, with --best
    "S": (3.8, 3.5), "W": (3.25, 2.9), "B": (4.9, 4.4), "R": (0.08, None), "P": (0.06, None),
}  # fmt: skip


def say(*words, end="\n"):
    print(*words, end=end, file=sys.stderr, flush=True)


def quietly(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stdout.decode(errors='replace')}")
    return done.stdout.decode()


# --- the tars -----------------------------------------------------------------------------------------------------


def put(out, name, size, content, mtime, mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, int(mtime), mode
    info.uname = info.gname = ""
    for key, value in more.items():
        setattr(info, key, value)
    out.addfile(info, content)


def new_tar(path):
    return tarfile.open(path, "w", format=tarfile.PAX_FORMAT)


def debian_root(work, updates, wanted):
    """Packages and what they need, downloaded by apt-get with a state of its own: this system stays as it is."""
    at = tempfile.mkdtemp(dir=work)
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        os.makedirs(f"{at}/{folder}")
    open(f"{at}/status", "w").close()
    mirrors = [line.split()[1] for line in open("/etc/apt/sources.list.d/debian.sources") if line.startswith("URIs:")]
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    with open(f"{at}/sources.list", "w") as sources:
        sources.write(f"deb {key} {mirrors[0]} bookworm main\n")
        if updates:
            sources.write(f"deb {key} {mirrors[0]} bookworm-updates main\n")
            sources.write(f"deb {key} {mirrors[1]} bookworm-security main\n")
    settings = {
        "Dir::State": at,
        "Dir::State::status": f"{at}/status",
        "Dir::State::lists": f"{at}/lists",
        "Dir::Cache": f"{at}/cache",
        "Dir::Etc::sourcelist": f"{at}/sources.list",
        "Dir::Etc::sourceparts": f"{at}/parts",
        "Dir::Etc::preferencesparts": f"{at}/parts",
        "APT::Install-Recommends": "0",
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
    }
    apt = ["apt-get", "-qq"] + [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    quietly(apt + ["update"])
    quietly(apt + ["install", "-y", "--download-only", *DEBIAN_BASE, *wanted])
    archives = f"{at}/cache/archives"
    return [f"{archives}/{name}" for name in sorted(os.listdir(archives)) if name.endswith(".deb")]


def debian_tar(packages, path, built=None):
    """One tar of the files of all packages, sorted; hard links are last, so that each comes after its file.
    Directories have the time `built`, if there is one, and else that of the last package that has them."""
    entries = {}
    with tempfile.TemporaryFile() as bodies:
        for package in packages:
            with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked:
                tar = tarfile.open(fileobj=unpacked.stdout, mode="r|")
                for info in tar:
                    at = bodies.tell()
                    if info.isreg():
                        shutil.copyfileobj(tar.extractfile(info), bodies)
                    info.name = info.name.removeprefix("./")
                    info.linkname = info.linkname.removeprefix("./") if info.islnk() else info.linkname
                    info.uname = info.gname = ""
                    info.pax_headers = {}
                    info.mtime = built if built and info.isdir() else int(info.mtime)
                    if info.name not in ("", "."):
                        entries[info.name] = (info, at)
        with new_tar(path) as out:
            for name in sorted(entries, key=lambda name: (entries[name][0].islnk(), name)):
                info, at = entries[name]
                bodies.seek(at)
                out.addfile(info, bodies if info.isreg() else None)


def wheels(work, wanted):
    at = tempfile.mkdtemp(dir=work)
    platforms = [f"manylinux_2_{n}_x86_64" for n in (28, 27, 24, 17)] + ["manylinux2014_x86_64"]
    quietly(
        ["pip", "download", "-q", "--no-deps", "--only-binary=:all:", "--implementation", "cp"]
        + ["--python-version", "3.13", "--abi", "cp313", "-d", at]
        + [word for name in platforms for word in ("--platform", name)]
        + wanted
    )
    return sorted(f"{at}/{name}" for name in os.listdir(at))


def wheel_tar(files, path, built, compiled=None):
    """What pip installs from wheels at a time: all files have that time."""
    contents = {}
    for file in files:
        wheel = zipfile.ZipFile(file)
        for name in wheel.namelist():
            if not name.endswith("/"):
                contents[name] = wheel
    if compiled is not None:
        sources = {pyc(name): name for name in contents if is_compiled(name)}
        contents |= {name: contents[source] for name, source in sources.items()}
    else:
        sources = {}
    with new_tar(path) as out:
        for name, wheel in sorted(contents.items(), key=lambda entry: entry[0]):
            body = wheel.read(sources.get(name, name))
            if name in sources:
                body = pyc_of(name, body, built, compiled)
            put(out, SITE + name, len(body), io.BytesIO(body), built)


def pyc_of(name, source, built, compiled):
    """Bytes of a .pyc; the code is in `compiled` from then on, since marshal need not write the same twice."""
    if name not in compiled:
        code = compile(source, f"/{SITE}{name}", "exec", dont_inherit=True, optimize=0)
        compiled[name] = marshal.dumps(code)
    return MAGIC_NUMBER + struct.pack("<III", 0, built, len(source)) + compiled[name]


def is_compiled(name):
    return name.startswith("pandas/") and name.endswith(".py")


def pyc(name):
    folder, _, file = name.rpartition("/")
    return f"{folder}/__pycache__/{file[:-3]}.{sys.implementation.cache_tag}.pyc"


def programs_tar(work, number, path):
    at = tempfile.mkdtemp(dir=work)
    quietly(["npm", "pack", "--silent", f"@esbuild/linux-x64@{ESBUILD[number]}"], cwd=at)
    (packed,) = os.listdir(at)
    with tarfile.open(f"{at}/{packed}") as npm:
        esbuild = npm.extractfile("package/bin/esbuild").read()
    wheel = zipfile.ZipFile(wheels(work, [f"ruff=={RUFF[number]}"])[0])
    ruff = wheel.read(next(name for name in wheel.namelist() if name.endswith("/scripts/ruff")))
    with new_tar(path) as out:
        for name, body in (("esbuild", esbuild), ("ruff", ruff)):
            put(out, f"usr/local/bin/{name}", len(body), io.BytesIO(body), BUILT[number], 0o755)


def rebuilt_tar(old, path):
    """The same entries with the times of a build that writes 20 MB in a second."""
    written = 0
    with tarfile.open(old) as tar, new_tar(path) as out:
        for info in tar:
            written += 512 + info.size
            info.mtime = BUILT[1] + written // 20_000_000
            info.pax_headers = {}
            out.addfile(info, tar.extractfile(info) if info.isreg() else None)


def make_sets(folder):
    """Makes the tars that are not there, and versions.json."""
    made = {}
    with tempfile.TemporaryDirectory(dir=folder) as work:

        def target(name, make):
            path = f"{folder}/{name}.tar"
            if not os.path.exists(path):
                say(f"making {name}")
                make(f"{work}/{name}.tar")
                os.rename(f"{work}/{name}.tar", path)

        def debian(updates):
            def make(path):
                packages = debian_root(work, updates, DEBIAN)
                debian_tar(packages, path)
                made["S-new" if updates else "S-old"] = [os.path.basename(name) for name in packages]

            return make

        versions = f"{folder}/versions.json"
        if os.path.exists(versions):
            made = json.load(open(versions))
        code = {}
        for number, age in enumerate(("old", "new")):
            target(f"S-{age}", debian(age == "new"))
            target(f"W-{age}", lambda path: wheel_tar(wheels(work, WHEELS[number]), path, BUILT[number]))
            target(f"B-{age}", lambda path: programs_tar(work, number, path))
            target(f"P-{age}", lambda path: wheel_tar(wheels(work, WHEELS[1]), path, BUILT[number], code))
            made |= {
                f"W-{age}": WHEELS[number],
                f"B-{age}": [f"esbuild {ESBUILD[number]}", f"ruff {RUFF[number]}"],
                f"P-{age}": [*WHEELS[1], f"compiled by Python {sys.version.split()[0]}, {BUILT[number]}"],
            }
        target("R-old", lambda path: os.link(f"{folder}/S-old.tar", path))
        target("R-new", lambda path: rebuilt_tar(f"{folder}/S-old.tar", path))
        with open(versions, "w") as out:
            json.dump(made, out, indent=1)


# --- a big archive ------------------------------------------------------------------------------------------------

BIG = [
    [],
    ["python3-numpy", "python3-scipy", "python3-pandas", "python3-matplotlib"],
    ["build-essential", "gfortran", "cmake", "git"],
    ["nginx", "postgresql", "redis-server"],
    ["default-jdk-headless", "llvm", "clang"],
]
UPGRADED = "libssl3"


def make_big(folder):
    """An archive as Docker 25 and later save it, and the same with one package of a layer upgraded."""
    if os.path.exists(f"{folder}/big-new.tar"):
        return
    with tempfile.TemporaryDirectory(dir=folder) as work:
        layers, known = [], set()
        for number in range(len(BIG)):
            say(f"layer {number} of the big archive")
            names = [name for words in BIG[: number + 1] for name in words]
            packages = [name for name in debian_root(work, False, names) if os.path.basename(name) not in known]
            known |= {os.path.basename(name) for name in packages}
            debian_tar(packages, f"{work}/layer{number}", BUILT[0])
            layers.append(packages)
        with open(f"{work}/model", "wb") as model, new_tar(f"{work}/layer{len(BIG)}") as out:
            for number in range(200 * (1 << 20) // 32):
                model.write(hashlib.sha256(b"model %d" % number).digest())
            model.close()
            with open(f"{work}/model", "rb") as model:
                put(out, "srv/app/model.bin", 200 << 20, model, BUILT[0])
        old = [f"{work}/layer{number}" for number in range(len(BIG) + 1)]
        save_archive(f"{folder}/big-old.tar", old, BUILT[0])

        def is_upgraded(name):
            return os.path.basename(name).startswith(f"{UPGRADED}_")

        (changed,) = [number for number, packages in enumerate(layers) if any(map(is_upgraded, packages))]
        newer = [name for name in debian_root(work, True, [UPGRADED]) if is_upgraded(name)]
        rest = [name for name in layers[changed] if not is_upgraded(name)]
        debian_tar(sorted(rest + newer, key=os.path.basename), f"{work}/changed", BUILT[1])
        new = [f"{work}/changed" if number == changed else path for number, path in enumerate(old)]
        save_archive(f"{work}/big-new.tar", new, BUILT[1])
        os.rename(f"{work}/big-new.tar", f"{folder}/big-new.tar")


def save_archive(path, layers, built):
    def of_file(file):
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def blob(media_type, digest, size):
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": size}

    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(built))
    digests = {layer: of_file(layer) for layer in layers}
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "created": created, "config": {"Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digests[layer]}" for layer in layers]},
        "history": [{"created": created, "created_by": f"layer {number}"} for number in range(len(layers))],
    }).encode()  # fmt: skip
    config_digest = hashlib.sha256(config).hexdigest()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", config_digest, len(config)),
        "layers": [blob("layer.v1.tar", digests[layer], os.path.getsize(layer)) for layer in layers],
    }).encode()  # fmt: skip
    manifest_digest = hashlib.sha256(manifest).hexdigest()
    descriptor = blob("manifest.v1+json", manifest_digest, len(manifest))
    descriptor["annotations"] = {
        "io.containerd.image.name": "docker.io/library/big:1",
        "org.opencontainers.image.ref.name": "1",
    }
    index = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]
    }).encode()  # fmt: skip
    listed = json.dumps([{
        "Config": f"blobs/sha256/{config_digest}", "RepoTags": ["big:1"],
        "Layers": [f"blobs/sha256/{digests[layer]}" for layer in layers],
    }]).encode()  # fmt: skip
    with new_tar(path) as out:
        for layer in layers:
            with open(layer, "rb") as opened:
                put(out, f"blobs/sha256/{digests[layer]}", os.path.getsize(layer), opened, 0)
        members = [(f"blobs/sha256/{config_digest}", config), (f"blobs/sha256/{manifest_digest}", manifest)]
        members += [("index.json", index), ("manifest.json", listed)]
        members += [("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')]
        for name, body in members:
            put(out, name, len(body), io.BytesIO(body), 0)


# --- measuring ----------------------------------------------------------------------------------------------------


def run(*command, stdout=None):
    """What a command took; it may not fail."""
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit {child.returncode}: {errors.decode(errors='replace')}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": wall, "rss": usage.ru_maxrss / 1000}


def to_file(*command):
    """A program that writes to its standard output."""

    def measure(old, new, out):
        with open(out, "wb") as file:
            took = run(*[word.format(old=old, new=new) for word in command], stdout=file)
        return took | {"size": os.path.getsize(out)}

    return measure


def with_name(*command):
    """A program that is given the name of its output."""

    def measure(old, new, out):
        took = run(*[word.format(old=old, new=new, out=out) for word in command])
        return took | {"size": os.path.getsize(out)}

    return measure


def whole(old, new, out):
    return {"size": os.path.getsize(new)}


def files_of(path):
    """The regular files of a tar: SHA-256, size, where the body is; by name."""
    files = {}
    with tarfile.open(path) as tar, open(path, "rb") as raw:
        for info in tar:
            if info.isreg():
                raw.seek(info.offset_data)
                digest, left = hashlib.sha256(), info.size
                while left:
                    piece = raw.read(min(left, 1 << 20))
                    digest.update(piece)
                    left -= len(piece)
                files[info.name] = (digest.digest(), info.size, info.offset_data)
            tar.members = []
    return files


def pairs_of(old, new):
    """Each file of NEW that OLD has not, with the best partner or None."""
    old_files, new_files = files_of(old), files_of(new)
    known = {digest for digest, _, _ in old_files.values()}
    by_name = collections.defaultdict(list)
    for name, file in old_files.items():
        by_name[os.path.basename(name)].append(file)
    for name, (digest, size, at) in new_files.items():
        if digest in known:
            continue
        known.add(digest)
        partner = old_files.get(name)
        if partner is None:
            near = [file for file in by_name[os.path.basename(name)] if file[1] <= 10 * size and size <= 10 * file[1]]
            partner = min(near, key=lambda file: abs(file[1] - size), default=None)
        yield (digest, size, at), partner


def bsdiff(old, new, out):
    total = {"size": 0, "cpu": 0, "wall": 0, "rss": 0, "files": 0}

    def body(tar, file, path):
        with open(path, "wb") as out:
            if file is not None and file[1] > 0:
                tar.seek(file[2])
                out.write(tar.read(file[1]))
            else:
                out.write(b"\0")  # bsdiff cannot read an empty file

    with open(old, "rb") as old_tar, open(new, "rb") as new_tar:
        for file, partner in pairs_of(old, new):
            body(old_tar, partner, f"{out}.old")
            body(new_tar, file, f"{out}.new")
            took = run("bsdiff", f"{out}.old", f"{out}.new", out)
            total["size"] += os.path.getsize(out)
            total["files"] += 1
            for key in ("cpu", "wall"):
                total[key] += took[key]
            total["rss"] = max(total["rss"], took["rss"])
    for suffix in ("old", "new"):
        if os.path.exists(f"{out}.{suffix}"):
            os.unlink(f"{out}.{suffix}")
    return total


def imgtar_delta(program, *options):
    return with_name(program, "delta", "-q", "-f", *options, "{old}", "{new}", "-o", "{out}")


def imgtar_apply(program, *options):
    """Measures `apply` alone, and compares what it wrote with NEW."""

    def measure(old, new, out):
        run(program, "delta", "-q", "-f", *options, old, new, "-o", f"{out}.delta")
        took = run(program, "apply", "-q", "-f", old, f"{out}.delta", "-o", out)
        run("cmp", out, new)
        size = os.path.getsize(out)
        os.unlink(f"{out}.delta")
        return took | {"size": size}

    return measure


def methods(imgtar, tar_diff):
    """What is measured, in the order of the table: the words, the program it needs, how, and the sets it is for."""
    largest = "SWB"
    every = largest + "RP"
    patch_from = ["zstd", "-q", "--long=31", "--patch-from={old}", "-c", "{new}"]
    xdelta3 = f"xdelta3 -q -e -9 -S lzma -B {1 << 30} -W {1 << 24} -c -s {{old}} {{new}}".split()
    ours = [*every, "big"]
    return [
        ("whole", "true", whole, ours),
        ("gzip -6", "gzip", to_file("gzip", "-6", "-c", "{new}"), largest),
        ("zstd -3", "zstd", to_file("zstd", "-q", "-3", "-c", "{new}"), ours),
        ("zstd -19", "zstd", to_file("zstd", "-q", "-19", "-c", "{new}"), largest),
        ("zstd -3 --patch-from", "zstd", to_file(*patch_from, "-3"), every),
        ("zstd -19 --patch-from", "zstd", to_file(*patch_from, "-19"), largest),
        ("xdelta3 -9 -S lzma", "xdelta3", to_file(*xdelta3), every),
        ("bsdiff per file", "bsdiff", bsdiff, every),
        ("tar-diff", tar_diff, with_name(tar_diff, "{old}", "{new}", "{out}"), every),
        ("imgtar delta", imgtar, imgtar_delta(imgtar), ours),
        ("imgtar delta --best", imgtar, imgtar_delta(imgtar, "--best"), ours),
        ("imgtar apply", imgtar, imgtar_apply(imgtar), ours),
        ("imgtar apply (--best)", imgtar, imgtar_apply(imgtar, "--best"), ours),
    ]  # fmt: skip


def warm(path):
    with open(path, "rb") as file:
        while file.read(1 << 22):
            pass


def figures(took):
    if took is None:
        return "–"
    size = took["size"] / 1e6
    size = f"{size:.{0 if size >= 100 else 1 if size >= 20 else 2 if size >= 1 else 3}f}"
    if "cpu" not in took:
        return size
    return f"{size} ({took['cpu']:.1f} s, {took['wall']:.1f} s, {took['rss']:.0f} MB)"


def print_table(table, results, sets):
    print("Size in MB (CPU seconds, seconds, MB of memory)\n")
    print("| | " + " | ".join(sets) + " |")
    print("|---|" + "---|" * len(sets))
    for words, program, _, _ in table:
        got = [results.get(f"{name} {words}") for name in sets]
        if any(got):
            print(f"| {words} | " + " | ".join(map(figures, got)) + " |")
        elif shutil.which(program) is None:
            print(f"| {words} | " + " | ".join(["not installed"] * len(sets)) + " |")
    print_goals(results, sets)


def print_goals(results, sets):
    """What imgtar should reach, and whether it does."""
    print("\n| goal | " + " | ".join(sets) + " |")
    print("|---|" + "---|" * len(sets))

    def row(words, value):
        cells = []
        for name in sets:
            try:
                got, limit, most = value(name)
                cells.append(f"{got:.3g} of {limit:.3g}: {'yes' if (got <= limit) == most else 'NO'}")
            except (KeyError, TypeError, ZeroDivisionError):
                cells.append("–")
        if set(cells) != {"–"}:
            print(f"| {words} | " + " | ".join(cells) + " |")

    def get(name, words, key):
        return results[f"{name} {words}"][key]

    best, apply = "imgtar delta --best", "imgtar apply"
    row("MB at most", lambda s: (get(s, "imgtar delta", "size") / 1e6, GOALS[s][0], True))
    row("CPU seconds at most", lambda s: (get(s, "imgtar delta", "cpu"), 6, True))
    row("of bsdiff at most", lambda s: (get(s, "imgtar delta", "size") / get(s, "bsdiff per file", "size"), 1.1, True))
    row("of tar-diff at most", lambda s: (get(s, "imgtar delta", "size") / get(s, "tar-diff", "size"), 0.87, True))
    row("--best: MB at most", lambda s: (get(s, best, "size") / 1e6, GOALS[s][1] + 0, True))
    row("--best: of bsdiff at most", lambda s: (get(s, best, "size") / get(s, "bsdiff per file", "size"), 0.95, True))
    row("--best: CPU seconds at most", lambda s: (get(s, best, "cpu"), 30, True))
    row("delta: MB of memory at most", lambda s: (get(s, "imgtar delta", "rss"), 600, True))
    row("--best: MB of memory at most", lambda s: (get(s, best, "rss"), 700, True))
    row("apply: MB/s at least", lambda s: (get(s, apply, "size") / 1e6 / get(s, apply, "wall"), 400, False))
    row("apply: MB of memory at most", lambda s: (get(s, apply, "rss"), 160, True))


def keep(path, key, results):
    """Adds one result to the file, where another run may have added others meanwhile."""
    kept = json.load(open(path)) if os.path.exists(path) else {}
    with open(f"{path}.{os.getpid()}", "w") as file:
        json.dump(kept | {key: results[key]}, file, indent=1)
    os.rename(f"{path}.{os.getpid()}", path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder")
    arguments.add_argument("--imgtar", default="target/release/imgtar")
    arguments.add_argument("--tar-diff", default="tar-diff")
    arguments.add_argument("--sets", default="S,W,B,R,P")
    arguments.add_argument("--only", default="")
    arguments.add_argument("--again", action="store_true")
    given = arguments.parse_args()
    folder = os.path.abspath(given.folder)
    os.makedirs(folder, exist_ok=True)
    only = [word for word in given.only.split(",") if word]
    if only == ["sets"]:
        return make_big(folder) if given.sets == "big" else make_sets(folder)
    # In a process of its own: a child's RSS is never less than what its parent had when it was started.
    subprocess.run([sys.executable, __file__, folder, "--only", "sets", "--sets", given.sets], check=True)
    sets = given.sets.split(",")
    path = f"{folder}/results.json"
    results = json.load(open(path)) if os.path.exists(path) else {}
    table = methods(given.imgtar, given.tar_diff)
    for words, program, measure, of_sets in table:
        is_ours = words.startswith("imgtar")
        if only and words not in only and not (is_ours and "imgtar" in only):
            continue
        if shutil.which(program) is None:
            say(f"{words}: {program} is not there")
            continue
        for name in sets:
            key = f"{name} {words}"
            if name not in of_sets or (key in results and not given.again and not is_ours):
                continue
            old, new, out = f"{folder}/{name}-old.tar", f"{folder}/{name}-new.tar", f"{folder}/output-{os.getpid()}"
            warm(old)
            warm(new)
            say(key, end=" ")
            results[key] = measure(old, new, out)
            say(figures(results[key]))
            if os.path.exists(out):
                os.unlink(out)
            keep(path, key, results)
    print_table(table, results, sets)


if __name__ == "__main__":
    main()
