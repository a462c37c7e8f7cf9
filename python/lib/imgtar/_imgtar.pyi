"""The native half. What people use is in ``imgtar``; answers here are the JSON of the library's reports."""

from os import PathLike
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

_Path = Union[str, "PathLike[str]"]
_Progress = Optional[Callable[[str, int, Optional[int]], object]]
_Entry = Tuple[
    bytes,
    str,
    Tuple[int, int, int],
    int,
    Tuple[int, int],
    Optional[bytes],
    int,
    int,
    Optional[Tuple[int, int]],
    Dict[bytes, bytes],
    Optional[str],
]

VERSION: str

class Archive:
    @staticmethod
    def open(
        path: _Path,
        jobs: Optional[int] = None,
        limits: Optional[Dict[str, int]] = None,
        progress: _Progress = None,
    ) -> Archive: ...
    def head(self) -> str: ...
    def count(self) -> int: ...
    def pick(
        self, image: Optional[str] = None, wanted_platform: Optional[str] = None, progress: _Progress = None
    ) -> int: ...
    def images(
        self, progress: _Progress = None
    ) -> List[Tuple[Optional[str], List[str], Optional[str], Optional[str]]]: ...
    def facts(self, progress: _Progress = None) -> str: ...
    def layers(self, index: int, progress: _Progress = None) -> str: ...
    def history(self, index: int, progress: _Progress = None) -> str: ...
    def config(self, index: int) -> Optional[bytes]: ...
    def entries(self, index: int, digests: bool = False, progress: _Progress = None) -> Entries: ...
    def file(self, index: int, path: bytes, progress: _Progress = None) -> File: ...
    def read(self, index: int, path: bytes, progress: _Progress = None) -> bytes: ...
    def diff(
        self, index: int, other: Archive, other_index: int, semantic: bool = False, progress: _Progress = None
    ) -> str: ...
    def verify(
        self,
        strict: bool = False,
        loads: Sequence[str] = ...,
        fail_on: Sequence[str] = ...,
        audit: bool = False,
        digest: bool = False,
        progress: _Progress = None,
    ) -> str: ...
    def waste(
        self,
        index: int,
        max: Optional[int] = None,
        max_percent: Optional[float] = None,
        progress: _Progress = None,
    ) -> str: ...

class Entries:
    def next_batch(self) -> List[_Entry]: ...

class File:
    @property
    def size(self) -> int: ...
    def read_at(self, offset: int, len: int) -> bytes: ...

def verify_path(
    path: _Path,
    strict: bool = False,
    loads: Sequence[str] = ...,
    fail_on: Sequence[str] = ...,
    audit: bool = False,
    digest: bool = False,
    jobs: Optional[int] = None,
    limits: Optional[Dict[str, int]] = None,
    progress: _Progress = None,
) -> str: ...
def flatten(
    archive: Archive,
    index: int,
    to: _Path,
    force: bool = False,
    only: Sequence[bytes] = ...,
    verify: bool = True,
    progress: _Progress = None,
) -> Tuple[int, int, List[str]]: ...
def convert(
    archive: Archive,
    to: _Path,
    layout_name: str,
    compress: str = "keep",
    level: Optional[int] = None,
    wanted_platform: Optional[str] = None,
    force: bool = False,
    progress: _Progress = None,
) -> str: ...
def select(
    archive: Archive,
    to: _Path,
    indexes: Sequence[int],
    present: bool = False,
    force: bool = False,
    progress: _Progress = None,
) -> str: ...
def merge(
    archives: Sequence[Archive],
    to: _Path,
    layout_name: str = "docker",
    force: bool = False,
    progress: _Progress = None,
) -> str: ...
def run_program(arguments: Sequence[str]) -> None: ...
