"""Finished English in Korean: a catalogue of templates, and the search for the one that a text was made from.

English templates have gaps: {n} is a number and {name} anything, which stay as they are; {words} is other text of the catalogue,
{any} such text or somebody else's, {list} several of these with commas, {either} several of these or of words of the code, with
"and" or "or"; {more} such text or nothing; {is} is grammar of English. A name that a user gave never goes into {either}.
In the Korean {0}, {1} stand for what was in them, without {is}; a particle may be written in both forms (`ddpm.korean`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from threading import Lock

from ddpm.korean import settled

GAP = re.compile(r"(\{(?:n|name|words|any|list|either|more|is)\})")
NUMBER = re.compile(r"[-−+]?(?:\d(?:[\d.,]*\d)?(?:e[-+]?\d+)?|inf|nan)")
GRAMMAR = frozenset(("", "is", "are", "it", "them", "s", "channel", "channels"))
KNOWN = 4096
"""So many texts are remembered."""
TRIES = 4096
"""So many fillings are tried for one text; no message needs a tenth of them, and no text takes long."""
DEEP = 8
"""So many templates may fill each other's gaps."""
JOINTS: Mapping[str, str] = {", or ": " 또는 ", ", ": ", ", "; ": "; ", " and ": "와(과) ", " or ": " 또는 "}
"""What stands between the parts of {either}; of a {list}, only what is the same in Korean."""
_WORD = re.compile("[A-Za-z]+")
_QUOTED = r"""'[^']*'|"[^"]*"|`[^`]*`"""
_OF_CODE = re.compile(rf"{_QUOTED}|\S+")
_PARTS = re.compile(rf"({_QUOTED})|(, or | and | or |, |; )")
_PLACE = re.compile(r"\{(\d+)\}")


