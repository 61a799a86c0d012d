"""How the command line speaks: results on standard output, progress and warnings on standard error."""

import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ddpm.errors import CannotCreate, Failure, UsageError
from ddpm.parallel.launch import number

Item = TypeVar("Item")
QUIET_SECONDS = 15.0
_OUTPUT = {"is for JSON": False}


def say(text: str) -> None:
    """A line of the result; on standard error where standard output is kept for JSON (`--json -`)."""
    if number():
        return
    print(text, file=sys.stderr if _OUTPUT["is for JSON"] else sys.stdout, flush=True)


def note(text: str) -> None:
    """A line beside the result, as `complain` shows it; of several processes only the first one speaks."""
    if number():
        return
    print("\n".join(map(_plain, text.split("\n"))), file=sys.stderr, flush=True)


def complain(error: Failure) -> None:
    """One line, and at most three hints; control characters, as a file's name may hold, are shown as escapes."""
    print(f"ddpm: error: {_plain(str(error))}", file=sys.stderr)
    for hint in error.hints:
        print(f"hint: {_plain(hint)}", file=sys.stderr)
    sys.stderr.flush()


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def warn_in_one_line() -> None:
    """Each warning once, as `ddpm: warning: ...`, without the place in the code. Called as a command begins."""
    _OUTPUT["is for JSON"] = False
    said: set[str] = set()

    def show(message: Warning | str, *_rest: object, **_more: object) -> None:
        text = _plain(str(message))
        if text not in said:
            said.add(text)
            note(f"ddpm: warning: {text}")

    warnings.showwarning = show


class Bar:
    """Progress: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, total: int, label: str, done: int = 0) -> None:
        self._total, self._label, self._done, self._text = total, label, done, ""
        self._bar: Any = None
        self._spoke = self._began = time.monotonic()
        self._first = done
        if sys.stderr.isatty() and not number():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=label, dynamic_ncols=True, leave=False)

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoke > QUIET_SECONDS:
            self._spoke = time.monotonic()
            left = (self._total - self._done) * (self._spoke - self._began) / max(self._done - self._first, 1)
            note(f"{self._label}: {self._done:,}/{self._total:,}   {_duration(left)} to go   {self._text}".rstrip())

    def show(self, text: str) -> None:
        """The latest numbers, beside the bar."""
        self._text = text
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def say(self, text: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.clear()
        note(text)
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()


def _duration(seconds: float) -> str:
    """About how long, in the unit that suits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def track(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """The items, with progress."""
    bar = Bar(total, label)
    try:
        for item in items:
            yield item
            bar.advance()
    finally:
        bar.close()


def existing_folder(path: Path) -> None:
    """Make a folder, if it is not there.

    Raises:
        CannotCreate: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if path.is_file() else error.strerror
        raise CannotCreate(f"cannot create {str(path)!r}: {why}") from error


def fresh_folder(name: str, rows: range = range(1)) -> Path:
    """A folder to write images of these numbers to: without any, or, if they are not the first, without these.

    Raises:
        CannotCreate: it holds images already, or cannot be made.
    """
    path = Path(name).expanduser()
    existing_folder(path)
    there = {file.name for file in path.glob("[0-9]*.png")}
    if there and (rows.start == 0 or there & {f"{row:06d}.png" for row in rows}):
        raise CannotCreate(f"there are images in {name!r} already", "give another --output-dir, or empty this one")
    return path


def file_for(name: str | None, *suffixes: str) -> Path | None:
    """A file to write, if one was asked for; nothing is made yet.

    Raises:
        UsageError: the name is empty, or has none of the suffixes.
        CannotCreate: it is a folder, or would lie in a file or in a folder that cannot be written to.
    """
    if name is None:
        return None
    if not name:
        raise UsageError(f"the name of a file to write is empty: {name!r}")
    path = Path(name).expanduser()
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"the file must end in {' or '.join(suffixes)}: {name!r}")
    if path.is_dir():
        raise CannotCreate(f"{name!r} is a folder, not a file to write")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "is read-only" if above.is_dir() else "is a file"
        raise CannotCreate(f"cannot write {name!r}: {str(above)!r} {why}")
    return path


class JsonTarget:
    """Where `--json` goes: a file, standard output (-), or nowhere; checked before any work is done."""

    def __init__(self, name: str | None) -> None:
        self._to_terminal = name == "-"
        _OUTPUT["is for JSON"] |= self._to_terminal
        self._path = None if self._to_terminal else file_for(name)

    def write(self, values: Mapping[str, Any]) -> None:
        """Write the values."""
        from ddpm.storage.atomic import to_strict_json, write_json

        if self._to_terminal:
            if not number():
                print(to_strict_json(values), flush=True)
        elif self._path:
            write_json(self._path, values)
            say(f"json: {self._path}")
