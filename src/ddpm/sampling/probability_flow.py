"""The probability flow between kept steps, to a tolerance (Song et al. 2021, section 4.3): what other solvers approach."""

from dataclasses import dataclass

import torch

from ddpm.diffusion.flow import NOTHING, integrate, velocity
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import Noise


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
        if self.tolerance <= 0:
            raise ValueError(f"tolerance must be above 0, got {self.tolerance}")

    def evaluations(self, T: int) -> None:
        """As many as it takes, other for each image."""

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Along the flow.

        Raises:
            ValueError: the network predicts the posterior mean.
            Diverged: the network is not finite.
        """
        if here.t == 1:
            x_0 = p.estimate(here.x, 1)
            return here.down(x_0, x_0)
        start, end = (max(float(p.schedule.log_snr[t]), NOTHING) for t in (here.t, here.t - 1))
        rows = [integrate(velocity(p.row(i)), x, start, end, self.tolerance) for i, x in enumerate(here.x.split(1))]
        x = torch.cat(rows)
        return here.down(x, p.estimate(x, here.t - 1))
