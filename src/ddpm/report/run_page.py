"""The sections of a run's page: what it drew, how it learned, what that costs in bits, and on which schedule."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ddpm.diffusion.schedule import Schedule
from ddpm.evaluation.rate import Bound
from ddpm.experiment.config import Experiment
from ddpm.figures import plots, style
from ddpm.figures.pictures import square, tile, to_pictures
from ddpm.report.page import Fact, Figure, animation, filmstrip, page, picture
from ddpm.tensors import ImageBatch

NAMED = 100
"""Classes whose names a page lists."""


@dataclass(frozen=True)
class Filmstrip:
    """Moments of some chains: t, x_t and the estimate of x_0, each (images, C, H, W)."""

    t: Sequence[int]
    x: Sequence[ImageBatch]
    x_0: Sequence[ImageBatch]


def run_page(
    experiment: Experiment, parameters: int, rows: Sequence[dict[str, Any]], bits: Fact, sections: Sequence[Figure]
) -> str:
    """The whole page as HTML."""
    facts = [
        bits,
        Fact(f"{parameters:,}", "parameters"),
        *[Fact(f"{last['step']:,}", f"steps in {last['seconds'] / 60:.1f} minutes") for last in rows[-1:]],
        Fact(f"{experiment.schedule.name}, T = {experiment.schedule.T}", "schedule"),
        Fact(experiment.process.variance, "variance of the reverse process"),
    ]
    return page(
        f"A diffusion model of {experiment.data.source}",
        "Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020), trained with ddpm.",
        facts,
        sections,
        f"Preset {experiment.preset}, seed {experiment.training.seed}. ddpm evaluate RUN --data SOURCE recomputes the bits.",
    )


def exact_bits(bound: Bound) -> Fact:
    """The bound, for the top of the page."""
    return Fact(
        f"{bound.total:.3f} ± {bound.stderr:.3f}",
        f"bits/dim of {bound.images} held-out {'image' if bound.images == 1 else 'images'}",
    )


def estimated_bits(rows: Sequence[dict[str, Any]]) -> Fact:
    """The last estimate of the bound while training, if there was any."""
    found = [row for row in rows if "bits_per_dim" in row]
    if not found:
        return Fact("not measured", "bits/dim of held-out images")
    row = found[-1]
    value = f"{row['bits_per_dim']:.3f} ± {row['bits_per_dim_stderr']:.3f}"
    return Fact(value, f"bits/dim of held-out images (estimate at step {row['step']:,})")


def preview(image: Image.Image, classes: Sequence[str] = ()) -> Figure:
    """The last grid that training left; of a model of classes it has them in columns, one after the other."""
    names = ", ".join(classes[:NAMED]) + (", ..." if len(classes) > NAMED else "")
    told = f" Its columns are of the classes, in this order and again: {html.escape(names)}." if classes else ""
    return Figure(
        "Samples",
        picture(image, "samples"),
        f"Drawn while training by DDIM in a few steps, from the same noise each time.{told}",
        r"x_{t-1} = \sqrt{\bar\alpha_{t-1}}\,\hat x_0 + \sqrt{1-\bar\alpha_{t-1}}\,\epsilon_\theta(x_t, t)",
    )


def samples(drawn: ImageBatch, moving: Path, levels: int) -> Figure:
    """Samples, and how they came about."""
    still = picture(square(to_pictures(drawn, levels)), "samples")
    return Figure(
        "Samples",
        f'<div class="pair"><div>{still}<p>Drawn from the model; not chosen.</p></div>'
        f"<div>{animation(moving, 'the same samples, from noise to image')}"
        "<p>The same chains, from x<sub>T</sub> to x<sub>0</sub>.</p></div></div>",
        "Algorithm 2: start from noise, and at each step draw from the reverse process. The last step adds none. (The "
        "estimate of x<sub>0</sub> inside it is kept in [−1, 1] if the process says so.)",
        r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,"
        r"\epsilon_\theta(x_t, t)\right) + \sigma_t z, \quad z \sim \mathcal{N}(0, I)",
    )


def film(strip: Filmstrip, levels: int) -> Figure:
    """One row an image, one column a moment: first x_t, then the estimates of x_0."""

    def drawing(moments: Sequence[ImageBatch]) -> str:
        by_image = torch.stack([to_pictures(x, levels) for x in moments], dim=1)
        sheet = tile(by_image.flatten(0, 1), len(moments))
        return filmstrip([f"t = {t}" for t in strip.t], sheet, "moments of some chains")

    return Figure(
        "From noise to image",
        drawing(strip.x) + drawing(strip.x_0),
        "Above: x<sub>t</sub> at some t. Below: what the network took the image to be when it made that "
        "x<sub>t</sub>. Large features come first, details last.",
        r"x_0 \approx \hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\,\epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
    )


MINIMISED = {
    "simple": r"L_{\mathrm{simple}} = E_{t, x_0, \epsilon}\left\|y - y_\theta("
    r"\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon,\ t)\right\|^2,\quad y = TARGET",
    "weighted": r"E_{t, x_0, \epsilon}\ T\,w_t \left\|\epsilon - \epsilon_\theta(x_t, t)\right\|^2",
    "variational": r"L = E\left[L_T + L_{T-1} + \cdots + L_1 + L_0\right]",
}
TARGETS = {
    "eps": r"\epsilon",
    "x0": "x_0",
    "mean": r"\tilde\mu_t(x_t, x_0)",
    "v": r"\sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0",
}


def minimised(experiment: Experiment) -> str:
    """The formula of the training objective; the hybrid is L_simple and a little of the bound."""
    name = {"hybrid": "simple"}.get(experiment.objective, experiment.objective)
    tex = MINIMISED[name].replace("TARGET", TARGETS[experiment.process.prediction])
    return r"L_{\mathrm{simple}} + 0.001\,L_{\mathrm{vlb}},\quad " + tex if experiment.objective == "hybrid" else tex


def learning(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> Figure:
    """Loss and held-out bound over the steps."""
    return Figure(
        "Learning",
        style.svg(plots.training(rows)),
        "Left: what training minimises. Right: the bound of held-out images on the same times and noise each time, with "
        "the weights' moving average; the band is one standard error over images.",
        minimised(experiment),
    )


def bits(bound: Bound) -> list[Figure]:
    """The bound term by term, and the rate-distortion curve."""
    return [
        Figure(
            "The bound, term by term",
            style.svg(plots.bound_by_t(bound)),
            f"How many bits each part of the code for a held-out image takes ({bound.images} images, each once, every t, "
            "fresh noise for each). An upper bound on the negative log-likelihood: pixels are coded by the exact mass of "
            "their bins.",
            r"L = D_{KL}(q(x_T|x_0)\,\|\,p(x_T)) + \sum_{t=2}^{T} D_{KL}(q(x_{t-1}|x_t,x_0)\,\|\,p_\theta(x_{t-1}|x_t))"
            r" - \log p_\theta(x_0|x_1)",
        ),
        Figure(
            "Progressive lossy compression",
            style.svg(plots.rate_distortion(bound)),
            "If x<sub>T</sub>, x<sub>T−1</sub>, … were sent one after the other, how many bits would have arrived, and "
            "how far would the estimate of the image be from it? (Section 4.3 of the paper, Figure 5.)",
            r"R(t) = L_T + \sum_{s=t+1}^{T} L_{s-1}, \quad \mathrm{RMSE}(t) = \sqrt{E\,\|x_0 - "
            r"\hat x_0(x_t, t)\|^2 / D}",
        ),
    ]


def schedule(q: Schedule, name: str) -> Figure:
    """The schedule."""
    return Figure(
        "The schedule",
        style.svg(plots.schedule(q, name)),
        "How much of the image is left at each step, on two scales, and the two fixed variances between which the best "
        "one lies when the data have unit variance.",
        r"q(x_t|x_0) = \mathcal{N}(\sqrt{\bar\alpha_t}\,x_0, (1-\bar\alpha_t) I), \quad \tilde\beta_t = "
        r"\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t",
    )
