"""Features by name, or from a file that the user gives."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ddpm.errors import DataError, NotFound, RunWarning, UsageError, chosen, warn
from ddpm.evaluation.images.features import inception
from ddpm.evaluation.images.features.extractor import Extractor
from ddpm.evaluation.images.features.pixels import Pixels
from ddpm.evaluation.images.features.small import built_in
from ddpm.evaluation.images.features.torchscript import TorchScript
from ddpm.interop.files import MOST, weights_in
from ddpm.storage import plain

EXTRACTORS: Mapping[str, Callable[[], Extractor]] = {
    "pixels": Pixels,
    "digits": lambda: built_in("digits"),
    "colour": lambda: built_in("colour"),
}
"""Those that need no file."""
INCEPTION = "inception"
VARIABLE = "DDPM_INCEPTION"
"""Where Inception's weights lie, if no file is named."""
SAYS: Mapping[str, str] = {
    "name": "what it is called",
    "digest": "the SHA-256 of its weights",
    "how": "what is done to images before the network sees them",
}
"""What every measurement must write down of an extractor."""
SUFFIXES = (".pt", ".ts", ".torchscript", ".jit")
"""Of a TorchScript file."""


def extractor_of(given: str | Extractor | None, channels: int) -> Extractor:
    """By name, or the one that is given; None takes that of small digits for grey images, and that of small photographs for others.

    Args:
        given: a name of `EXTRACTORS`, "inception=FILE", "inception" (its file is what DDPM_INCEPTION names), a TorchScript file, or
            an extractor.
        channels: of the images, where no name is given.

    Warns:
        RunWarning: Inception's weights are not those by which others measure.

    Raises:
        UsageError: there is none of this name, or the one that is given does not say what it is.
        NotFound: there is no such file.
        DataError: a file holds something else.
    """
    if given is None:
        return EXTRACTORS["digits" if channels == 1 else "colour"]()
    return _by_name(given) if isinstance(given, str) else _saying_what_it_is(given)


def _saying_what_it_is(extractor: Extractor) -> Extractor:
    for name, what in SAYS.items():
        if not isinstance(getattr(extractor, name, None), str):
            raise UsageError(f"an extractor must say its `{name}`, {what}: {type(extractor).__name__} does not")
    return extractor


def _by_name(name: str) -> Extractor:
    kind, _, file = name.partition("=")
    if kind == INCEPTION:
        return inception_in(file or os.environ.get(VARIABLE, ""))
    if name.endswith(SUFFIXES):
        return _torchscript(Path(name).expanduser())
    if name.endswith(".pt2"):
        raise UsageError(f"a program of torch.export is not run: {name!r}", "torch.jit.save writes TorchScript")
    return chosen(EXTRACTORS, name, "features", f"{INCEPTION}=FILE", "a TorchScript file (.pt)")()


def inception_in(name: str) -> Extractor:
    """Inception with the weights of a file: torch's own format or safetensors, of which tensors alone are read.

    Warns:
        RunWarning: they are not those by which others measure.

    Raises:
        UsageError: no file is named.
        NotFound: there is none of this name.
        DataError: it holds something else.
    """
    if not name:
        raise UsageError(
            "Inception's weights are a file that you give: `features=inception=FILE`",
            "weights-inception-2015-12-05-6726825d.pth of torch-fidelity has them; DDPM_INCEPTION may name it",
        )
    path = Path(name).expanduser()
    weights = weights_in(path)
    _, digest = plain.digest(path)
    if digest != inception.KNOWN:
        warn(f"these are not the weights by which others measure FID: {path.name} has the SHA-256 {digest}", RunWarning)
    return inception.Inception(weights, digest)


def _torchscript(path: Path) -> Extractor:
    try:
        return TorchScript(path.name, plain.contents(path, MOST))
    except FileNotFoundError:
        raise NotFound(f"no such file: {path}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {plain.why(error)}") from error
