"""The paper's sampler: draw from p_theta(x_{t-1}|x_t), step by step (Algorithm 2)."""

from dataclasses import dataclass

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import Noise


@dataclass(frozen=True)
class Ancestral(Sampler):
    r""":math:`x_{t-1} = \mu_\theta(x_t, t) + \sigma_t z`, z = 0 at t = 1: the pixels shown are the mean (E50, E66)."""

    @property
    def uses_variance(self) -> bool:
        """It does."""
        return True

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Lines 3-4 of Algorithm 2."""
        reverse, x_0 = p(here.x, here.t)
        x_prev = reverse.sample(noise(here.x)) if here.t > 1 else reverse.mean
        return here.down(x_prev, x_0)
