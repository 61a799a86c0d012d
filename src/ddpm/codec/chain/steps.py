r"""One step of the chain in both directions: q(k_t | x_{t-1}), which the image is hidden by, and p(k_{t-1} | k_t).

p is Bayes' rule on the lattice itself: what the denoiser knows of x_{t-1} besides x_t, times the q that k_t was drawn by. Where
noise is rounding alone, that is far from a normal distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ddpm.codec.chain.lattice import RESIDUALS, Numbers, Pixels, Rounded, dither, mass, window
from ddpm.codec.chain.profile import CERTAIN
from ddpm.codec.chain.stack import Stack
from ddpm.codec.denoiser import Estimate
from ddpm.codec.profile import Level
from ddpm.codec.tables import ONE, Real, Whole, below

KNOWS = 0.98
"""Of the noise that it was shown, a denoiser is taken to know no less than this share of the variance away."""


@dataclass(frozen=True, eq=False)
class ChainStep:
    """Step t of an image of 0..levels-1, from x_{t-1} to x_t on a lattice of `spacing` times the step's noise and of dither `u`.

    `before` is step t - 1, None where x_{t-1} is the image.
    """

    level: Level
    spacing: float
    u: Real
    levels: int
    before: "ChainStep | None"

    @cached_property
    def half(self) -> float:
        """Grey levels in a unit."""
        return (self.levels - 1) / 2

    @cached_property
    def alpha_bar_before(self) -> float:
        """That of x_{t-1}."""
        return self.before.level.alpha_bar if self.before else 1.0

    @cached_property
    def alpha(self) -> float:
        """How much of x_{t-1} is in x_t, squared."""
        return self.level.alpha_bar / self.alpha_bar_before

    @cached_property
    def delta(self) -> float:
        """The spacing of the lattice of x_t."""
        return self.spacing * float(np.sqrt(1 - self.alpha))

    @cached_property
    def deviation(self) -> float:
        """Of k_t: what Sheppard's correction leaves of the step's noise, in spacings. 0 where rounding is all of it."""
        return float(np.sqrt(1 / (self.spacing * self.spacing) - 1 / 12)) if self.spacing < CERTAIN else 0.0

    def x(self, k: Whole) -> Real:
        """x_t at k_t."""
        return self.delta * (k + self.u)

    def x_before(self, k_before: Whole) -> Real:
        """x_{t-1} at k_{t-1}."""
        return self.before.x(k_before) if self.before else k_before / self.half - 1

    def place(self, x_t: Real) -> Real:
        """Where x_t lies, in k_t; no whole number."""
        return x_t / self.delta - self.u

    def forward(self, x_before: Real) -> Numbers | Rounded:
        """q(k_t | x_{t-1})."""
        mean = self.place(float(np.sqrt(self.alpha)) * x_before)
        centre = np.rint(mean).astype(np.int64)
        if self.deviation == 0:
            return Rounded(centre)
        return Numbers(centre, window(centre, mean, np.full_like(mean, self.deviation)))

    def likelihood(self, k: Whole, x_before: Real) -> Whole:
        """q(k | x_{t-1}) in units of 2^-30, of k (D,) for candidates (n, D) of x_{t-1}."""
        mean = self.place(float(np.sqrt(self.alpha)) * x_before)
        if self.deviation == 0:
            return np.where(np.rint(mean) == k, ONE, 0)
        return mass(k, mean, self.deviation)

    def prior(self) -> Numbers:
        """p(k_t) where x_t is noise alone."""
        mean = self.place(np.zeros_like(self.u))
        centre = np.rint(mean).astype(np.int64)
        deviation = np.full_like(mean, np.sqrt(1 / (self.delta * self.delta) - 1 / 12))
        return Numbers.anywhere(centre, window(centre, mean, deviation))

    def backward(self, k: Whole, estimate: Estimate) -> Numbers | Pixels:
        """p(k_{t-1} | k_t), or p(x_0 | k_1), by the denoiser's estimate at x_t."""
        if self.before is None:
            return self._pixels(k, estimate)
        before, alpha_bar = self.before, self.level.alpha_bar
        c_0 = float(np.sqrt(before.level.alpha_bar)) * (1 - self.alpha) / (1 - alpha_bar)  # Eq. 7
        c_t = float(np.sqrt(self.alpha)) * (1 - before.level.alpha_bar) / (1 - alpha_bar)
        middle = before.place(c_0 * (estimate.mean / self.half - 1) + c_t * self.x(k))
        centre = np.rint(middle).astype(np.int64)
        candidates = centre + RESIDUALS[:, None]
        likelihood = self.likelihood(k, before.x(candidates))
        expected = before.expected(candidates, *self._besides(k, estimate))
        return Numbers.anywhere(centre, ((expected * likelihood) >> 30).T)

    def expected(self, k: Whole, mean: Real, deviation: Real) -> Whole:
        """The mass of k_t where x_0 is normal, in grey levels; of candidates (n, D)."""
        if self.before is None and self.deviation == 0:
            ends = np.stack([self.first(k), self.first(k + 1)])
            lower, upper = below(ends - 1, mean, deviation, self.levels)
            return upper - lower
        alpha_bar = self.level.alpha_bar
        variance = (alpha_bar * (deviation / self.half) ** 2 + (1 - alpha_bar)) / (self.delta * self.delta) - 1 / 12
        return mass(k, self.place(float(np.sqrt(alpha_bar)) * (mean / self.half - 1)), np.sqrt(variance))

    def first(self, k: Whole) -> Whole:
        """The least pixel that `forward` rounds to k_1 or more: 0..levels."""
        root = float(np.sqrt(self.alpha))
        found = np.ceil((self.delta * (k - 0.5 + self.u) / root + 1) * self.half).astype(np.int64) - 1
        for _ in range(2):  # the division may have rounded to either side
            found += np.rint(self.place(root * (found / self.half - 1))) < k
        return found.clip(0, self.levels)

    def _besides(self, k: Whole, estimate: Estimate) -> tuple[Real, Real]:
        r"""What the denoiser knows of x_0 but for the pixel's own x_t, in grey levels.

        Its estimate (m, v) holds the observation :math:`y = x_t / \sqrt{\bar\alpha_t}` of noise variance s^2:
        :math:`1/v_c = 1/v - 1/s^2,\ m_c = v_c (m/v - y/s^2)`.
        """
        alpha_bar = self.level.alpha_bar
        of_y = (1 - alpha_bar) / alpha_bar * (self.half * self.half)
        y = (self.x(k) / float(np.sqrt(alpha_bar)) + 1) * self.half
        variance = np.minimum(estimate.deviation(self.level) ** 2, KNOWS * of_y)
        cleared = 1 / (1 / variance - 1 / of_y)
        return cleared * (estimate.mean / variance - y / of_y), np.sqrt(cleared)

    def _pixels(self, k: Whole, estimate: Estimate) -> Pixels:
        """Within the cell that was rounded to k_1; where there was more noise, anywhere."""
        if self.deviation == 0:
            mean, deviation = self._besides(k, estimate)
            return Pixels(self.first(k), self.first(k + 1) - 1, mean, deviation, self.levels)
        ends = np.zeros_like(k), np.full_like(k, self.levels - 1)
        return Pixels(*ends, estimate.mean, estimate.deviation(self.level), self.levels)


