"""Kinds of values: what is typed as one, or why it is none."""

import argparse

from ddpm.errors import UsageError
from ddpm.experiment.duration import seconds_of

TOO_MANY = 2**53
"""No table and no folder has so many; the sum of two such numbers still fits an integer of 64 bits."""


def number(text: str) -> float:
    """Any number; whether it suits is for whoever it is meant for."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number: {text!r}") from None


def whole(text: str) -> int:
    """A whole number, negative ones too."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number: {text!r}") from None


def natural(text: str) -> int:
    """A whole number of at least 0, however large, as a seed is."""
    value = whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0: {text!r}")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {text!r}")
    return _bounded(value, text)


def count(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0: {text!r}")
    return _bounded(int(text), text)


def _bounded(value: int, text: str) -> int:
    if value >= TOO_MANY:
        raise argparse.ArgumentTypeError(f"must be below 2^53: {text!r}")
    return value


def filled(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def span(text: str) -> float:
    """A span of time such as 90, 30m or 1h30m, in seconds."""
    try:
        return seconds_of(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(f"{error}, {error.hints[0]}") from None


def tolerance(text: str) -> float:
    """A number between 0 and 1."""
    return _number(text, 1, "a number between 0 and 1")


def _number(text: str, below: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < below:
        raise argparse.ArgumentTypeError(f"must be {what}: {text!r}")
    return value
