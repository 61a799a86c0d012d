"""Finished English in Korean: a catalogue of templates, and the search for the one that a text was made from.

English templates have gaps: {n} is a number and {name} anything, which stay as they are; {words} is other text of the catalogue,
{any} such text or somebody else's, {list} several of these and names, {more} such text or nothing; {is} is grammar of English.
In the Korean {0}, {1} stand for what was in them, without {is}; a particle may be written in both forms (`ddpm.korean`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from ddpm.korean import settled

GAP = re.compile(r"(\{(?:n|name|words|any|list|more|is)\})")
NUMBER = re.compile(r"[-−+]?(?:\d(?:[\d.,]*\d)?(?:e[-+]?\d+)?|inf|nan)")
GRAMMAR = frozenset(("", "is", "are", "it", "them", "s", "channel", "channels"))
JOINTS: Mapping[str, str] = {", or ": " 또는 ", ", ": ", ", "; ": "; ", " and ": "와(과) ", " or ": " 또는 "}
"""What stands between the parts of a {list}."""
_JOINT = re.compile("(" + "|".join(map(re.escape, JOINTS)) + ")")
_PLACE = re.compile(r"\{(\d+)\}")


class Catalogue:
    """Templates and what they are in Korean.

    Args:
        entries: from English to Korean.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._whole = {english: settled(korean) for english, korean in entries.items() if not GAP.search(english)}
        with_gaps = [(_parts(english), korean) for english, korean in entries.items() if GAP.search(english)]
        self._templates = sorted(with_gaps, key=lambda entry: -_weight(entry[0]))
        self._known: dict[str, str | None] = {}

    def find(self, text: str) -> str | None:
        """The text in Korean, with the spaces around it; None if no template makes it."""
        if text not in self._known:
            bare = text.strip(" ")
            found = self._whole.get(bare) or (self._filled(bare) if bare else None)
            begin = len(text) - len(text.lstrip(" "))
            self._known[text] = found and text[:begin] + found + text[begin + len(bare) :]
        return self._known[text]

    def in_korean(self, text: str) -> str:
        """The text in Korean; what no template makes (symbols, names, numbers) as it is."""
        return self.find(text) or text

    def _filled(self, text: str) -> str | None:
        """By the template with the most text of its own that makes it."""
        for parts, korean in self._templates:
            if all(literal in text for literal in _literals(parts)):
                for values in self._fillings(parts, text):
                    return settled(_PLACE.sub(lambda place, given=values: given[int(place[1])], korean))
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
        found: str | None = text or None
        match gap:
            case "{n}":
                found = text if NUMBER.fullmatch(text) else None
            case "{is}":
                found = text if text in GRAMMAR else None
            case "{more}":
                found = self.find(text.strip(" ")) if text else ""
            case "{words}":
                found = self.find(text)
            case "{any}":
                found = found and self.in_korean(text)
            case "{list}":
                each = (JOINTS.get(part) or self._listed(part) for part in _JOINT.split(text))
                found = found and (self.find(text) or "".join(each))
            case _:
                found = None if _cut_in_quotes(text) else found
        return found

    def _listed(self, part: str) -> str:
        """One of a list in Korean; a single word is a name, which stays."""
        return self.in_korean(part) if " " in part else part


def _cut_in_quotes(text: str) -> bool:
    """Whether a quoted name ends elsewhere: 'a: b.png' is one."""
    return text[:1] in ("'", '"') and not (len(text) > 1 and text.endswith(text[0]))


def _weight(parts: Sequence[str]) -> int:
    """How much a template says of the texts that it makes: their own words, and gaps that only texts of ours fill."""
    return sum(map(len, _literals(parts))) + 8 * parts.count("{words}")


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
