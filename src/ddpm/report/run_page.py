"""The page of a trained run: what it learned, what that costs in bits, and on which schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ddpm.diffusion.schedule import Schedule
from ddpm.evaluation.rate import Bound
from ddpm.experiment import Experiment
from ddpm.report import figures
from ddpm.report.page import Fact, Figure, animation, page, picture
from ddpm.report.pictures import square, tile, to_pictures
from ddpm.tensors import Images


@dataclass(frozen=True)
class Filmstrip:
    """Moments of some chains: t, x_t and the estimate of x_0, each (images, C, H, W)."""

    t: Sequence[int]
    x: Sequence[Images]
    x_0: Sequence[Images]


@dataclass(frozen=True)
class RunPage:
    """What the page is made of."""

    experiment: Experiment
    schedule: Schedule
    parameters: int
    rows: Sequence[dict[str, Any]]
    samples: Images
    film: Filmstrip
    animation: Path
    bound: Bound
    held_out: str

    def html(self) -> str:
        """The whole page."""
        return page(
            f"A diffusion model of {self.experiment.data.source}",
            "Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020): trained, sampled and measured by ddpm.",
            self._facts(),
            [*self._pictures(), *self._curves()],
            f"Preset {self.experiment.preset}, seed {self.experiment.training.seed}. "
            "Every number can be recomputed: ddpm evaluate RUN --json FILE.",
        )

    def _facts(self) -> list[Fact]:
        bound, last = self.bound, self.rows[-1]
        return [
            Fact(f"{bound.total:.3f} ± {bound.stderr:.3f}", f"bits/dim of {bound.images} held-out images"),
            Fact(f"{self.parameters:,}", "parameters"),
            Fact(f"{last['step']:,}", f"steps in {last['seconds'] / 60:.1f} minutes"),
            Fact(f"{self.experiment.schedule.name}, T = {self.schedule.T}", "schedule"),
            Fact(self.experiment.process.variance, "variance of the reverse process"),
        ]

    def _pictures(self) -> list[Figure]:
        levels = self.experiment.data.levels
        samples = picture(square(to_pictures(self.samples, levels)), "samples")
        moving = animation(self.animation, "the same samples, from noise to image")
        return [
            Figure(
                "Samples",
                f'<div class="pair"><div>{samples}<p>Drawn from the model; not chosen.</p></div>'
                f"<div>{moving}<p>The same chains, from x_T to x_0.</p></div></div>",
                "Algorithm 2: start from noise, and at each step draw from the reverse process. The last step adds none.",
                r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,"
                r"\epsilon_\theta(x_t, t)\right) + \sigma_t z, \quad z \sim \mathcal{N}(0, I)",
            ),
            Figure(
                "From noise to image",
                self._strip(self.film.x) + self._strip(self.film.x_0),
                f"Upper rows: x_t for t = {', '.join(str(t) for t in self.film.t)}. Lower rows: what the network takes the "
                "image to be at that moment. Large features come first, details last.",
                r"x_0 \approx \hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\,\epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
            ),
        ]

    def _strip(self, moments: Sequence[Images]) -> str:
        """One row an image, one column a moment."""
        by_image = torch.stack([to_pictures(x, self.experiment.data.levels) for x in moments], dim=1)
        return (
            f'<div style="margin-bottom:14px">{picture(tile(by_image.flatten(0, 1), len(moments)), "filmstrip")}</div>'
        )

    def _curves(self) -> list[Figure]:
        bound = self.bound
        return [
            Figure(
                "Learning",
                figures.svg(figures.training(self.rows)),
                "Left: what training minimises. Right: the bound of held-out images on the same times and noise each time, "
                "with the weights' moving average; the band is one standard error over images.",
                r"L_{\mathrm{simple}} = \mathbb{E}_{t, x_0, \epsilon}\left\|\epsilon - \epsilon_\theta("
                r"\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon,\ t)\right\|^2",
            ),
            Figure(
                "The bound, term by term",
                figures.svg(figures.bound_by_t(bound)),
                f"How many bits each part of the code for a held-out image takes ({self.held_out}; every image once, "
                "every t, fresh noise for each). An upper bound on the negative log-likelihood: the pixels are coded by "
                "the exact mass of their bins.",
                r"L = D_{KL}(q(x_T|x_0)\,\|\,p(x_T)) + \sum_{t=2}^{T} D_{KL}(q(x_{t-1}|x_t,x_0)\,\|\,p_\theta(x_{t-1}|x_t))"
                r" - \log p_\theta(x_0|x_1)",
            ),
            Figure(
                "Progressive lossy compression",
                figures.svg(figures.rate_distortion(bound)),
                "If x_T, x_{T−1}, … were sent one after the other, how many bits would have arrived, and how far would the "
                "estimate of the image be from it? (Section 4.3 of the paper, Figure 5.)",
                r"R(t) = L_T + \sum_{s=t+1}^{T} L_{s-1}, \quad \mathrm{RMSE}(t) = \sqrt{\mathbb{E}\,\|x_0 - "
                r"\hat x_0(x_t, t)\|^2 / D}",
            ),
            Figure(
                "The schedule",
                figures.svg(figures.schedule(self.schedule, self.experiment.schedule.name)),
                "How much of the image is left at each step, on two scales, and the two fixed variances between which "
                "the best one lies when the data have unit variance.",
                r"q(x_t|x_0) = \mathcal{N}(\sqrt{\bar\alpha_t}\,x_0, (1-\bar\alpha_t) I), \quad \tilde\beta_t = "
                r"\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t",
            ),
        ]
