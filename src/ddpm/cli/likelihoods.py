"""The likelihoods of `ddpm evaluate` on the terminal: one table, one line for each method."""

from argparse import Namespace
from collections.abc import Mapping

from ddpm.cli.console import say, track
from ddpm.commands.likelihoods import LIKELIHOODS, Ways, check_flow
from ddpm.commands.run import Trained
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.evaluation.likelihood import Likelihood


def ways_of(options: Namespace) -> Ways:
    """From the flags."""
    return Ways(options.draws, options.trace, options.probes, options.tolerance, options.seed, options.batch_size)


def measure_likelihoods(
    trained: Trained, images: ImageSet, metrics: list[str], ways: Ways, labels: Labels = None
) -> dict[str, Likelihood]:
    """Those that were asked for, given `labels`, with progress.

    Raises:
        UsageError: the flow of a model that has none.
    """
    if "flow" in metrics:
        check_flow(trained)
    found = {}
    for name in (name for name in LIKELIHOODS if name in metrics):
        parts = track(ways.parts(name, trained, images, labels), ways.count(name, trained, images), name)
        found[name] = ways.added(name, parts, images)
    return found


def table(rows: Mapping[str, Likelihood], what: str) -> None:
    """Bits/dim of each method, on the same images."""
    width = max(len(name) for name in rows)
    say(f"{what}\n{'':{width}} {'bits/dim':>10} {'± stderr':>10} {'evaluations/image':>18}")
    for name, found in rows.items():
        error = f"{found.stderr:10.4f}" if len(found.per_image) > 1 else f"{'-':>10}"
        say(f"{name:{width}} {found.total:>10.4f} {error} {found.evaluations:>18,.0f}")
