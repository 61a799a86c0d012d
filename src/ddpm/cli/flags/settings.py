"""Flags that hold settings: `--set A.B=VALUE` and `--option NAME=NUMBER`."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ddpm.errors import UsageError


def assignments(texts: Sequence[str], flag: str = "--set A.B=VALUE") -> dict[str, Any]:
    """What a flag like --set A.B=VALUE says.

    Raises:
        UsageError: there is no "=", or nothing before it.
    """
    settings = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path:
            raise UsageError(f"{flag.replace(' ', ' needs ')}: {text!r}")
        settings[path] = _value(value)
    return settings


def _value(text: str) -> Any:  # noqa: ANN401
    """A number, true or false, a list such as 1,2,2, or text."""
    for shape in ("{}", "[{}]"):
        with suppress(ValueError, RecursionError):
            return json.loads(shape.replace("{}", text))
    return text
