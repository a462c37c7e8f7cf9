"""The exceptions of imgtar."""

from __future__ import annotations

from typing import Any, Optional


class Error(Exception):
    """Something could not be done.

    What does not apply is ``None``, so every field can be asked for on every error.
    """

    #: ``usage``, ``input``, ``environment`` or ``stopped``: whose fault it is.
    kind: str = "input"
    #: The path of the archive.
    archive: Optional[str] = None
    #: The member of the archive, the layer or the file in the image that it is about, for people.
    member: Optional[str] = None
    #: The index of the layer, counted from 0, base first.
    layer: Optional[int] = None
    #: Where it is, in bytes: of the archive, or of the layer if ``layer`` or ``member`` says so.
    offset: Optional[int] = None
    #: What the archive claims.
    claimed: Optional[str] = None
    #: What its bytes give.
    computed: Optional[str] = None
    #: What to do about it, in the words of the program; several lines if there are several hints.
    hint: Optional[str] = None

    def __init__(self, message: str = "", **fields: Any) -> None:
        super().__init__(message)
        self.__dict__.update(fields)


class UsageError(Error, ValueError):
    """The caller asked for something that cannot be meant, such as one of several images without saying which."""

    kind = "usage"


class InputError(Error):
    """The archive is invalid, damaged or unsupported."""

    kind = "input"


class NotFoundError(InputError, LookupError):
    """The archive does not hold what was asked for: no such image, or no such file in it."""


class IoError(Error, OSError):
    """The system failed: a file, a permission, a disk.

    Each is also what Python itself would raise, such as ``FileNotFoundError``.
    """

    kind = "environment"

    def __init__(self, number: int, message: str, path: Optional[str] = None, **fields: Any) -> None:
        OSError.__init__(self, number, message, path)
        self.__dict__.update(fields)

    def __reduce__(self) -> Any:
        return _io_error, (self.errno, self.strerror, self.filename, dict(self.__dict__))


class StoppedError(Error):
    """The archive was being read on several threads, and a signal has ended the work of another one."""

    kind = "stopped"


_io_classes: dict[type, type] = {OSError: IoError}


def _io_error(number: int, message: str, path: Optional[str], fields: dict[str, Any]) -> IoError:
    base = type(OSError(number, message))
    if base not in _io_classes:
        _io_classes[base] = type(base.__name__, (IoError, base), {"__module__": __name__})
    error: IoError = _io_classes[base](number, message, path, **fields)
    return error


_CLASSES = {
    "usage": UsageError,
    "input": InputError,
    "absent": NotFoundError,
    "environment": Error,
    "stopped": StoppedError,
}


def _make(what: str, message: str, number: Optional[int], path: Optional[str], fields: dict[str, Any]) -> Error:
    """What the native half raises."""
    if what == "environment" and number is not None:
        return _io_error(number, message, path, fields)
    error = _CLASSES[what](message, **fields)
    if what == "environment":
        error.kind = what
    return error
