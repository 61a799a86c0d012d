"""The variational bound of a data set: measured with progress, and said in words, beside real files too."""

import math
from typing import Any

from ddpm.cli.terminal.console import say, show, track
from ddpm.cli.terminal.processes import processes
from ddpm.cli.terminal.speech import said
from ddpm.cli.terminal.words import counted
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels
from ddpm.evaluation.rate import Bound, moves_of, summarise
from ddpm.models.precision import FULL
from ddpm.report.text import columns, right
from ddpm.sampling.images import evenly
from ddpm.trained.evaluate import decoder_variance, evaluate
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.real_bytes import RealBytes, until
from ddpm.trained.rounding import Bias, bias

ERRORS = (50, 30, 20, 15, 10, 7, 5, 3, 2, 1)
"""RMSE on 0..255 that are asked for."""


def say_bound(trained: LoadedModel, bound: Bound, metrics: list[str], what: str) -> None:
    """The bound in words, and the rate-distortion curve in ten lines."""
    say(sentence(trained, bound, what))
    if "rate-distortion" in metrics:
        curve_in_lines(bound)


def curve_in_lines(bound: Bound) -> None:
    """The rate-distortion curve, ten of its points."""
    points = bound.rate_distortion()
    show(f"{'t':>8} {right(said('bits/dim received'), 20)} {right(said('RMSE on 0..255'), 16)}")
    for i in sorted(set(evenly(len(points), 10))):
        show("{:>8} {:>20.5f} {:>16.3f}".format(*points[i]))


def measure_bound(trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None) -> Bound:
    """The bound, with progress."""
    schedule = trained.process.schedule
    with processes(trained.device) as world:
        total = moves_of(schedule, len(images), batch_size, trained.device, world)
        measured = track(evaluate(trained, images, seed, batch_size, labels, world), total, "evaluating")
        return summarise(measured, schedule, len(images), math.prod(images.shape), world)


def measure_bias(
    trained: LoadedModel, images: ImageSet, seed: int, batch_size: int, labels: Labels = None
) -> Bias | None:
    """What 16 bits do to the bound; None of a model in fp32."""
    if trained.precision == FULL:
        return None
    with processes(trained.device) as world:
        return bias(trained, images, seed, batch_size, labels, world)


def say_bias(found: Bias | None) -> None:
    """In a line, if there is one."""
    if found:
        error = f"± {found.stderr:.1e}" if found.images > 1 else "(of one image: no standard error)"
        say(
            f"  in {found.precision}: {found.mean:+.1e} {error} bits/dim against fp32, on {counted(found.images, 'image')} with the "
            "same noise"
        )


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


def say_real_bytes(bound: Bound, real: RealBytes) -> None:
    """Lossless sizes in a line each, and the bytes that every format needs for the same errors."""
    say(
        f"real files, header included: {real.lossless['ddpm']:,.1f} bytes of an image, {real.bits_per_dim:.4f} bits/dim, "
        f"{real.bits_per_dim / bound.total:.3f} times the bound"
    )
    others = {name: size for name, size in real.lossless.items() if name != "ddpm"}
    for name, size in others.items():
        say(f"  {name}, lossless: {size:,.1f} bytes, {real.rate(size):.4f} bits/dim")
    account = [(rate * real.dims / 8, rmse) for _, rate, rmse in bound.rate_distortion()]
    heads = [said("RMSE on 0..255"), said("theory"), *real.curves]
    widths = [max(10, columns(head)) for head in heads]
    say("bytes of an image until its error is at most so much")
    show("  ".join(right(head, width) for head, width in zip(heads, widths, strict=True)))
    for error in ERRORS:
        cells = [until(account, error), *(real.bytes_at(error, name) for name in real.curves)]
        line = [f"{error}", *("-" if cell is None else f"{cell:,.1f}" for cell in cells)]
        show("  ".join(right(cell, width) for cell, width in zip(line, widths, strict=True)))


def rows_of(bound: Bound, real: RealBytes | None) -> list[dict[str, Any]]:
    """What --csv writes: a line for each point of the account, and of each curve of real files."""
    account = [
        {
            "format": "theory",
            "setting": t,
            "bytes": rate * bound.dims / 8,
            "rate_bits_per_dim": rate,
            "distortion_rmse_0_255": rmse,
        }
        for t, rate, rmse in bound.rate_distortion()
    ]
    return [*account, *(real.rows() if real else [])]
