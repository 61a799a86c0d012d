"""Opening a trained model for a command, and the images that it is given."""

import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ddpm.cli.flags.settings import assignments
from ddpm.cli.terminal.console import note, track
from ddpm.cli.terminal.words import counted, plural
from ddpm.data.imageset import ImageSet
from ddpm.data.inputs import Photo, read_photo
from ddpm.data.open import Part
from ddpm.diffusion.variance import VARIANCES
from ddpm.errors import chosen
from ddpm.evaluation.curve import ErrorAt
from ddpm.experiment.duration import in_words
from ddpm.models.precision import FULL
from ddpm.parallel.device import pick_device
from ddpm.sampling.few_steps import OPTIMAL, FewSteps
from ddpm.trained.evaluate import images_to_evaluate
from ddpm.trained.labels import NONE, OWN
from ddpm.trained.loaded import LoadedModel, load_run
from ddpm.trained.measured_curve import IMAGES, Watched, on_chain


def opened(options: Namespace) -> LoadedModel:
    """The model that RUN, --weights, --device, --precision and --set name; says which damaged checkpoints were passed over."""
    settings, device = settings_of(options), pick_device(options.device)
    trained = load_run(options.run, options.weights, device, settings).in_precision(getattr(options, "precision", FULL))
    for line in filter(None, (*trained.notes, trained.slow)):
        note(f"ddpm: {line}")
    return trained


def settings_of(options: Namespace) -> dict[str, Any]:
    """How --set and --variance say that the network is read.

    Raises:
        UsageError: one of them makes no sense, whatever the network.
    """
    settings = assignments(options.set)
    if getattr(options, "variance", None) not in (None, OPTIMAL):
        chosen({**VARIANCES, OPTIMAL: None}, options.variance, "variance")
        settings["process.variance"] = options.variance
    return settings


def model_to_score(options: Namespace) -> LoadedModel:
    """The model that is to score images, told their labels unless --label none."""
    return read_to_score(options, opened(options))


def read_to_score(options: Namespace, trained: LoadedModel) -> LoadedModel:
    """An open model as it scores images."""
    return shortened(options, trained, label=NONE if options.label == NONE else OWN)


@dataclass(frozen=True, eq=False)
class Asked:
    """The images of --data, --split and --num-images; `words` say which they are, such as "300 test images of digits".

    `about` is what --json says of them: where they come from. `whole` are those of the split without --num-images, in
    `whole_words`.
    """

    images: ImageSet
    whole: ImageSet
    words: str
    about: Mapping[str, str | None]
    whole_words: str


def images_asked(options: Namespace, trained: LoadedModel) -> Asked:
    """Those that were asked for; says where a split is a rule of ours, and where the first ones cannot stand for all.

    Raises:
        Mismatch: the model is for other images.
    """
    parts: list[Part] = []
    everything = images_to_evaluate(trained, options.data, options.split, lambda line: told([line]), heard=parts.append)
    part = parts[-1] if parts else None
    if part and part.of is not None:
        told(
            [
                f"{options.split} is {part.images:,} of {counted(part.of, 'image')}: the data have no split of their own, and some are "
                "held out by their names; --split all takes all"
            ]
        )
    images = everything
    if options.num_images is not None and options.num_images < len(everything):
        images = everything.take(torch.arange(options.num_images))
    classes, of = (len(part.labels.unique()) for part in (images, everything))
    if classes < of and bool((everything.labels.diff() >= 0).all()):
        note(
            f"ddpm: the images are in the order of their classes: the first {len(images):,} are of {classes} of {of} classes, "
            "and stand for these alone"
        )
    split = options.split if part else None
    named = "" if part is None or part.folders in ((), (split,)) else f" ({', '.join(part.folders)})"

    def words(count: int) -> str:
        parts = [f"{count}", *([split] if split not in (None, "all") else []), plural(count, "image")]
        return f"{' '.join(parts)} of {options.data}{named}"

    about = {"data": options.data, "split": split}
    return Asked(images, everything, words(len(images)), about, words(len(everything)))


def shorter(options: Namespace) -> FewSteps:
    """What --steps, --spacing and --variance say."""
    return FewSteps(options.steps, options.spacing, options.variance, options.exact)


def shortened(options: Namespace, trained: LoadedModel, t: int | None = None, label: str = OWN) -> LoadedModel:
    """The model on the chain that `shorter` asks for, up to t; a curve that it needs is measured with progress.

    Raises:
        UsageError: there is no such chain.
    """
    return on_chain(trained, shorter(options), watched(trained), t, label)


def watched(trained: LoadedModel) -> Watched:
    """What says the cost of measuring the network's error beforehand, then how long it takes, and shows the progress."""
    T = trained.process.schedule.T

    def shown(errors: Iterator[ErrorAt], count: int) -> Iterator[ErrorAt]:
        rest = "" if count == T else "; --exact measures all"
        note(
            f"ddpm: the best steps and variances need the network's error: measured once, at {count} of {T} t on {IMAGES} "
            f"training images, {count * IMAGES:,} evaluations of the network{rest}"
        )
        began = time.monotonic()
        for place, found in enumerate(track(errors, count, "measuring the network's error")):
            if place == 0:
                note(f"ddpm: that takes about {in_words((time.monotonic() - began) * count)}")
            yield found

    return shown


def given_photo(name: str, height: int, width: int) -> Photo:
    """A picture that a command is given; says so where it is scaled to this height and width."""
    photo = read_photo(Path(name).expanduser())
    told(photo.scaled(height, width))
    return photo


def told(lines: Iterable[str]) -> None:
    """Say how something that was given is understood."""
    for line in lines:
        note(f"ddpm: {line}")
