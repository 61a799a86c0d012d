"""What a file does not say and is told as a line of flags: `--NAME VALUE ...`."""

import shlex
from collections.abc import Iterator, Mapping

from ddpm.errors import UsageError


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """Names, without their dashes, and values.

    Raises:
        UsageError: it is no list of such pairs.
    """
    words = shlex.split(text.replace("=", " "))
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if not name.startswith("--") or not value:
            raise UsageError(f"`flags` are pairs such as --num_heads 4, not {name!r} {value!r}".rstrip())
        yield name.removeprefix("--"), value


def is_true(flags: Mapping[str, str], name: str) -> bool:
    """Whether a flag says so.

    Raises:
        UsageError: it is neither true nor false.
    """
    value = flags[name].lower()
    if value not in ("true", "false", "1", "0", "yes", "no"):
        raise UsageError(f"--{name} is True or False, not {flags[name]!r}")
    return value in ("true", "1", "yes")
