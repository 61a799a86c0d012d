r"""Langevin dynamics at every noise level (section 3.2; E58-E59), alone or between the steps of another sampler.

A Langevin step of size eta, :math:`x \leftarrow x + \frac\eta2\nabla\log q(x_t) + \sqrt\eta\,z`, leaves q(x_t) where it is, but for an
error of first order in eta; going down a level, :math:`x_t/\sqrt{\bar\alpha_t}` is kept.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import Noise, sum_flat


@dataclass(frozen=True)
class Annealed(Sampler):
    """Annealed Langevin dynamics: `corrections` steps at each level, from the noisiest to the first; then the estimate of x_0.

    Raises:
        ValueError: fewer than 1 correction, or a size that is not positive.
    """

    corrections: int = 1
    size: float = 1.0

    def __post_init__(self) -> None:
        if self.corrections < 1 or not self.size > 0:
            raise ValueError(f"corrections must be at least 1 and size above 0, got {self.corrections} and {self.size}")

    def evaluations(self, T: int) -> int:
        """Those of the corrections, and one for the estimate at the end."""
        return self.corrections * T + 1

    @abstractmethod
    def eta(self, p: ReverseProcess, t: int) -> float:
        """The size of the steps at t."""

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """All steps at t, and down."""
        x, x_0, eta = here.x, here.x_0, self.eta(p, here.t)
        for _ in range(self.corrections):
            x_0 = p.estimate(x, here.t)
            x = x + eta / 2 * p.q.score(x, x_0, here.t) + math.sqrt(eta) * noise(x)
        if here.t == 1:
            x_0 = p.estimate(x, 1)
            return here.down(x_0, x_0)
        alpha = float(p.schedule.alpha[here.t])
        return here.down(x / math.sqrt(alpha) if alpha > 0 else x, x_0)


@dataclass(frozen=True)
class Langevin(Annealed):
    r"""With the paper's step, :math:`\eta_t = \beta_t` times `size`: the noise of Algorithm 2 and half of its drift (E58).

    One step a level is too few: half the drift cannot keep up with the falling noise, and N(0, 1/4) comes out with a
    variance of 3.2 (linear, T = 1000; with 4 steps 0.33). `size` beyond 1 is cut at the variance
    :math:`1-\bar\alpha_t` of the noise, where a step no longer contracts.
    """

    corrections: int = 4

    def eta(self, p: ReverseProcess, t: int) -> float:
        """Derived from the forward process, not tuned (appendix C)."""
        return min(self.size * float(p.schedule.beta[t]), float(p.schedule.one_minus_alpha_bar[t]))


@dataclass(frozen=True)
class SongLangevin(Annealed):
    r"""With the step of NCSN (Song & Ermon 2019, algorithm 1): proportional to :math:`\sigma_t^2`, `size` times it.

    There :math:`\bar x = x_t/\sqrt{\bar\alpha_t}` takes steps of :math:`\text{size}\cdot(1-\bar\alpha_t)/\bar\alpha_t`, which is
    :math:`\text{size}\cdot(1-\bar\alpha_t)` for x_t. Their epsilon of 2e-5 at sigma_L = 0.01 is a size of 0.2, with 100 corrections.
    """

    corrections: int = 5
    size: float = 0.2

    def eta(self, p: ReverseProcess, t: int) -> float:
        """A fixed fraction of the noise's variance."""
        return self.size * float(p.schedule.one_minus_alpha_bar[t])


@dataclass(frozen=True)
class Corrected(Sampler):
    r"""Predictor-corrector (Song et al. 2021, algorithms 3 and 5): a step of another sampler, then Langevin steps at its end.

    At x_t :math:`x \leftarrow x + \epsilon g + \sqrt{2\epsilon}z` with the score g and
    :math:`\epsilon = 2\alpha_t(\text{snr}\,\|z\|/\|g\|)^2`; norms are each image's own (theirs are means over the batch), so that
    images do not depend on one another. A predictor that starts again from where it was before (`uses_earlier_x`) would undo
    the correction.

    Raises:
        ValueError: fewer than 1 correction, an snr that is not positive, or such a predictor.
    """

    snr: float = 0.16
    corrections: int = 1
    predictor: Sampler = field(default_factory=Ancestral)

    def __post_init__(self) -> None:
        if self.corrections < 1 or not self.snr > 0:
            raise ValueError(f"corrections must be at least 1 and snr above 0, got {self.corrections} and {self.snr}")
        if self.predictor.uses_earlier_x:
            raise ValueError(f"{type(self.predictor).__name__} goes on from an x before the corrections")

    @property
    def uses_variance(self) -> bool:
        """As the predictor."""
        return self.predictor.uses_variance

    def evaluations(self, T: int) -> int | None:
        """The predictor's, and those of the corrections at T - 1, ..., 1."""
        made = self.predictor.evaluations(T)
        return None if made is None else made + self.corrections * (T - 1)

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """Down to t - 1 and corrected there; the last step is the predictor's."""
        there = self.predictor.step(p, here, noise)
        if there.t == 0:
            return there
        x, alpha = there.x, float(p.schedule.alpha[there.t])
        for _ in range(self.corrections):
            gradient, z = p.score(x, there.t), noise(x)
            ratio = self.snr**2 * sum_flat(z**2) / sum_flat(gradient**2)
            size = 2 * alpha * ratio.reshape(-1, *[1] * (x.ndim - 1))
            x = x + size * gradient + (2 * size).sqrt() * z
        return replace(there, x=x)
