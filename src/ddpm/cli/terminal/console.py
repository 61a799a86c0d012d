"""How the command line speaks: results on standard output, progress and warnings on standard error."""

import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

from ddpm.cli.terminal.speech import said
from ddpm.errors import Ending
from ddpm.experiment.duration import in_words
from ddpm.parallel.launch import number

Item = TypeVar("Item")
QUIET_SECONDS = 15.0
YES = ("y", "yes", "예", "네")
ARGUMENT = re.compile(r"`(?P<name>[a-z_]+(\.[a-z_]+)?)(=(?P<value>[^`]*))?`")
"""As messages name it: see `ddpm.errors`."""


class Results:
    """Where results go: to standard output, unless `--json -` keeps that for JSON. Set once as a command begins."""

    def __init__(self) -> None:
        self._beside = False

    def begin(self, json_name: str | None) -> None:
        """A command begins whose flag --json is this."""
        self._beside = json_name == TERMINAL

    def write(self, text: str) -> None:
        """Lines, at once; what is no letter, as a name may hold, is shown as an escape."""
        _print(text, sys.stderr if self._beside else sys.stdout)


RESULTS = Results()
TERMINAL = "-"
"""As the name of a file to write JSON to: standard output."""


def say(text: str) -> None:
    """A message of the result, in the language of the command; on standard error with `--json -`, which keeps standard output."""
    show(said(text))


def show(text: str) -> None:
    """A finished line of the result, as it is: names of the user, tables, and what is in the language already."""
    if not number():
        RESULTS.write(text)


def note(text: str) -> None:
    """A message beside the result, as `complain` shows it; of several processes only the first one speaks."""
    remark(said(text))


def remark(text: str) -> None:
    """A finished line beside the result, as it is."""
    if not number():
        _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    print("\n".join(map(_plain, text.split("\n"))), file=stream, flush=True)


def complain(error: Ending) -> None:
    """One line, and at most three hints; control characters, as a file's name may hold, are shown as escapes."""
    print(_plain(as_flags(said(f"ddpm: error: {error}"))), file=sys.stderr)
    for hint in error.hints:
        print(_plain(as_flags(said(f"hint: {hint}"))), file=sys.stderr)
    sys.stderr.flush()


def as_flags(text: str) -> str:
    """What stands in backquotes, an argument or a setting of Python, as it is typed: `batch_size` is --batch-size."""

    def typed(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        if "." in name:
            return f"--set {name}={value or '...'}"
        return " ".join(part for part in (f"--{name.replace('_', '-')}", value) if part)

    return ARGUMENT.sub(typed, text)


def question(text: str) -> bool:
    """Ask on the terminal; whether the answer is yes."""
    print(f"{_plain(said(f'ddpm: {text}'))} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in YES


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def warn_in_one_line() -> None:
    """Each warning once, as `ddpm: warning: ...`, without the place in the code. Called before a command begins."""
    told: set[str] = set()

    def show(message: Warning | str, *_rest: object, **_more: object) -> None:
        text = _plain(str(message))
        if text not in told:
            told.add(text)
            note(f"ddpm: warning: {text}")

    warnings.showwarning = show


class Bar:
    """Progress: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, total: int | None, label: str, done: int = 0) -> None:
        self._total, self._label, self._done, self._text = total, said(label), done, ""
        self._until: float | None = None
        self._bar: Any = None
        self._spoke = self._began = time.monotonic()
        self._first = done
        if sys.stderr.isatty() and not number():
            from tqdm import tqdm

            self._bar = tqdm(total=total, initial=done, desc=self._label, dynamic_ncols=True, leave=False)

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoke > QUIET_SECONDS:
            self._spoke = time.monotonic()
            of = f"/{self._total:,}   {said(f'{in_words(self._left(self._total))} to go')}" if self._total else ""
            remark(f"{self._label}: {self._done:,}{of}   {self._text}".rstrip())

    def _left(self, total: int) -> float:
        """Seconds until the end, as things went so far."""
        if self._until is not None:
            return max(self._until - self._spoke, 0)
        return (total - self._done) * (self._spoke - self._began) / max(self._done - self._first, 1)

    def expect(self, total: int, until: float | None) -> None:
        """About so much is to be done in all; it ends at `until` on the clock of time.monotonic, if that is known."""
        self._total, self._until = total, until
        if self._bar is not None:
            self._bar.total = total

    def show(self, text: str) -> None:
        """The latest numbers, beside the bar."""
        self._text = said(text)
        if self._bar is not None:
            self._bar.set_postfix_str(self._text)

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


def track(items: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """The items, with progress."""
    bar = Bar(total, label)
    try:
        for item in items:
            yield item
            bar.advance()
    finally:
        bar.close()
