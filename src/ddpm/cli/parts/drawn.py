"""What several runs draw from the same noise, how far it is from real images, and what it costs: a part of `ddpm compare`."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace

from ddpm.cli.parts.drawing import numbers
from ddpm.cli.parts.opening import Asked, opened, shortened
from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.speech import SPEECH
from ddpm.cli.terminal.words import counted
from ddpm.errors import UsageError
from ddpm.evaluation.images.metrics import Choices, metrics_of
from ddpm.evaluation.images.side import Side
from ddpm.figures.images import image_set
from ddpm.report.compare_page import biased, cells, headings
from ddpm.report.text import columns, right
from ddpm.sampling.images import Plan
from ddpm.trained.draw import check_variance, samples
from ddpm.trained.labels import NONE, OWN, condition_of
from ddpm.trained.measures.distance import Measurement, about_side, extractor_for
from ddpm.trained.measures.drawn import Drawn, draw

METRICS = "fid,kid"
"""Where none are asked for."""
DRAWS = 1000
"""Images, in a hint."""


def check_drawn(options: Namespace) -> None:
    """Refuse what cannot be before anything is measured.

    Raises:
        UsageError: no such metric; or flags that are of samples, where none are asked for.
    """
    if options.num_samples is not None:
        metrics_of(options.metrics or METRICS)
        return
    given = {name: getattr(options, name) for name in ("metrics", "features", "eta")} | {
        "option": options.option or None
    }
    given["sampler"] = options.sampler if options.sampler != "ancestral" else None
    for name, value in given.items():
        if value is not None:
            raise UsageError(
                f"--{name} is of what the runs draw, and they draw nothing: {value}",
                f"--num-samples {DRAWS} draws {DRAWS} images",
            )


def draw_all(options: Namespace, asked: Asked) -> list[Drawn]:
    """What each of the runs draws by --sampler in --sample-steps, from the same noise, measured against all images of the split.

    Raises:
        UsageError: no such sampler, metric or features.
    """
    plan = Plan(options.num_samples, options.sampler, numbers(options), options.seed, options.batch_size)
    check_variance(plan.build(), options.variance)
    names, found = metrics_of(options.metrics or METRICS), []
    reference: Side | None = None
    for run in options.run:
        whole = opened(Namespace(**{**vars(options), "run": run}))
        condition = condition_of(whole.experiment, None)
        steps = min(options.sample_steps, whole.process.schedule.T)
        few = Namespace(**{**vars(options), "steps": steps})
        model = shortened(few, whole, label=OWN if condition.labels else NONE)
        one = draw(
            samples(model, plan, options.spacing, condition), lambda steps, count: track(steps, count, "sampling")
        )
        extractor = extractor_for(options.features, [asked.whole], model.device)
        measurement = Measurement(names, extractor, Choices(options.seed), options.batch_size, model.device, track)
        reference = measurement.side(asked.whole, options.data) if reference is None else reference
        drawn = image_set(one.images, "all")
        about = {
            "a": about_side(drawn, run, "all") | one.as_json(),
            "b": about_side(asked.whole, options.data, options.split),
            "seed": options.seed,
        }
        distances = measurement.between(measurement.side(drawn, run), reference, about)
        found.append(replace(one, distances=distances))
    return found


def say_drawn(names: Sequence[str], drawn: Sequence[Drawn], images: str) -> None:
    """A line for each run: distances from these images with their intervals, and what an image costs."""
    first = drawn[0]
    say(f"{counted(len(first.images), 'sample')} of each by {first.sampler}, from the same noise, against {images}")
    heads, rows = headings(drawn, "ko" if SPEECH.korean else "en"), [cells(one, biased(drawn)) for one in drawn]
    widths = [max(map(columns, column)) for column in zip(heads, *rows, strict=True)]
    width = max(map(len, names))
    show(f"{'':{width}}  {'  '.join(right(head, size) for head, size in zip(heads, widths, strict=True))}")
    for name, row in zip(names, rows, strict=True):
        show(f"{name:{width}}  {'  '.join(right(cell, size) for cell, size in zip(row, widths, strict=True))}")
