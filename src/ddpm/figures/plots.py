"""The figures: what a run learned, what its bound is made of, and its schedule.

Text and axes are drawn in one ink, so that a page can show them light or dark; labels carry their units.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.evaluation.paired import Paired
from ddpm.evaluation.rate import Bound
from ddpm.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, STYLE, panels

LONG = 24
"""Characters of a name in a figure."""


@mpl.rc_context(STYLE)
def training(rows: Sequence[dict[str, Any]]) -> Figure:
    """Loss and held-out bound over the steps."""
    evaluated = [row for row in rows if "bits_per_dim" in row]
    figure, (left, *others) = panels(2 if evaluated else 1)
    steps = [row["step"] for row in rows]
    left.plot(steps, [row["loss"] for row in rows], color=BLUE)
    left.set(title="Training loss", xlabel="step", ylabel="loss", yscale="log")
    for right in others:
        at, bits = [r["step"] for r in evaluated], np.array([r["bits_per_dim"] for r in evaluated])
        error = np.array([r["bits_per_dim_stderr"] for r in evaluated])
        right.fill_between(at, bits - error, bits + error, color=ORANGE, alpha=0.2, lw=0)
        right.plot(at, bits, color=ORANGE, marker="o", ms=3.5)
        right.annotate(f"{bits[-1]:.3f}", (at[-1], bits[-1]), xytext=(0, 14), textcoords="offset points", ha="right")
        right.set(title="Bound of held-out images (estimate)", xlabel="step", ylabel="bits/dim")
    return figure


@mpl.rc_context(STYLE)
def bound_by_t(bound: Bound) -> Figure:
    """Where the bits go: L_{t-1} for each t, and what is still to pay once x_t is known."""
    figure, (left, right) = panels(2)
    t = np.arange(2, bound.T + 1)
    left.fill_between(t, bound.by_t[2:].numpy() * 1000, color=BLUE, alpha=0.25, lw=0)
    left.plot(t, bound.by_t[2:].numpy() * 1000, color=BLUE)
    left.set(title="Cost of each step", xlabel="t", ylabel="L(t−1), millibits/dim", ylim=(0, None))
    parts = {
        "L_T": float(bound.by_t[0]),
        "L_1 … L_{T−1}": float(bound.by_t[2:].sum()),
        "L_0": float(bound.by_t[1]),
    }
    names = ["L(T): the prior", "L(1)…L(T−1): the chain", "L(0): the pixels"]
    for i, (value, color) in enumerate(zip(parts.values(), (GREY, BLUE, ORANGE), strict=True)):
        right.barh(i, value, color=color, height=0.55)
        right.text(value + 0.02 * bound.total, i, f"{value:.4f}", va="center")
    right.set_yticks(range(3), names)
    right.invert_yaxis()
    right.set(title=f"Together {bound.total:.4f} bits/dim", xlabel="bits/dim", xlim=(0, 1.18 * max(parts.values())))
    right.grid(axis="y", visible=False)
    return figure


@mpl.rc_context(STYLE)
def compared(found: Paired) -> Figure:
    """Bounds of several models on the same images: each with its standard error, and term by term over the way up."""
    figure, (left, right) = panels(2)
    _totals(left, found)
    _by_t(right, found)
    return figure


@mpl.rc_context(STYLE)
def compared_apart(found: Paired) -> list[Figure]:
    """The same as two figures, which a page can put below each other."""
    figures = []
    for drawn in (_totals, _by_t):
        figure, (axes,) = panels(1, width=5.2)
        drawn(axes, found)
        figures.append(figure)
    return figures


COLORS = (BLUE, ORANGE, GREEN, PURPLE, GREY)
"""Of models, in turn."""


def _totals(axes: Axes, found: Paired) -> None:
    for i, bound in enumerate(found.bounds):
        axes.errorbar(bound.total, i, xerr=bound.stderr, color=COLORS[i % len(COLORS)], marker="o", ms=4, capsize=3)
    axes.set_yticks(range(len(found.names)), [shortened(name) for name in found.names])
    axes.set(title="Bound and standard error", xlabel="bits/dim", ylim=(len(found.names) - 0.5, -0.5))


def _by_t(axes: Axes, found: Paired) -> None:
    for i, (name, bound) in enumerate(zip(found.names, found.bounds, strict=True)):
        t = np.arange(2, bound.T + 1)
        terms = bound.by_t[2:].numpy() * bound.T
        axes.plot(t / bound.T, terms, color=COLORS[i % len(COLORS)], label=shortened(name))
    axes.set(title="Where the bits go", xlabel="t / T", ylabel="T · L(t−1), bits/dim", ylim=(0, None))
    axes.legend()


def shortened(name: str) -> str:
    """The end of a long path."""
    return name if len(name) <= LONG else f"…{name[1 - LONG :]}"


@mpl.rc_context(STYLE)
def rate_distortion(bound: Bound) -> Figure:
    """Figure 5 of the paper: distortion and rate over the reverse process, and one against the other."""
    points = bound.rate_distortion()
    steps = [bound.T - t for t, _, _ in points]
    rates, errors = [rate for _, rate, _ in points], [error for _, _, error in points]
    figure, axes = panels(3)
    axes[0].plot(steps, errors, color=ORANGE)
    axes[0].set(title="Distortion", xlabel="reverse steps done (T − t)", ylabel="RMSE on 0…255", ylim=(0, None))
    axes[1].plot(steps, rates, color=BLUE)
    axes[1].set(title="Rate", xlabel="reverse steps done (T − t)", ylabel="bits/dim received", ylim=(0, None))
    axes[2].plot(rates, errors, color=PURPLE)
    axes[2].set(title="Rate and distortion", xlabel="bits/dim received", ylabel="RMSE on 0…255", ylim=(0, None))
    return figure


THEORY = "theory: the bound"
"""What the account of a bound is called beside real files."""


@mpl.rc_context(STYLE)
def real_bytes(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    lossless: Mapping[str, float],
    account: Sequence[tuple[float, float]],
    dims: int,
) -> Figure:
    """Figure 5 of the paper with real files: errors over bits/dim, and over bytes on a log scale.

    Args:
        curves: (bytes of an image, RMSE on 0..255) of each format.
        lossless: bytes of an image that give it back exactly, by format.
        account: (bits/dim, RMSE) as the bound has it; none is not drawn.
        dims: numbers of an image.
    """
    figure, (left, right) = panels(2, height=3.6)
    colors = dict(zip(dict.fromkeys((*curves, *lossless)), COLORS, strict=False))
    for axis, unit in ((left, 8 / dims), (right, 1)):
        if account:
            rates, errors = zip(*account, strict=True)
            axis.plot([rate * dims / 8 * unit for rate in rates], errors, color=INK, lw=1, ls="--", label=THEORY)
        for name, points in curves.items():
            sizes, errors = zip(*points, strict=True)
            axis.plot([size * unit for size in sizes], errors, color=colors[name], label=name, marker="o", ms=2.5)
        for name, size in lossless.items():
            label = name if name not in curves else ""
            axis.plot(size * unit, 0, color=colors[name], label=label, marker="D", ms=6, ls="", clip_on=False, zorder=3)
        worst = max(points[0][1] for points in curves.values())
        axis.set(ylabel="RMSE on 0…255", ylim=(0, 1.1 * worst))
    ends = [*(points[-1][0] for points in curves.values()), *lossless.values()]
    left.set(title="Rate and distortion of real files", xlabel="bits/dim", xlim=(0, 8 * max(ends) / dims * 1.03))
    right.set(title="Diamonds: lossless files", xlabel="bytes of an image", xscale="log")
    right.set_xlim(left=0.7 * min(points[0][0] for points in curves.values()))
    for ticks in (right.xaxis.set_major_formatter, right.xaxis.set_minor_formatter):
        ticks(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    right.legend()
    return figure


@mpl.rc_context(STYLE)
def filmstrip(rows: Sequence[Sequence[tuple[np.ndarray, int]]], columns: Sequence[str]) -> Figure:
    """Pictures (C, H, W) uint8 and below each how many bytes it was made of: a row an image, a column a part of its file."""
    figure = Figure(figsize=(1.5 * len(columns), 0.2 + 1.75 * len(rows)))
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, loc="center")
    for axis, (picture, size) in zip(axes.flat, chain.from_iterable(rows), strict=True):
        axis.imshow(np.moveaxis(picture, 0, 2), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set(xticks=[], yticks=[], xlabel=f"{size:,} bytes")
        axis.spines[:].set_visible(False)
        axis.grid(visible=False)
    return figure


@mpl.rc_context(STYLE)
def schedule(q: Schedule, name: str) -> Figure:
    """Signal and noise, SNR, and the variances of one schedule."""
    t = np.arange(1, q.T + 1)
    figure, axes = panels(3)
    marker = "o" if q.T < 20 else ""
    axes[0].plot(t, q.alpha_bar[1:].sqrt(), color=BLUE, marker=marker, ms=3, label="signal  √ᾱ")
    axes[0].plot(t, q.one_minus_alpha_bar[1:].sqrt(), color=ORANGE, marker=marker, ms=3, label="noise  √(1−ᾱ)")
    axes[0].set_title(f"{name}, T = {q.T}", parse_math=False)  # it may be the name of a folder, with signs of TeX in it
    axes[0].set(xlabel="t", ylabel="scale", ylim=(0, 1.03))
    axes[0].legend()
    finite = q.snr[1:] > 0
    axes[1].plot(t[finite.numpy()], q.snr[1:][finite].log(), color=GREEN, marker=marker, ms=3)
    axes[1].axhline(0, color=GREY, lw=0.8)
    axes[1].set(title="Signal-to-noise ratio", xlabel="t", ylabel="log SNR, nats")
    large, small = FixedLarge().table(q)[1:], FixedSmall().table(q)[1:]
    axes[2].plot(t, large, color=PURPLE, marker=marker, ms=3, lw=3.5, alpha=0.5, label="β: the large one")
    axes[2].plot(t, small, color=ORANGE, marker=marker, ms=3, lw=1.2, label="β̃: the small one")
    axes[2].set(title="Variance of a step (β̃₂ at t = 1)", xlabel="t", ylabel="variance", xscale="log", yscale="log")
    axes[2].legend()
    return figure


@mpl.rc_context(STYLE)
def comparison(rows: Mapping[str, Sequence[np.ndarray | None]], columns: Sequence[str]) -> Figure:
    """Pictures (H, W) or (H, W, 3) uint8 in a grid: a row for each name, an empty place where there is none."""
    figure = Figure(figsize=(1.3 + 1.5 * len(columns), 0.35 + 1.5 * len(rows)))
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for place, (line, (name, pictures)) in enumerate(zip(axes, rows.items(), strict=True)):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis, picture, title in zip(line, pictures, columns, strict=True):
            axis.set(xticks=[], yticks=[], title=title if place == 0 else "")
            axis.spines[:].set_visible(False)
            axis.grid(visible=False)
            if picture is not None:
                axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    return figure
