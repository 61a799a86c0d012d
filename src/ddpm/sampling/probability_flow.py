"""The probability flow between kept steps, to a tolerance (Song et al. 2021, section 4.3): what other solvers approach."""

from dataclasses import dataclass

import torch

from ddpm.diffusion.flow import NOTHING, integrate, velocity
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import ImageBatch, Noise


@dataclass(frozen=True)
class ProbabilityFlow(Sampler):
    """From x_t to x_{t-1} by an adaptive method of Runge and Kutta, image by image; the last step is the estimate of x_0.

    The kept steps are only where it is looked at: the network is asked at real timesteps between them, as often as
    `tolerance` (of a step, root mean square, in units of x) needs. The estimate is unlimited on the way. Draws no noise.

    Raises:
        ValueError: the tolerance is not positive.
    """

    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")

    @property
    def image_by_image(self) -> bool:
        """It does."""
        return True

    def evaluations(self, T: int) -> None:
        """As many as it takes, other for each image."""

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Along the flow.

        Raises:
            ValueError: the network predicts the posterior mean.
            Diverged: the network is not finite.
        """
        rows = [self._row(p.row(i), x, here.t) for i, x in enumerate(here.x.split(1))]
        x, x_0 = (torch.cat(parts) for parts in zip(*rows, strict=True))
        return here.down(x, x_0)

    def _row(self, p: ReverseProcess, x: ImageBatch, t: int) -> tuple[ImageBatch, ImageBatch]:
        """x_{t-1} of one image, and the estimate of its x_0."""
        if t == 1:
            x_0 = p.estimate(x, 1)
            return x_0, x_0
        start, end = (max(float(p.schedule.log_snr[s]), NOTHING) for s in (t, t - 1))
        x = integrate(velocity(p), x, start, end, self.tolerance)
        return x, p.estimate(x, t - 1)