PART = 2**14
"""Numbers of an image at a time: what a step needs of memory is the same for every image."""


@dataclass(frozen=True, eq=False)
class WholeStep:
    """Step t of an image of any size, part by part. What one method pushes, the other of the same name pops."""

    parts: list[tuple[slice, ChainStep]]

    @property
    def level(self) -> Level:
        """That of x_t."""
        return self.parts[0][1].level

    def x(self, k: Whole) -> Real:
        """x_t at k_t (D,)."""
        return np.concatenate([step.x(k[part]) for part, step in self.parts])

    def x_before(self, k_before: Whole) -> Real:
        """x_{t-1} at k_{t-1} (D,)."""
        return np.concatenate([step.x_before(k_before[part]) for part, step in self.parts])

    def pop_forward(self, stack: Stack, x_before: Real) -> Whole:
        """k_t ~ q(k_t | x_{t-1}), drawn by the bits of the stack."""
        return np.concatenate([step.forward(x_before[part]).pop(stack) for part, step in self.parts])

    def push_forward(self, stack: Stack, x_before: Real, k: Whole) -> None:
        """Give those bits back."""
        for part, step in reversed(self.parts):
            step.forward(x_before[part]).push(stack, k[part])

    def push_backward(self, stack: Stack, k: Whole, estimate: Estimate, k_before: Whole) -> None:
        """k_{t-1}, as p(k_{t-1} | k_t) says."""
        for part, step in reversed(self.parts):
            step.backward(k[part], Estimate(estimate.mean[part], estimate.bins[part])).push(stack, k_before[part])

    def pop_backward(self, stack: Stack, k: Whole, estimate: Estimate) -> Whole:
        """What was pushed."""
        estimates = [Estimate(estimate.mean[part], estimate.bins[part]) for part, _ in self.parts]
        found = zip(self.parts, estimates, strict=True)
        return np.concatenate([step.backward(k[part], one).pop(stack) for (part, step), one in found])

    def push_prior(self, stack: Stack, k: Whole) -> None:
        """k_t, as p(k_t) says."""
        for part, step in reversed(self.parts):
            step.prior().push(stack, k[part])

    def pop_prior(self, stack: Stack) -> Whole:
        """What was pushed."""
        return np.concatenate([step.prior().pop(stack) for _, step in self.parts])


def steps_of(levels: int, ladder: Sequence[Level], spacings: Sequence[float], image: int, size: int) -> list[WholeStep]:
    """Steps 1..K of the image of that number in its group, of `size` numbers."""
    cuts = [slice(first, first + PART) for first in range(0, size, PART)]
    found: list[WholeStep] = []
    for t, (level, spacing) in enumerate(zip(ladder, spacings, strict=True), start=1):
        u = dither(t, image, size)
        before = [step for _, step in found[-1].parts] if found else [None] * len(cuts)
        steps = [ChainStep(level, spacing, u[cut], levels, one) for cut, one in zip(cuts, before, strict=True)]
        found.append(WholeStep(list(zip(cuts, steps, strict=True))))
    return found
