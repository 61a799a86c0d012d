"""Prose in lines that fit a terminal."""

import unicodedata
from collections.abc import Iterator

WIDTH = 100


def wrapped(text: str, width: int = WIDTH) -> Iterator[str]:
    """Lines of at most `width` columns; a Hangul syllable takes two."""
    line, taken = "", 0
    for word in text.split():
        wide = columns(word)
        if line and taken + 1 + wide > width:
            yield line
            line, taken = "", 0
        line, taken = (f"{line} {word}", taken + 1 + wide) if line else (word, wide)
    yield line


def left(text: str, width: int) -> str:
    """The text at the left end of so many columns."""
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """The text at the right end of so many columns."""
    return " " * (width - columns(text)) + text


def columns(text: str) -> int:
    """How many columns a text takes: a Hangul syllable two, the tilde of a beta-tilde none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
