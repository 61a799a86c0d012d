"""Multistep solvers of the probability flow: an order higher for every estimate that is remembered, at no evaluation more."""

from dataclasses import dataclass

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.sampling.exponential import flow_step
from ddpm.tensors import ImageBatch, Noise


@dataclass(frozen=True)
class Multistep(Sampler):
    """The polynomial through the last `order` estimates of x_0, integrated exactly (Lu et al. 2022; Zhang & Chen 2023).

    Order 1 is DDIM; the first steps, which remember less, are of lower order. In very few steps a line extrapolates better
    than a parabola, hence the default. Draws no noise.

    Raises:
        ValueError: the order is not 1, 2 or 3.
    """

    order: int = 2

    def __post_init__(self) -> None:
        _check_order(self.order)

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One evaluation; the last step is the estimate of x_0."""
        x_0 = p.estimate(here.x, here.t)
        if here.t == 1:
            return here.down(x_0, x_0)
        return here.down(flow_step(p.schedule, here.x, here.t, remembered(here, x_0)[: self.order]), x_0)


@dataclass(frozen=True)
class PredictorCorrector(Sampler):
    """The steps of `Multistep`, each made again with the estimate at its end (UniPC: Zhao et al. 2023).

    The estimate that the next step needs anyway corrects the one before: an order more at no evaluation more, where the
    memory of three estimates reaches, so orders 1 and 2 are in truth 2 and 3, and 3 is 3. (The integrals are exact for every
    order, where UniPC takes a half for the coefficient of a line.) Draws no noise.

    Raises:
        ValueError: the order is not 1, 2 or 3.
    """

    order: int = 2

    def __post_init__(self) -> None:
        _check_order(self.order)

    @property
    def uses_earlier_x(self) -> bool:
        """The correction starts from the x of the step before."""
        return True

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One evaluation, at the uncorrected x_t."""
        x_0 = p.estimate(here.x, here.t)
        if here.t == 1:
            return here.down(x_0, x_0)
        known = remembered(here, x_0)
        x = here.x
        if here.before is not None:
            x = flow_step(p.schedule, here.before.x, here.t + 1, known[: self.order + 1])
        corrected = Step(here.t, x, here.x_0, here.made)
        return corrected.down(flow_step(p.schedule, x, here.t, known[: self.order]), x_0)


def _check_order(order: int) -> None:
    if order not in (1, 2, 3):
        raise ValueError(f"order must be 1, 2 or 3, got {order}")


def remembered(here: Step, x_0: ImageBatch) -> list[tuple[int, ImageBatch]]:
    """This estimate and those of at most two steps before, latest first."""
    known = [(here.t, x_0)]
    if here.before is not None:
        known.append((here.t + 1, here.x_0))
        if here.before.made > 0:
            known.append((here.t + 2, here.before.x_0))
    return known
