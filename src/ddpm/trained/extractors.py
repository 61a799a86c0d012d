"""Features by name, or from a file that the user gives."""

from collections.abc import Callable, Mapping

from ddpm.errors import chosen
from ddpm.evaluation.images.features.extractor import Extractor
from ddpm.evaluation.images.features.pixels import Pixels
from ddpm.evaluation.images.features.small import built_in

EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {
    "pixels": Pixels,
    "digits": lambda: built_in("digits"),
    "colour": lambda: built_in("colour"),
}
"""Those that need no file."""


def extractor_of(name: str | None, channels: int) -> Extractor:
    """By name; None takes that of small digits for grey images, and that of small photographs for others.

    Raises:
        UsageError: there is none of this name.
    """
    if name is None:
        return EXTRACTORS["digits" if channels == 1 else "colour"]()
    return chosen(EXTRACTORS, name, "features")()
