"""What several runs draw from the same noise, how far it is from real images, and what it costs: a part of `ddpm compare`."""

from argparse import Namespace
from collections.abc import Sequence

from ddpm.cli.parts.drawing import numbers
from ddpm.cli.parts.opening import Asked, watched
from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.speech import SPEECH
from ddpm.cli.terminal.words import counted
from ddpm.errors import UsageError
from ddpm.evaluation.images.metrics import metrics_of
from ddpm.report.compare_page import biased, cells, headings
from ddpm.report.text import columns, right
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measured_curve import on_chain
from ddpm.trained.measures.drawn import METRICS, Alike, Drawn, draw_all

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


def draw_alike(options: Namespace, models: Sequence[LoadedModel], asked: Asked) -> list[Drawn]:
    """What each of the runs draws by --sampler in --sample-steps, from the same noise, measured against all images of the split.

    Raises:
        UsageError: no such sampler, metric or features.
    """
    how = Alike(
        Plan(options.num_samples, options.sampler, numbers(options), options.seed, options.batch_size),
        FewSteps(options.sample_steps, options.spacing, options.variance, options.exact),
        metrics_of(options.metrics or METRICS),
        options.features,
        asked.whole,
        options.data,
        options.split,
    )

    def read(model: LoadedModel, few: FewSteps, label: str) -> LoadedModel:
        return on_chain(model, few, watched(model), None, label)

    return draw_all(list(zip(options.run, models, strict=True)), how, read, track)


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
