"""Distances between sets of images on the terminal: `ddpm distance`, and those metrics of `ddpm evaluate`."""

from argparse import Namespace
from collections.abc import Sequence

from ddpm.cli.flags.settings import assignments
from ddpm.cli.parts.drawing import numbers
from ddpm.cli.parts.opening import told
from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.files import JsonTarget, file_for
from ddpm.cli.terminal.processes import processes
from ddpm.cli.terminal.speech import SPEECH, said
from ddpm.cli.terminal.words import counted
from ddpm.data.imageset import ImageSet
from ddpm.errors import UsageError
from ddpm.evaluation.images.metrics import METRICS, Choices, metrics_of
from ddpm.evaluation.images.moments_file import write_moments
from ddpm.evaluation.images.score import NAMES, Distances
from ddpm.experiment.request import reading
from ddpm.parallel.device import pick_device
from ddpm.report.text import columns, left, right
from ddpm.sampling.images import Plan
from ddpm.trained.draw import check_variance, samples
from ddpm.trained.evaluate import MEMORISED
from ddpm.trained.labels import OWN, asked
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import Given, Measurement, about_side, extractor_for, features_told, given, some_of
from ddpm.trained.provenance import recorded

TITLES = ("value", "few images add", "without that", "95% interval of it")
"""Over the columns: the interval is of what stands before it."""


def compare_sets(options: Namespace) -> None:
    """Both sets are read, measured and told of.

    Raises:
        UsageError: an unknown metric, or the moments of moments were to be saved.
        Mismatch: they have no distance.
    """
    names = metrics_of(options.metrics)
    json_target, saved = JsonTarget(options.json), file_for(options.save_moments, ".npz")
    how_read = reading(assignments(options.set, "--set data.B=VALUE"))
    a, b = (
        some_of(given(source, split, how_read), options.num_images, options.seed, name)
        for name, source, split in (("a", options.first, "all"), ("b", options.second, options.split))
    )
    if saved and not isinstance(b, ImageSet):
        raise UsageError(f"B is moments already: {options.second!r}", "--save-moments is of images")
    device = pick_device(options.device)
    extractor = extractor_for(options.features, (a, b), device)
    with processes(device) as world:
        how = Choices(seed=options.seed)
        measurement = Measurement(names, extractor, how, options.batch_size, device, track, world)
        sides = measurement.side(a, options.first), measurement.side(b, options.second)
        about = {
            "a": about_side(a, options.first, "all"),
            "b": about_side(b, options.second, options.split),
            "seed": options.seed,
            "num_images": options.num_images,
        }
        found = measurement.between(*sides, about | features_told((a, b)))
        if saved:
            world.lead(lambda: write_moments(saved, sides[1].moments, extractor))
    json_target.write(found.as_json())
    say_distances(found, f"{_words(a, options.first)} against {_words(b, options.second)}")
    if saved:
        say(f"moments: {saved}")
    json_target.tell()


def _words(side: Given, source: str) -> str:
    return f"{counted(len(side), 'image')} of {source}" if isinstance(side, ImageSet) else f"the moments in {source}"


def of_samples(options: Namespace, metrics: Sequence[str]) -> list[str]:
    """Those of the metrics that are of samples.

    Raises:
        UsageError: a flag is given that is of samples alone, or one that these do not have.
    """
    found = [name for name in metrics if name in METRICS]
    given = {name: getattr(options, name) for name in ("num_samples", "eta", "features")} | {
        "option": options.option or None
    }
    given["sampler"] = options.sampler if options.sampler != "ancestral" else None
    for name, value in given.items():
        if value is not None and not found and MEMORISED not in metrics:
            raise UsageError(f"--{name.replace('_', '-')} is of metrics of samples, such as --metrics fid: {value}")
    if options.csv is not None and {*metrics} <= {*found, MEMORISED}:
        raise UsageError(
            f"--csv is a table of bits/dim, which are not measured: {options.csv}",
            f"--metrics {','.join(('bpd', *metrics))} measures both",
        )
    return found


def measure_samples(options: Namespace, trained: LoadedModel, images: ImageSet, names: Sequence[str]) -> Distances:
    """What the model draws against these images, with progress.

    Raises:
        UsageError: the sampler is none, or has not these options.
    """
    count = options.num_samples or len(images)
    plan = Plan(count, options.sampler, numbers(options), options.seed, options.batch_size)
    check_variance(plan.build(), options.variance)
    condition = asked(trained.experiment, None if options.label == OWN else options.label, None, None)
    drawing = samples(trained, plan, options.spacing, condition)
    extractor = extractor_for(options.features, [images], trained.device)
    with processes(trained.device) as world:
        how = Choices(seed=options.seed)
        measurement = Measurement(names, extractor, how, options.batch_size, trained.device, track, world)
        a, b = measurement.drawn(drawing), measurement.side(images, options.data)
        about = {
            "a": {
                "run": options.run,
                "images": count,
                "drawn": recorded(trained, plan, options.spacing, drawing.begin),
            },
            "b": about_side(images, options.data, options.split),
            "seed": options.seed,
        }
        return measurement.between(a, b, about)


def say_samples(found: Distances, options: Namespace, words: str) -> None:
    """The same as a table; `words` say which images they were compared with."""
    say_distances(found, f"{counted(found.manifest['a']['images'], 'sample')} of {options.run} against {words}")


def say_distances(found: Distances, what: str) -> None:
    """A line for each number: as published, what few images add, what is left without that, and the interval of the latter."""
    features = found.manifest["features"]
    say(what)
    say(f"  features {features['name']}: {features['how']}")
    names = [NAMES[score.name].in_language("ko" if SPEECH.korean else "en") for score in found.scores]
    width = max(map(columns, names))
    head = [right(said(title), size) for title, size in zip(TITLES, (12, 16, 14, 27), strict=True)]
    show(f"{'':{width}} {' '.join(head)}")
    for name, score in zip(names, found.scores, strict=True):
        interval = "-" if score.low is None or score.high is None else f"{score.low:.5g} .. {score.high:.5g}"
        bias = "-" if score.bias is None else f"{score.bias:+.4g}"
        show(f"{left(name, width)} {score.value:>12.5g} {bias:>16} {score.without_bias:>14.5g} {interval:>27}")
    few = next((score for score in found.scores if score.about.get("enough_images") is False), None)
    if few is not None:
        told([f"so few images say little of a Frechet distance of {few.about['features']} features"])
    digests = [found.manifest[side].get("digest") for side in "ab"]
    if digests[0] is not None and digests[0] == digests[1]:
        told(["A and B are the same images"])
