"""The variational bound of a data set: measured with progress, and said in words."""

import math

from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.processes import processes
from ddpm.cli.terminal.speech import said
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.evaluation.rate import Bound, summarise
from ddpm.report.text import right
from ddpm.sampling.images import evenly
from ddpm.trained.evaluate import decoder_variance, evaluate
from ddpm.trained.loaded import LoadedModel


def say_bound(trained: LoadedModel, bound: Bound, metrics: list[str], what: str) -> None:
    """The bound in words, and the rate-distortion curve in ten lines."""
    say(sentence(trained, bound, what))
    if "rate-distortion" in metrics:
        points = bound.rate_distortion()
        show(f"{'t':>8} {right(said('bits/dim received'), 20)} {right(said('RMSE on 0..255'), 16)}")
        for i in sorted(set(evenly(len(points), 10))):
            show("{:>8} {:>20.5f} {:>16.3f}".format(*points[i]))


def measure_bound(trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None) -> Bound:
    """The bound, with progress."""
    schedule = trained.process.schedule
    with processes(trained.device) as world:
        total = math.ceil(len(images) / batch_size / world.size) * (schedule.T + 1)
        measured = track(evaluate(trained, images, seed, batch_size, labels, world), total, "evaluating")
        return summarise(measured, schedule, len(images), math.prod(images.shape), world)


def sentence(trained: LoadedModel, bound: Bound, what: str) -> str:
    """The bound in words, with the choices that it depends on."""
    error = f"± {bound.stderr:.4f}" if bound.images > 1 else "(of one image: no standard error)"
    return (
        f"{bound.total:.4f} {error} bits/dim on {what}\n"
        f"  L_T {float(bound.by_t[0]):.6f}   L_1..L_(T-1) {float(bound.by_t[2:].sum()):.4f}   "
        f"L_0 {float(bound.by_t[1]):.4f}   an upper bound on the code length\n"
        f"  {reading(trained)}"
    )


def reading(trained: LoadedModel) -> str:
    """How a model is read: what its bound depends on besides the images."""
    T, whole = trained.process.schedule.T, trained.experiment.schedule.T
    chain = f"T = {T}" if whole == T else f"T = {T} of {whole} steps"
    return (
        f"{chain}, {trained.weights} weights of step {trained.step:,}, decoder's variance {decoder_variance(trained)}, "
        f"estimate of x_0 {trained.experiment.process.limit}"
    )