class Catalogue:
    """Templates and what they are in Korean.

    Args:
        entries: from English to Korean.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._whole = {english: settled(korean) for english, korean in entries.items() if not GAP.search(english)}
        with_gaps = [(_parts(english), korean) for english, korean in entries.items() if GAP.search(english)]
        self._templates = sorted(with_gaps, key=lambda entry: _weight(entry[0]), reverse=True)
        self._by_word = _by_word([parts for parts, _ in self._templates])
        self._remembered = lru_cache(KNOWN)(self._search)
        self._lock = Lock()
        self._left = self._depth = 0
        self._parts: dict[str, str | None] = {}

    def find(self, text: str) -> str | None:
        """The text in Korean, with the spaces around it; None if no template makes it."""
        return self._remembered(text)

    def _search(self, text: str) -> str | None:
        with self._lock:
            self._left, self._depth, self._parts = TRIES, 0, {}
            try:
                return self._found(text)
            except _TooMany:
                return None

    def _found(self, text: str) -> str | None:
        """As `find`, of a text or of what fills a gap of it."""
        if text not in self._parts and self._depth < DEEP:
            bare = text.strip(" ")
            begin = len(text) - len(text.lstrip(" "))
            self._depth += 1
            found = self._whole.get(bare) or (self._filled(bare) if bare else None)
            self._depth -= 1
            self._parts[text] = found and text[:begin] + found + text[begin + len(bare) :]
        return self._parts.get(text)

    def in_korean(self, text: str) -> str:
        """The text in Korean; what no template makes (symbols, names, numbers) as it is."""
        return self.find(text) or text

    def _filled(self, text: str) -> str | None:
        """By the template with the most text of its own that makes it."""
        words = {"", *_WORD.findall(text)}
        for number in sorted(number for word in words for number in self._by_word.get(word, ())):
            parts, korean = self._templates[number]
            if all(literal in text for literal in _literals(parts)):
                for values in self._fillings(parts, text):
                    return _with_values(korean, values)
        return None

    def _fillings(self, parts: Sequence[str], text: str) -> Iterator[tuple[str, ...]]:
        """What can stand in the gaps, in Korean; of a gap before another one, the shortest first."""
        if not parts:
            if not text:
                yield ()
            return
        part, rest = parts[0], parts[1:]
        if not GAP.fullmatch(part):
            if text.startswith(part):
                yield from self._fillings(rest, text[len(part) :])
            return
        for end in _ends(rest, text):
            value = self._value(part, text[:end])
            if value is not None:
                own = () if part == "{is}" else (value,)
                yield from ((*own, *others) for others in self._fillings(rest, text[end:]))

    def _value(self, gap: str, text: str) -> str | None:
        """What stands in a gap, in Korean; None if it cannot."""
        self._left -= 1
        if self._left < 0:
            raise _TooMany
        found: str | None = text or None
        match gap:
            case "{n}":
                found = text if NUMBER.fullmatch(text) else None
            case "{is}":
                found = text if text in GRAMMAR else None
            case "{more}":
                found = self._found(text.strip(" ")) if text else ""
            case "{words}":
                found = self._found(text)
            case "{any}":
                found = found and (self._found(text) or text)
            case "{list}" | "{either}":
                found = found and (self._found(text) or self._joined(text, either=gap == "{either}"))
            case _:
                found = None if _cut_in_quotes(text) else found
        return found

    def _joined(self, text: str, *, either: bool) -> str:
        """Several texts in Korean; as it is, if it is no list of such ones."""
        parts, joints = _split(text, [joint for joint in JOINTS if either or JOINTS[joint] == joint])
        korean = [(self._found(part) if " " in part else None) for part in parts]
        if either and not all(found or _OF_CODE.fullmatch(part) for found, part in zip(korean, parts, strict=True)):
            return text
        if any(one in (" and ", " or ") and after == ", " for one, after in pairwise(joints)):  # no English list
            return text
        made = korean[0] or parts[0]
        for joint, found, part in zip(joints, korean[1:], parts[1:], strict=True):
            made = settled(made + JOINTS[joint], len(made)) + (found or part)
        return made


class _TooMany(Exception):
    """A text is like a template in more ways than can be tried."""


def _split(text: str, joints: Sequence[str]) -> tuple[list[str], list[str]]:
    """The parts of a text and the joints between them; what is quoted is not looked into."""
    parts, found, begin = [], [], 0
    for match in _PARTS.finditer(text):
        if match[2] in joints:
            parts.append(text[begin : match.start()])
            found.append(match[2])
            begin = match.end()
    return [*parts, text[begin:]], found


def _with_values(korean: str, values: Sequence[str]) -> str:
    """The Korean with its gaps filled; of both forms of a particle only those of the template become one."""
    made = ""
    for at, part in enumerate(_PLACE.split(korean)):
        made = made + values[int(part)] if at % 2 else settled(made + part, len(made))
    return made


def _by_word(templates: Sequence[Sequence[str]]) -> Mapping[str, Sequence[int]]:
    """The numbers of the templates by the rarest word that every text of theirs has; "" for those without such a word."""
    words = [_own_words(parts) for parts in templates]
    often = Counter(word for each in words for word in each)
    found: dict[str, list[int]] = {}
    for number, each in enumerate(words):
        found.setdefault(min(each, key=lambda word: (often[word], word), default=""), []).append(number)
    return found


def _own_words(parts: Sequence[str]) -> set[str]:
    """Words of its literal text to which what fills a gap beside them cannot add letters."""
    return {
        match[0]
        for at, part in enumerate(parts)
        if not GAP.fullmatch(part)
        for match in _WORD.finditer(part)
        if (match.start() or not at) and (match.end() < len(part) or at == len(parts) - 1)
    }


def _cut_in_quotes(text: str) -> bool:
    """Whether a quoted name ends elsewhere: 'a: b.png' is one."""
    return text[:1] in ("'", '"') and not (len(text) > 1 and text.endswith(text[0]))


def _weight(parts: Sequence[str]) -> tuple[bool, bool, int]:
    """How much a template says of the texts that it makes: their own words, and gaps that only texts of ours fill.

    First come those that begin with a word, and last those that have none, such as {name}: {words}: a name in a text may look
    like another text of ours.
    """
    literals = _literals(parts)
    return (
        _WORD.match(parts[0]) is not None,
        any(map(_WORD.search, literals)),
        sum(map(len, literals)) + 8 * parts.count("{words}"),
    )


def _parts(english: str) -> tuple[str, ...]:
    """Literal text and gaps in turn."""
    return tuple(part for part in GAP.split(english) if part)


def _literals(parts: Sequence[str]) -> list[str]:
    return [part for part in parts if not GAP.fullmatch(part)]


def _ends(rest: Sequence[str], text: str) -> Iterator[int]:
    """Where a gap can end, when the rest of the template follows."""
    if not rest:
        yield len(text)
    elif GAP.fullmatch(rest[0]):
        yield from range(len(text) + 1)
    else:
        at = text.find(rest[0])
        while at >= 0:
            yield at
            at = text.find(rest[0], at + 1)
