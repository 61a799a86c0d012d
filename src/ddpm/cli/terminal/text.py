"""Prose in lines that fit a terminal."""

import unicodedata
from collections.abc import Iterator

WIDTH = 100


def wrapped(text: str, width: int = WIDTH) -> Iterator[str]:
    """Lines of at most `width` columns; a Hangul syllable takes two."""
    line, taken = "", 0
    for word in text.split():
        columns = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in word)
        if line and taken + 1 + columns > width:
            yield line
            line, taken = "", 0
        line, taken = (f"{line} {word}", taken + 1 + columns) if line else (word, columns)
    yield line
