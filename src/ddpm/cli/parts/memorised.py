"""`ddpm evaluate --metrics memorised` on the terminal: whether samples copy training images."""

import io
from argparse import Namespace
from typing import Any

from ddpm.cli.parts.drawing import numbers
from ddpm.cli.parts.opening import Asked
from ddpm.cli.terminal.console import say, track
from ddpm.cli.terminal.files import file_for
from ddpm.errors import UsageError
from ddpm.sampling.images import Plan
from ddpm.storage.atomic import write_bytes
from ddpm.trained.draw import check_variance, samples
from ddpm.trained.evaluate import MEMORISED
from ddpm.trained.labels import OWN, condition_of
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import extractor_for
from ddpm.trained.measures.memorised import PIXELS, SAMPLES, Memorised, measure, space_of


def check_flags(options: Namespace, metrics: list[str]) -> None:
    """Refuse --pairs where this metric was not asked for.

    Raises:
        UsageError: it was given.
    """
    if MEMORISED not in metrics and options.pairs is not None:
        raise UsageError(f"--pairs is of --metrics {MEMORISED}: {options.pairs}")


class Copies:
    """The metric in a command: nothing, where it was not asked for.

    Raises:
        UsageError, CannotCreate: as `file_for`, of --pairs.
    """

    def __init__(self, options: Namespace, wanted: bool) -> None:  # noqa: FBT001
        self._options, self._wanted = options, wanted
        self._picture = file_for(options.pairs, ".png")
        self._found: Memorised | None = None

    def measured(self, trained: LoadedModel, asked: Asked) -> dict[str, Any]:
        """Samples and held-out images beside the training images, with progress; what --json writes of them."""
        if not self._wanted:
            return {}
        options = self._options
        plan = Plan(options.num_samples or SAMPLES, options.sampler, numbers(options), options.seed, options.batch_size)
        check_variance(plan.build(), options.variance)
        condition = condition_of(trained.experiment, None if options.label == OWN else options.label)
        space = PIXELS
        if options.features is not None:
            extractor = extractor_for(options.features, [asked.images], trained.device)
            space = space_of(extractor, trained.device, options.batch_size)
        self._found = measure(samples(trained, plan, options.spacing, condition), asked.images, space, track)
        if self._picture:
            data = io.BytesIO()
            self._found.picture().save(data, format="PNG")
            write_bytes(self._picture, data.getvalue())
        return {MEMORISED: self._found.about}

    def say(self, what: str) -> None:
        """What was found of `what`, the held-out images."""
        if self._found:
            say_memorised(self._found, what)
        if self._picture:
            say(f"pairs: {self._picture}")


def say_memorised(found: Memorised, what: str) -> None:
    """What was found, in words."""
    one, about = found.closeness, found.about
    low, high = one.interval
    say(
        f"{one.count} of {len(one.suspected)} samples ({one.share:.1%}, 95 % interval {low:.1%} to {high:.1%}) are closer to a "
        f"training image than {about['rate']:.1%} of {what} are; by chance {one.expected:.1f} would be"
    )
    if one.closer:
        say(f"the samples are closer to training images than chance: p = {one.p_value:.2g}")
    else:
        say(f"the samples are no closer to training images than chance: p = {one.p_value:.2g}")
    if about["same_classes"]:
        say(
            f"  compared with {about['held_out']} of the {about['held_out_given']} held-out images, so that each class is as frequent "
            "as among the samples"
        )
    if about["held_out_repeated"]:
        say(f"  held-out images that repeat others count once: {about['held_out_repeated']} left out")
    middle, mirrored = about["median_distance"], " and their mirror images" if one.mirrors == 2 else ""
    say(
        f"  half of the samples are within {middle['samples']:.1f} of one of {one.training:,} training images{mirrored}, half of the "
        f"held-out images within {middle['held_out']:.1f} ({about['unit']}); identical samples: {about['identical']}"
    )
    say(
        f"  close is a distance to the nearest below {one.threshold:.3f} times the mean of those to the {one.neighbours} nearest"
    )
