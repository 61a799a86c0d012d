r"""Heun's method with noise between the steps (Karras et al. 2022), on the variance-preserving chain as it is.

In :math:`\bar x = x_t/\sqrt{\bar\alpha_t}` and :math:`\sigma_t = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}` the probability flow is
:math:`d\bar x/d\sigma = (\bar x - \hat x_0)/\sigma`: the change of variables is exact, and the noise levels are the chain's own.
"""

import math
from dataclasses import dataclass, replace

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import ImageBatch, Noise


@dataclass(frozen=True)
class Heun(Sampler):
    r"""EDM's algorithm 2: a step of Euler, and again with the mean of the slopes at both ends; two evaluations but for the last.

    `churn` > 0 first adds noise, up to :math:`\sigma_t(1 + \gamma)`, :math:`\gamma = \min(\text{churn}/T, \sqrt2-1)`, where
    `low` <= sigma_t <= `high`: by q itself, to the nearest step at which the network was trained; `inflate` scales it. Where
    alpha_bar = 0 sigma is infinite: that step is DDIM's, with its slope at one end.

    Raises:
        ValueError: churn is negative, or inflate not positive.
    """

    churn: float = 0.0
    low: float = 0.0
    high: float = math.inf
    inflate: float = 1.0

    def __post_init__(self) -> None:
        if not self.churn >= 0 or not self.inflate > 0:
            raise ValueError(f"churn must be at least 0 and inflate above it, got {self.churn} and {self.inflate}")

    def evaluations(self, T: int) -> int:
        """Two for each step but the last, which is Euler's."""
        return 2 * T - 1

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Up by the churn, down to t - 1."""
        whole = replace(p, schedule=p.schedule.whole)
        there, x = self._up(p, here, noise)
        x_0 = whole.estimate(x, there)
        if here.t == 1:
            return here.down(x_0, x_0)
        begin, end = _sigma(whole, there), _sigma(p, here.t - 1)
        if begin == math.inf:
            return here.down(p.q.sample(x_0, here.t - 1, p.q.noise(x, x_0, here.t)), x_0)
        scaled, signal = x / _signal(whole, there), _signal(p, here.t - 1)
        slope = (scaled - x_0) / begin
        x_prev = scaled + (end - begin) * slope
        x_0 = p.estimate(signal * x_prev, here.t - 1)
        slope = (slope + (x_prev - x_0) / end) / 2
        return here.down(signal * (scaled + (end - begin) * slope), x_0)

    def _up(self, p: ReverseProcess, here: Step, noise: Noise) -> tuple[int, ImageBatch]:
        """The step of the whole chain from which to go down, and x there."""
        whole = p.schedule.whole
        place = int(p.schedule.kept[here.t])
        sigma = _sigma(p, here.t)
        gamma = min(self.churn / p.schedule.T, math.sqrt(2) - 1)
        if gamma == 0 or not self.low <= sigma <= self.high:
            return place, here.x
        wanted = -2 * math.log(sigma * (1 + gamma))
        there = place + int((whole.log_snr[place:] - wanted).abs().argmin())
        if there == place:
            return place, here.x
        up = replace(p, schedule=whole).q.between(here.x, place, there)
        return there, up.mean + self.inflate * (0.5 * up.log_var).exp() * noise(here.x)


def _sigma(p: ReverseProcess, t: int) -> float:
    return float(torch.exp(-0.5 * p.schedule.log_snr[t]))


def _signal(p: ReverseProcess, t: int) -> float:
    return math.sqrt(float(p.schedule.alpha_bar[t]))
