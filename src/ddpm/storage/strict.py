"""JSON from anybody: bounded before it is parsed, and only what JSON allows.

Python's parser takes NaN, Infinity, 1e999 and the last of two equal names, and a few megabytes of brackets become gigabytes.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

BYTES = 2**26
VALUES = 5_000_000
DEPTH = 32
LARGEST = 2**64
"""Whole numbers are smaller than this, either way."""


def parse(data: bytes | bytearray, values: int = VALUES) -> Any:  # noqa: ANN401
    """What the text holds: at most `values` values in `DEPTH` levels.

    Raises:
        ValueError: it is no JSON, is too large or too deep, names a field twice, or holds a number that is none.
    """
    if len(data) > BYTES:
        raise ValueError(f"{len(data):,} bytes of JSON, more than {BYTES:,}")
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > values:
        raise ValueError(f"more than {values:,} values")
    try:
        found = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refused,
            parse_float=_finite,
            parse_int=_small,
        )
    except RecursionError:
        raise ValueError(f"more than {DEPTH} levels") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"no text in UTF-8 from byte {error.start:,} on") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON from character {error.pos:,} on") from error
    _check_depth(found)
    return found


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name[:80]!r} is there twice")
        found[name] = value
    return found


def _refused(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _small(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1 or abs(int(text)) >= LARGEST:
        raise ValueError(f"{text[:40]} is too large")
    return int(text)


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(DEPTH + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    raise ValueError(f"more than {DEPTH} levels")
