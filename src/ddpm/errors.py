"""What can go wrong, in words for a user: one line, at most three hints, and the exit code of the command line.

Below the command line a message knows no flags. It names an argument or a setting in backquotes, as Python has it:
`batch_size`, `device=cpu`, `training.accumulate=2`. A command shows these as its flags (`cli.terminal.console.as_flags`).
"""

import difflib
import errno
import inspect
import os
import shlex
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

LINE = 160
"""Characters of what another library says."""


class Ending(BaseException):
    """Why work ended without a result: a `Failure`, or Ctrl-C. `str` is the line, `hints` what to do, `code` the exit code.

    It is the base of both because Ctrl-C is no `Exception`: ``except Exception`` in a script must not swallow it.
    """

    code: ClassVar[int] = 70

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.hints = tuple(hint for hint in hints if hint)[:3]
        for hint in self.hints:  # below the line in a traceback
            self.add_note(hint)


class Failure(Ending, Exception):
    """A failure with an explanation. `str` is the line, `hints` what to do; `code` is the command's exit code."""


class RunWarning(UserWarning):
    """What a training, or a trained model, has to say: what was passed over, and what may have changed."""


def warn(text: str, kind: type[Warning]) -> None:
    """Warn as from the line outside of this package that called into it: who reads it knows that line, and is told once."""
    place = frame = inspect.currentframe()
    house = __name__.partition(".")[0]
    while frame:
        if frame.f_globals.get("__name__", "").partition(".")[0] == house:
            place = frame.f_back or frame
        frame = frame.f_back
    assert place
    said = place.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(text, kind, place.f_code.co_filename, place.f_lineno, place.f_globals.get("__name__"), said)


class UsageError(Failure):
    """A wrong flag or value; nothing was touched."""

    code = 2


class DataError(Failure):
    """Corrupt input: an image, a data set, a checkpoint."""

    code = 65


class NotFound(Failure):
    """No such input, an empty data set, no checkpoint."""

    code = 66


class Unavailable(Failure):
    """A process or a device was lost."""

    code = 69


class PeerLost(Failure):
    """Another process of the run is gone; the last checkpoint stands."""

    code = 69


class OutOfResources(Failure):
    """Out of memory, file descriptors or processes."""

    code = 71


class CannotCreate(Failure):
    """The output exists, is read-only or belongs to another run."""

    code = 73


class StorageError(Failure):
    """The disk is full or failed; the last checkpoint stands."""

    code = 74


class Stopped(Failure):
    """SIGTERM or SIGHUP: the state is saved, the same command goes on."""

    code = 75


class Mismatch(Failure):
    """Configuration, code or data do not fit the checkpoint."""

    code = 78


class Diverged(Failure):
    """The loss, or what a network gives, is not finite; of a training the last finite checkpoint stands."""

    code = 80


def not_finite(t: int) -> Diverged:
    """Why there is no image, and no bound: in the step from t the network gives what is infinite or no number."""
    return Diverged(f"in the step from t = {t} the network gives numbers that are not finite, or far too large")


class Interrupted(Ending, KeyboardInterrupt):
    """Ctrl-C."""

    code = 130


BY_ERRNO: Mapping[int, type[Failure]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG), StorageError),
    **dict.fromkeys((errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN), OutOfResources),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG), CannotCreate
    ),
    errno.ENOENT: NotFound,
}
LESS_MEMORY = "a smaller `batch_size`, or `training.accumulate=2`"
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")


def explained(error: BaseException, output: str = "output", memory: str = LESS_MEMORY) -> Ending | None:
    """The failure, or Ctrl-C, that an exception stands for, or None if it is our bug.

    Args:
        error: what was raised.
        output: what was written to, if the error names no file.
        memory: what to do where there was not enough of it.
    """
    if isinstance(error, Ending):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY):
        return OutOfResources(f"out of memory: {error}", memory)
    if isinstance(error, OSError) and (kind := BY_ERRNO.get(error.errno or 0)):
        return kind(f"{error.strerror}: {error.filename or output}")
    return None


def quoted(name: str) -> str:
    """A name as it is typed into a shell: in quotes where it needs them, what cannot be typed by the numbers of its bytes."""
    if name.isprintable():
        return shlex.quote(name)
    letters = (c if c.isprintable() and c not in "'\\" else _numbers(c) for c in name)
    return f"$'{''.join(letters)}'"


def _numbers(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def in_a_line(error: BaseException) -> str:
    """The first line of what another library says, cut where it is long; its kind, where it says nothing."""
    return next(iter(str(error).splitlines()), "")[:LINE] or type(error).__name__


def in_json(ending: Ending) -> dict[str, Any]:
    """Why this process ends, as it is told to another one, which knows the kinds of this file."""
    kind = next(kind.__name__ for kind in type(ending).__mro__ if kind.__name__ in _kinds())
    return {"kind": kind, "message": str(ending), "hints": list(ending.hints)}


def ending_of(told: Mapping[str, Any]) -> Ending:
    """Why another process ended, which told it by `in_json`."""
    return _kinds()[told["kind"]](told["message"], *told["hints"])


def _kinds() -> dict[str, type[Ending]]:
    """By name."""
    return {kind.__name__: kind for kind in (Failure, Interrupted, *Failure.__subclasses__())}


Value = TypeVar("Value")
SHOWN = 80
"""Characters of a value that a message shows: anybody may have written it."""


def chosen(choices: Mapping[str, Value], name: str, what: str, *others: str) -> Value:
    """``choices[name]``; `others` say what else could have been given.

    Raises:
        UsageError: there is no such choice; the hint names the nearest ones, or all of a few.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"{what} is a name, not {type(name).__name__}", f"choose from {', '.join([*choices, *others])}"
        )
    if name in choices:
        return choices[name]
    near = difflib.get_close_matches(name.lower(), [*choices, *others], n=1)
    hints = [f"did you mean {near[0]!r}?"] if near else []
    raise UsageError(f"unknown {what}: {name[:SHOWN]!r}", *hints, f"choose from {', '.join([*choices, *others])}")
