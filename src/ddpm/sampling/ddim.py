"""Denoising diffusion implicit models (Song, Meng, Ermon 2021): other chains with the same marginals, down to noiseless."""

from dataclasses import dataclass

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import Noise, at


@dataclass(frozen=True)
class DDIM(Sampler):
    r""":math:`x_{t-1} = \sqrt{\bar\alpha_{t-1}}\hat x_0 + \sqrt{1-\bar\alpha_{t-1}-\sigma_t^2}\hat\epsilon+\sigma_t z`.

    With :math:`\sigma_t^2 = \eta^2\tilde\beta_t` (Song et al. 2021, Eq. 12): eta = 0 draws no noise, eta = 1 is
    ancestral sampling with the small variance. epsilon is the one that belongs to the (limited) estimate of x_0.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear())
        >>> *_, last = ddpm.chain(p.respace([1, 250, 500, 750, 1000]), torch.randn(2, 3, 8, 8), ddpm.DDIM())  # 5 evaluations
        >>> last.t, last.x.shape
        (0, torch.Size([2, 3, 8, 8]))

    Raises:
        ValueError: eta is outside 0..1.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must be in 0..1, got {self.eta}")

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """At t = 1, alpha_bar_0 = 1 and beta_tilde_1 = 0 leave the estimate of x_0 itself."""
        x_0 = p.estimate(here.x, here.t)
        signal = at(p.schedule.alpha_bar, here.t - 1, x_0)
        var = self.eta**2 * at(p.schedule.beta_tilde, here.t, x_0)
        direction = (at(p.schedule.one_minus_alpha_bar, here.t - 1, x_0) - var).clamp(min=0).sqrt()
        x_prev = torch.addcmul(signal.sqrt() * x_0, direction, p.q.noise(here.x, x_0, here.t))
        if self.eta > 0 and here.t > 1:
            x_prev = x_prev + var.sqrt() * noise(here.x)
        return here.down(x_prev, x_0)
