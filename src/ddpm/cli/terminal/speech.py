"""In which language a command speaks. Messages are English where they arise, and Korean, if they have to be, where they are said."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files

from ddpm.catalogue import Catalogue
from ddpm.language import machine_language

ROOMS = ("help", "terminal", "data", "runs", "models", "interop", "parts")
"""Files of the catalogue: by where messages arise; `parts` are what stands in the gaps of others."""
FLAG = "--language"
PREFIXES = ("ddpm: error:", "ddpm: warning:", "hint:", "ddpm:")
"""What messages begin with; Korean on its own."""


def asked(arguments: Sequence[str]) -> str:
    """The language that is typed, before it is known whether the rest makes sense; else that of the machine."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    given = [after if word == FLAG else word.removeprefix(f"{FLAG}=") for word, after in pairs if _named(word)]
    return given[-1] if given and given[-1] in ("en", "ko") else machine_language()


def _named(word: str) -> bool:
    return word == FLAG or word.startswith(f"{FLAG}=")


def entries() -> Mapping[str, Mapping[str, str]]:
    """Each room's entries, from English to Korean."""
    folder = files("ddpm.cli") / "korean"
    return {room: json.loads((folder / f"{room}.json").read_text(encoding="utf-8")) for room in ROOMS}


@cache
def catalogue() -> Catalogue:
    """All rooms in one; read where something is to be Korean."""
    return Catalogue({english: korean for room in entries().values() for english, korean in room.items()})


class Speech:
    """The language of the command that runs. Set once as it begins; English until then."""

    def __init__(self) -> None:
        self._korean = False

    def begin(self, language: str) -> None:
        """A command begins, in "en" or "ko". Where the terminal has no Hangul, it speaks English all the same."""
        self._korean = language == "ko" and all(map(_has_hangul, (sys.stdout, sys.stderr)))

    @property
    def korean(self) -> bool:
        """Whether it is Korean."""
        return self._korean

    def said(self, text: str) -> str:
        """A message in this language; of several lines each, unless they are one message. What has no entry stays English."""
        if not self._korean:
            return text
        korean = catalogue()
        prefix = next(filter(text.startswith, PREFIXES), "")
        if prefix:
            return f"{korean.in_korean(prefix)} {self.said(text[len(prefix) :].lstrip())}"
        return korean.find(text) or "\n".join(map(korean.in_korean, text.split("\n")))


def in_language(text: str, language: str) -> str:
    """A message of a command in a language: what a page says, which does not depend on the terminal."""
    return catalogue().in_korean(text) if language == "ko" else text


def _has_hangul(stream: object) -> bool:
    try:
        "가".encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


SPEECH = Speech()
said = SPEECH.said
