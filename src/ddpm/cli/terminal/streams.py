"""Standard output and error as a command writes to them: whatever becomes of them, the command goes on to its results.

Their encoding may lack letters, who reads them may have gone, the disk that they lead to may be full.
"""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from ddpm.errors import StorageError

SIGNS = {"±": "+-", "−": "-", "…": "...", "‖": "||", "≤": "<=", "≥": ">=", "≈": "~", "·": "*", "²": "^2", "³": "^3"}
"""Our own signs in ASCII. Other letters that an encoding lacks are shown as escapes."""
GONE = (errno.EPIPE, errno.ECONNRESET)
"""Nobody reads any more: that is the reader's choice, no failure."""


class Spoken:
    """A stream that a command may write to whatever becomes of it: it never raises. What it could not do is its `failure`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write it, with the letters that the stream has."""
        with self._survived():
            self._stream.write(readable(text, self._stream.encoding))
        return len(text)

    def flush(self) -> None:
        """What was written, at once."""
        with self._survived():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)

    @contextmanager
    def _survived(self) -> Iterator[None]:
        """Once the stream has failed, what it still holds and all that follows goes nowhere."""
        try:
            yield
        except OSError as error:
            terminal = error.errno == errno.EIO and self._stream.isatty()
            if self.failure is None and error.errno not in GONE and not terminal:
                self.failure = error
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)


def readable(text: str, encoding: str | None) -> str:
    """The text with what this encoding lacks replaced: our own signs by others, the rest by escapes."""
    if encoding is None or _fits(text, encoding):
        return text
    return "".join(_letter(letter, encoding) for letter in text)


def _letter(letter: str, encoding: str) -> str:
    if _fits(letter, encoding):
        return letter
    return SIGNS.get(letter) or letter.encode("ascii", "backslashreplace").decode()


def _fits(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def spoken() -> Iterator[None]:
    """Inside, the two streams are `Spoken`; one that was closed before the command began leads nowhere."""
    _keep_the_first_numbers()
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = (cast(TextIO, Spoken(cast(TextIO | None, stream) or nowhere)) for stream in before)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before


def require_told() -> None:
    """Called where all is written that a command was asked for, and said.

    Raises:
        StorageError: standard output could not be written.
    """
    sys.stdout.flush()
    failure = getattr(sys.stdout, "failure", None)
    if failure is not None:
        raise StorageError(
            f"cannot write to standard output: {failure.strerror or failure}", "what was written to files is whole"
        )


def _keep_the_first_numbers() -> None:
    """Numbers 0 to 2 are taken even where a stream was closed: a file of ours that got one would be written to by mistake."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
