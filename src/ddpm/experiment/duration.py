"""Spans of time as people type and read them: 30m is 1800 seconds, and 5400 seconds are "90 min"."""

import math
import re

from ddpm.errors import UsageError

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.ASCII)
_PLAIN = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.ASCII)
HINT = "such as 90 (seconds), 30m, 2h or 1h30m"


def seconds_of(span: float | str) -> float:
    """A number of seconds, or a text of numbers with units (s, m, h, d).

    Raises:
        UsageError: it is none, or not above 0.
    """
    value = _read(span.strip().lower()) if isinstance(span, str) else float(span)
    if not 0 < value < math.inf:
        raise UsageError(f"must be a time above 0: {span!r}", HINT)
    return value


def _read(text: str) -> float:
    """The seconds; NaN where the text says none."""
    if _PLAIN.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip() or any(unit not in UNITS for _, unit in parts):
        return math.nan
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def in_words(seconds: float) -> str:
    """About how long, in the unit that suits."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:,.0f} days"
