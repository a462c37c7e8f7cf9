"""Look inside container image archives, check, flatten and make them: tar files alone, no daemon, no registry.

>>> import imgtar
>>> archive = imgtar.open("testdata/engines/docker26-one.tar")
>>> [image.names for image in archive.images]
[['imgtar-testdata/app:1']]
>>> imgtar.verify("testdata/engines/docker26-one.tar").ok
True

Whatever reads many bytes gives up the interpreter's lock while it does, takes a ``progress`` callback, and ends early
if a signal handler raises, as that of Ctrl-C does. ``docs/python.md`` has the rest.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _imgtar
from ._errors import Error, InputError, IoError, NotFoundError, StoppedError, UsageError

__version__: str = _imgtar.VERSION

__all__ = [
    "Archive",
    "Entry",
    "Error",
    "Flattened",
    "Image",
    "InputError",
    "IoError",
    "Layer",
    "NotFoundError",
    "Problem",
    "Step",
    "StoppedError",
    "UsageError",
    "Verdict",
    "Verification",
    "Written",
    "merge",
    "open",
    "verify",
]

StrPath = Union[str, "os.PathLike[str]"]
#: Called with what is being done, how many bytes are done, and how many there are if that is known. What it raises ends
#: the work.
Progress = Callable[[str, int, Optional[int]], object]


class Entry(NamedTuple):
    """A name in the merged tree of an image."""

    #: The path without a slash at either end. Bytes that are not UTF-8 are as ``os.fsdecode`` has them.
    path: str
    #: ``file``, ``directory``, ``symlink``, ``char``, ``block`` or ``fifo``.
    type: str
    #: Permissions, setuid, setgid and sticky: 12 bits.
    mode: int
    #: The owner.
    uid: int
    #: The group.
    gid: int
    #: The length of a regular file in bytes, else 0.
    size: int
    #: The modification time in nanoseconds since 1970.
    mtime_ns: int
    #: Where a symbolic link points.
    target: Optional[str]
    #: The index of the layer that the name comes from, base first.
    layer: int
    #: The number of the file in this image: equal for names that are hard links of each other.
    inode: int
    #: Major and minor number of a device.
    device: Optional[Tuple[int, int]]
    #: Extended attributes.
    xattrs: Dict[str, bytes]
    #: The digest of a regular file, if digests were asked for.
    sha256: Optional[str]


def _entry(raw: Any) -> Entry:
    path, kind, (mode, uid, gid), size, (seconds, nanoseconds), target, layer, inode, device, xattrs, sha256 = raw
    return Entry(
        os.fsdecode(path),
        kind,
        mode,
        uid,
        gid,
        size,
        seconds * 1_000_000_000 + nanoseconds,
        None if target is None else os.fsdecode(target),
        layer,
        inode,
        device,
        {os.fsdecode(name): value for name, value in xattrs.items()} if xattrs else {},
        sha256,
    )


@dataclass(frozen=True)
class Layer:
    """A layer of an image, as ``imgtar layers --json`` has it."""

    #: Its index, base first.
    index: int
    #: The digest of its uncompressed tar, as the config claims it.
    diff_id: Optional[str]
    #: The chain ID of the stack up to it.
    chain_id: Optional[str]
    #: The digest of the stored blob, where something claims it.
    digest: Optional[str]
    #: The media type that its descriptor claims.
    media_type: Optional[str]
    #: How it is compressed; ``None`` if it is missing.
    compression: Optional[str]
    #: The length of the stored blob in bytes; ``None`` if it is missing.
    stored_size: Optional[int]
    #: The length of the uncompressed tar in bytes; ``None`` if it is missing or damaged.
    tar_size: Optional[int]
    #: The size that ``docker history`` shows for it.
    size: Optional[int]
    #: How many entries it has.
    entries: Optional[int]
    #: How many bytes of its files later layers hide; ``None`` if that is not known.
    hidden: Optional[int]
    #: The build step that made it.
    created_by: Optional[str]
    #: Everything that the program says of it.
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Step:
    """A build step of an image, as ``imgtar history --json`` has it."""

    #: When.
    created: Optional[str]
    #: By which command or instruction.
    created_by: str
    #: By whom.
    author: str
    #: A remark.
    comment: str
    #: The size of its layer as ``docker history`` counts it; ``None`` if the layer is missing or damaged.
    size: Optional[int]
    #: Whether the step is marked to have made no layer.
    empty_layer: bool
    #: The index of its layer, base first.
    layer: Optional[int]
    #: The diff ID of its layer.
    diff_id: Optional[str]
    #: The ID of the image that it ended with, where that is known.
    id: Optional[str]


@dataclass(frozen=True)
class Problem:
    """A claim of an archive that is not true. ``docs/verify.md`` explains every code."""

    #: What kind it is, such as ``diff-id-mismatch``.
    code: str
    #: ``error`` or ``warning``.
    severity: str
    #: What is wrong, in a sentence.
    message: str
    #: Everything that the program says of it: where it is, what is claimed and what was computed.
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def member(self) -> Optional[str]:
        """The member of the archive that it is in."""
        return _text(self.raw.get("member"))

    @property
    def offset(self) -> Optional[int]:
        """Where it is, in bytes."""
        return self.raw.get("offset")

    @property
    def claimed(self) -> Optional[str]:
        """What is claimed."""
        return self.raw.get("claimed")

    @property
    def computed(self) -> Optional[str]:
        """What the bytes give."""
        return self.raw.get("computed")


@dataclass(frozen=True)
class Verdict:
    """What one engine would make of an archive."""

    #: ``docker``, ``ctr``, ``podman`` or ``skopeo``.
    engine: str
    #: Where it keeps images: ``classic`` or ``containerd`` for Docker, ``overlay`` or ``vfs`` for podman.
    store: Optional[str]
    #: The version whose behaviour is predicted.
    version: str
    #: The options that it is started with.
    options: Optional[str]
    #: ``loads``, ``loads-with-base``, ``loads-broken``, ``refuses``, ``makes-nothing`` or ``unknown``.
    verdict: str
    #: Why, where it does not simply load.
    reason: Optional[str]
    #: Everything that the program says of it.
    raw: Mapping[str, Any] = field(repr=False, compare=False)


@dataclass(frozen=True)
class Verification:
    """Whether an archive is what it claims to be. True if it is."""

    #: The path as it was given.
    path: str
    #: Whether nothing fails it.
    ok: bool
    #: What fails it, such as ``error: diff-id-mismatch``; empty if ``ok``.
    failed: List[str]
    #: The verdict in words, and what it rests on.
    summary: str
    #: The digest of the file itself, if it was asked for.
    sha256: Optional[str]
    #: All problems, errors first.
    problems: List[Problem]
    #: What engines would make of it; empty if that is not known.
    verdicts: List[Verdict]
    #: The same as the program's JSON has it.
    raw: Mapping[str, Any] = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True)
class Flattened:
    """A rootfs tar that was written."""

    #: How many entries it has.
    entries: int
    #: How many bytes it has.
    bytes: int
    #: What engines would show in another way, in words.
    warnings: List[str]


@dataclass(frozen=True)
class Written:
    """An archive that was written."""

    #: Where.
    path: str
    #: ``docker``, ``docker-legacy`` or ``oci``.
    layout: str
    #: How many bytes it has.
    bytes: int
    #: Its images: ``id``, ``containerd_id``, ``manifest``, ``manifest_before``, ``references``, ``platform``.
    images: List[Dict[str, Any]]
    #: What was left out or changed, in words.
    changes: List[str]
    #: The same as the program's JSON has it.
    raw: Mapping[str, Any] = field(repr=False, compare=False)


def _text(value: Any) -> Optional[str]:
    """A name in JSON, which is an object where it is not UTF-8."""
    if isinstance(value, dict):
        import base64

        return os.fsdecode(base64.b64decode(value["bytes"]))
    return None if value is None else str(value)


def _written(text: str) -> Written:
    raw = json.loads(text)
    head = raw["archive"]
    return Written(head["path"], head["layout"], head["bytes"], raw["images"], raw["changes"], raw)


def _verification(text: str) -> Verification:
    raw = json.loads(text)
    problems = [Problem(row["code"], row["severity"], row["message"], row) for row in raw["problems"]]
    verdicts = [
        Verdict(row["engine"], row["store"], row["version"], row["options"], row["verdict"], row["reason"], row)
        for row in raw["loaders"] or []
    ]
    return Verification(
        raw["path"], raw["ok"], raw["failed"], raw["summary"], raw["sha256"], problems, verdicts, raw
    )


class _File(io.RawIOBase):
    """The bytes of a file, without a buffer."""

    def __init__(self, native: _imgtar.File, name: str) -> None:
        super().__init__()
        self._native = native
        self._at = 0
        self.name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._native.size}
        if whence not in base:
            raise ValueError(f"whence is {whence}, not 0, 1 or 2")
        at = base[whence] + offset
        if at < 0:
            raise ValueError(f"{at} is before the beginning of the file")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        data = self._native.read_at(self._at, len(room))
        room[: len(data)] = data
        self._at += len(data)
        return len(data)


class Image:
    """An image of an archive: ``archive.images`` has them. It keeps the file open."""

    def __init__(
        self,
        native: _imgtar.Archive,
        index: int,
        facts: Tuple[Optional[str], List[str], Optional[str], Optional[str]],
    ) -> None:
        # Not the Archive: each would keep the other, and the file would stay open until the next garbage collection.
        self._native = native
        #: Its place in the archive, counted from 0.
        self.index: int = index
        #: The image ID: the digest of its config. ``None`` if the config is missing and nothing tells its digest.
        self.id: Optional[str] = facts[0]
        #: What the archive calls it.
        self.names: List[str] = facts[1]
        #: ``os/architecture[/variant]``; ``None`` if the archive does not say.
        self.platform: Optional[str] = facts[2]
        #: When it was made.
        self.created: Optional[str] = facts[3]
        self._layers: Optional[List[Layer]] = None
        self._history: Optional[List[Step]] = None

    def __repr__(self) -> str:
        return f"<imgtar.Image {self.id} {' '.join(self.names)}>"

    @property
    def config(self) -> Optional[Dict[str, Any]]:
        """Its config; ``None`` if the archive does not hold it or it cannot be read. :attr:`raw_config` has its bytes."""
        raw = self.raw_config
        return None if raw is None else json.loads(raw)

    @property
    def raw_config(self) -> Optional[bytes]:
        """The exact bytes of its config."""
        return self._native.config(self.index)

    @property
    def layers(self) -> List[Layer]:
        """Its layers, base first. Their headers are read when this is first asked for; compressed ones are decoded."""
        if self._layers is None:
            rows = json.loads(self._native.layers(self.index))["images"][0]["layers"]
            names = [name for name in Layer.__dataclass_fields__ if name != "raw"]
            self._layers = [Layer(**{name: row[name] for name in names}, raw=row) for row in rows]
        return self._layers

    @property
    def history(self) -> List[Step]:
        """Its build steps, newest first, as ``docker history`` lists them."""
        if self._history is None:
            rows = json.loads(self._native.history(self.index))["images"][0]["history"]
            self._history = [Step(**{name: row[name] for name in Step.__dataclass_fields__}) for row in rows]
        return self._history

    def files(self, *, digests: bool = False, progress: Optional[Progress] = None) -> Iterator[Entry]:
        """The entries of the merged tree, one after the other: a directory before what is in it, names in the order
        of their bytes. Layers are merged when the first is asked for. No file is read, unless ``digests`` asks for the
        SHA-256 of regular files."""
        entries = self._native.entries(self.index, digests, progress)
        while True:
            batch = entries.next_batch()
            if not batch:
                return
            for raw in batch:
                yield _entry(raw)

    def read(self, path: StrPath, progress: Optional[Progress] = None) -> bytes:
        """The bytes of a regular file in the image; symbolic links are followed inside it.

        Raises :exc:`NotFoundError` if there is no such file.
        """
        return self._native.read(self.index, os.fsencode(path), progress)

    def open(self, path: StrPath, progress: Optional[Progress] = None) -> io.BufferedReader:
        """A regular file in the image as a file object that is read piece by piece and can seek.

        Raises :exc:`NotFoundError` if there is no such file.
        """
        native = self._native.file(self.index, os.fsencode(path), progress)
        return io.BufferedReader(_File(native, os.fspath(path)), 128 * 1024)

    def flatten(
        self,
        to: StrPath,
        *,
        force: bool = False,
        only: Sequence[StrPath] = (),
        verify: bool = True,
        progress: Optional[Progress] = None,
    ) -> Flattened:
        """Writes the merged tree as one rootfs tar, as ``docker export`` would, uncompressed.

        ``only`` keeps these paths, what is below them and the directories above them. Every layer is verified against
        its diff ID on the way unless ``verify`` is false. The file appears whole or not at all; ``force`` replaces one
        that is there.
        """
        paths = [os.fsencode(path) for path in only]
        return Flattened(*_imgtar.flatten(self._native, self.index, os.fspath(to), force, paths, verify, progress))

    def diff(
        self, new: "Image", *, semantic: bool = False, progress: Optional[Progress] = None
    ) -> Dict[str, Any]:
        """What differs between this image and a newer one, as ``imgtar diff --json`` has it. ``["same"]`` says whether
        nothing does; ``semantic`` ignores times, order and what builders record about themselves."""
        text = self._native.diff(self.index, new._native, new.index, semantic, progress)
        answer: Dict[str, Any] = json.loads(text)
        return answer

    def waste(
        self,
        *,
        max: Optional[int] = None,
        max_percent: Optional[float] = None,
        progress: Optional[Progress] = None,
    ) -> Dict[str, Any]:
        """The bytes that the image stores and nobody sees, as ``imgtar waste --json`` has it. ``max`` (in bytes) and
        ``max_percent`` are rules whose verdicts are in ``["rules"]``."""
        answer: Dict[str, Any] = json.loads(self._native.waste(self.index, max, max_percent, progress))
        return answer


class Archive:
    """An archive that was opened: :func:`open` makes one.

    It may be used by several threads at once. The file stays open as long as there is a reference to it or to one of
    its images.
    """

    def __init__(self, native: _imgtar.Archive, progress: Optional[Progress] = None) -> None:
        self._native = native
        head = json.loads(native.head())
        #: The path as it was given.
        self.path: str = head["path"]
        #: The layout that was recognised, such as ``docker-oci``.
        self.layout: str = head["layout"]
        #: The compression around all of it.
        self.compression: str = head["compression"]
        #: The size of the file in bytes.
        self.size: int = head["size"]
        #: Its images, in its order.
        self.images: List[Image] = [
            Image(native, index, facts) for index, facts in enumerate(native.images(progress))
        ]

    def __repr__(self) -> str:
        return f"<imgtar.Archive {self.path} with {len(self.images)} images>"

    def image(self, name: Optional[str] = None, platform: Optional[str] = None) -> Image:
        """The image that is meant: by a reference, an ID or a prefix of one, or ``@N``; without a name the only one. Of
        an image for several platforms it is this machine's, unless ``platform`` says which.

        Raises :exc:`NotFoundError` if there is none, and :exc:`UsageError` if several fit.
        """
        return self.images[self._native.pick(name, platform)]

    def facts(self, progress: Optional[Progress] = None) -> List[Dict[str, Any]]:
        """What ``imgtar images --json`` says of each image: with sizes and with IDs in containerd stores, for which
        layers are read."""
        images: List[Dict[str, Any]] = json.loads(self._native.facts(progress))["images"]
        return images

    def verify(
        self,
        *,
        strict: bool = False,
        loads: Sequence[str] = (),
        audit: bool = False,
        fail_on: Sequence[str] = (),
        digest: bool = False,
        progress: Optional[Progress] = None,
    ) -> Verification:
        """Recomputes everything that the archive claims, as :func:`verify` does."""
        text = self._native.verify(
            strict, list(loads), list(fail_on), audit, digest, progress
        )
        return _verification(text)

    def convert(
        self,
        to: StrPath,
        *,
        layout: str,
        compress: str = "keep",
        level: Optional[int] = None,
        platform: Optional[str] = None,
        force: bool = False,
        progress: Optional[Progress] = None,
    ) -> Written:
        """Writes the same images in another layout: ``docker``, ``docker-legacy`` or ``oci``.

        ``compress`` is ``keep``, ``none``, ``gzip`` or ``zstd``. Image IDs and diff IDs stay as they are. The file
        appears whole or not at all; ``force`` replaces one that is there.
        """
        return _written(
            _imgtar.convert(self._native, os.fspath(to), layout, compress, level, platform, force, progress)
        )

    def select(
        self,
        to: StrPath,
        images: Sequence[Union[Image, str]],
        *,
        present: bool = False,
        force: bool = False,
        progress: Optional[Progress] = None,
    ) -> Written:
        """Writes an archive that holds only these images, in the layout of this one. ``present`` names nothing that is
        not in the archive, such as platforms that were not saved."""
        chosen = [image if isinstance(image, Image) else self.image(image) for image in images]
        if any(image._native is not self._native for image in chosen):
            raise UsageError("an image is of another archive", archive=self.path)
        indexes = [image.index for image in chosen]
        return _written(_imgtar.select(self._native, os.fspath(to), indexes, present, force, progress))


def open(
    path: StrPath,
    *,
    jobs: Optional[int] = None,
    limits: Optional[Mapping[str, int]] = None,
    progress: Optional[Progress] = None,
) -> Archive:
    """Opens an archive and reads what it says of its images. One that is compressed as a whole is decompressed into a
    temporary file without a name.

    ``jobs`` is how many threads work on it at once: one for each core by default. ``limits`` raises or lowers how much
    it may use, by the names of ``docs/security.md``, such as ``{"expanded": 1 << 36}``.

    Raises :exc:`InputError` if it is not an image archive or is damaged, and what Python raises for a file that cannot
    be opened.
    """
    native = _imgtar.Archive.open(os.fspath(path), jobs, None if limits is None else dict(limits), progress)
    return Archive(native, progress)


def verify(
    path: StrPath,
    *,
    strict: bool = False,
    loads: Sequence[str] = (),
    audit: bool = False,
    fail_on: Sequence[str] = (),
    digest: bool = False,
    jobs: Optional[int] = None,
    limits: Optional[Mapping[str, int]] = None,
    progress: Optional[Progress] = None,
) -> Verification:
    """Reads every byte of an archive, whole or damaged, recomputes what it claims, and predicts what engines make of it.

    ``strict`` counts warnings as errors, ``loads`` names engines that have to load it (``docker``, ``podman`` …),
    ``audit`` also looks for what to know before running the images, ``fail_on`` names what the audit must not find, and
    ``digest`` computes the digest of the file.

    A file that is not an archive is an answer too. Only what the system refuses is raised.
    """
    text = _imgtar.verify_path(
        os.fspath(path),
        strict,
        list(loads),
        list(fail_on),
        audit,
        digest,
        jobs,
        None if limits is None else dict(limits),
        progress,
    )
    return _verification(text)


def merge(
    archives: Sequence[Archive],
    to: StrPath,
    *,
    layout: str = "docker",
    force: bool = False,
    progress: Optional[Progress] = None,
) -> Written:
    """Writes several archives as one, in which every layer is stored once. Thin archives are merged by the program
    alone."""
    natives = [archive._native for archive in archives]
    return _written(_imgtar.merge(natives, os.fspath(to), layout, force, progress))
