"""Where an image's bytes are, and what may be wrong with them."""

from dataclasses import dataclass

WHOLE, ROW = -1, -2


class Fault(Exception):
    """What is wrong with a file: its `kind` in a word, and a line that says more."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Span:
    """Where an image's bytes are: a file, or `length` bytes of one from `offset`; of length `ROW`, the row `offset` of a table."""

    path: str
    offset: int = 0
    length: int = WHOLE
