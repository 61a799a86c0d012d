"""The likelihoods of `ddpm evaluate` on the terminal: one table, one line for each method."""

from argparse import Namespace
from collections.abc import Mapping

from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.speech import said
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.errors import UsageError
from ddpm.evaluation.likelihood import Likelihood
from ddpm.report.text import columns, left, right
from ddpm.trained.likelihoods import LIKELIHOODS, LikelihoodOptions, check_flow
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.rounding import require_full

OPTIONS = {"draws": "importance-weighted", "trace": "flow", "probes": "flow", "tolerance": "flow"}
"""Flags, and the metric that each is of."""


def ways_of(options: Namespace, metrics: list[str]) -> LikelihoodOptions:
    """From the flags.

    Raises:
        UsageError: one is of a metric that was not asked for.
    """
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    for name, value in given.items():
        if OPTIONS[name] not in metrics:
            raise UsageError(f"--{name} is of --metrics {OPTIONS[name]}: {value}")
    return LikelihoodOptions(**given, seed=options.seed, batch_size=options.batch_size)


def measure_likelihoods(
    trained: LoadedModel, images: ImageSet, metrics: list[str], ways: LikelihoodOptions, labels: Labels = None
) -> dict[str, Likelihood]:
    """Those that were asked for, given `labels`, with progress.

    Raises:
        UsageError: the flow of a model that has none, or a model that is not in fp32.
    """
    asked = [name for name in LIKELIHOODS if name in metrics]
    if asked:
        require_full(trained, asked[0])
    if "flow" in asked:
        check_flow(trained)
    found = {}
    for name in asked:
        parts = track(ways.parts(name, trained, images, labels), ways.count(name, trained, images), name)
        found[name] = ways.added(name, parts, trained, images)
    return found


def table(rows: Mapping[str, Likelihood], what: str) -> None:
    """Bits/dim of each method, on the same images."""
    width = max(columns(said(name)) for name in rows)
    if len(rows) > 1:
        say("each method draws for itself: differences below the errors say nothing")
    say(what)
    show(f"{'':{width}} {'bits/dim':>10} {right(said('± stderr'), 10)} {right(said('evaluations/image'), 18)}")
    for name, found in rows.items():
        error = f"{found.stderr:10.4f}" if len(found.per_image) > 1 else f"{'-':>10}"
        show(f"{left(said(name), width)} {found.total:>10.4f} {error} {found.evaluations:>18,.0f}")
