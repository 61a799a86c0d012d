"""Conclusions that are chosen by the numbers beside them, in both languages at once."""

from ddpm.laboratory.answer import Text


def verdict(*cases: tuple[bool, str, str]) -> Text:
    """The English and the Korean words of the first case whose condition holds; the last one is for all the rest.

    Raises:
        ValueError: no condition holds.
    """
    for holds, en, ko in cases:
        if holds:
            return Text(en, ko)
    raise ValueError("the last case must hold always")
