"""Where the bytes of an image are (`Span`), and what can be wrong with them (`Fault`).

There are three kinds of span. A request to read an image holds the fields of one, by which its kind is known.
"""

from dataclasses import dataclass


class Fault(Exception):
    """What is wrong with a file: its `kind` in a word, and a line that says more."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class WholeFile:
    """The image is a file of its own."""

    path: str


@dataclass(frozen=True)
class FilePart:
    """The image is `length` bytes of a file, from byte `offset` on: a member of a tar archive."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True)
class TableRow:
    """The image is in a row of a Parquet file, counted from 0."""

    path: str
    row: int


Span = WholeFile | FilePart | TableRow
