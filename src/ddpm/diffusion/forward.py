"""The forward process q: how an image turns into noise (section 2, Eq. 2, 4, 6-7).

It has no parameters and needs no loop: any x_t is one jump away from x_0.
"""

from dataclasses import dataclass

import torch

from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import Schedule
from ddpm.tensors import ImageBatch, Times, at


@dataclass(frozen=True)
class ForwardProcess:
    """q, given by its schedule. Images are real tensors (batch, ...) scaled to [-1, 1]; steps are 1..T.

    All methods raise ValueError for a step outside their range. A step is an int, or a tensor (batch,) with one for each
    image.

    Example:
        >>> import ddpm, torch
        >>> q = ddpm.ForwardProcess(ddpm.linear())
        >>> x_0 = torch.rand(2, 3, 32, 32) * 2 - 1
        >>> x_t = q.sample(x_0, torch.tensor([1, 1000]), eps=torch.randn_like(x_0))  # a little noise, and almost nothing else
        >>> x_t.shape
        torch.Size([2, 3, 32, 32])
        >>> torch.equal(q.sample(x_0, 0, eps=torch.randn_like(x_0)), x_0)
        True
    """

    schedule: Schedule

    def step(self, x_prev: ImageBatch, t: Times, eps: ImageBatch) -> ImageBatch:
        r""":math:`x_t = \sqrt{1 - \beta_t}\,x_{t-1} + \sqrt{\beta_t}\,\epsilon` (Eq. 2), for t in 1..T."""
        self.schedule.check(t)
        beta = at(self.schedule.beta, t, x_prev)
        return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps

    def sample(self, x_0: ImageBatch, t: Times, eps: ImageBatch) -> ImageBatch:
        r""":math:`x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1 - \bar\alpha_t}\,\epsilon` (Eq. 4), for t in 0..T."""
        self.schedule.check(t, first=0)
        signal, noise = at(self.schedule.alpha_bar, t, x_0), at(self.schedule.one_minus_alpha_bar, t, x_0)
        return signal.sqrt() * x_0 + noise.sqrt() * eps

    def marginal(self, x_0: ImageBatch, t: Times) -> Gaussian:
        r""":math:`q(x_t|x_0) = \mathcal N(\sqrt{\bar\alpha_t}\,x_0, (1 - \bar\alpha_t)I)` (Eq. 4), for t in 0..T."""
        self.schedule.check(t, first=0)
        return Gaussian(
            at(self.schedule.alpha_bar, t, x_0).sqrt() * x_0, at(self.schedule.log_one_minus_alpha_bar, t, x_0)
        )

    def between(self, x_s: ImageBatch, s: Times, t: Times) -> Gaussian:
        r""":math:`q(x_t|x_s) = \mathcal N(\sqrt{a}\,x_s, (1 - a)I),\ a = \bar\alpha_t/\bar\alpha_s` (E13), for 0 <= s < t <= T."""
        self.schedule.check(s, first=0)
        self.schedule.check(t)
        table = self.schedule.log_alpha_bar
        like = table.new_empty([0] * x_s.ndim)
        log_ratio = at(table, t if isinstance(t, int) else t.cpu(), like) - at(
            table, s if isinstance(s, int) else s.cpu(), like
        )
        if not bool((log_ratio < 0).all()):
            raise ValueError(f"s must come before t, got s = {s} and t = {t}")
        scale, log_var = (0.5 * log_ratio).exp(), (-log_ratio.expm1()).log()
        return Gaussian(scale.to(x_s) * x_s, log_var.to(x_s))

    def posterior(self, x_t: ImageBatch, x_0: ImageBatch, t: Times) -> Gaussian:
        r""":math:`q(x_{t-1}|x_t, x_0) = \mathcal N(\tilde\mu_t(x_t, x_0), \tilde\beta_t I)` (Eq. 6-7), for t in 1..T.

        At t = 1 this is the point mass at x_0: mean x_0, log-variance -inf.
        """
        return Gaussian(self.posterior_mean(x_t, x_0, t), at(self.schedule.beta_tilde, t, x_t).log())

    def posterior_mean(self, x_t: ImageBatch, x_0: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\tilde\mu_t(x_t, x_0)` alone (Eq. 7), for t in 1..T."""
        self.schedule.check(t)
        weighted = at(self.schedule.posterior_x_0, t, x_0) * x_0
        return torch.addcmul(weighted, at(self.schedule.posterior_x_t, t, x_t), x_t)

    def score(self, x_t: ImageBatch, x_0: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\nabla_{x_t}\log q(x_t|x_0) = (\sqrt{\bar\alpha_t}x_0 - x_t)/(1-\bar\alpha_t)` (E55), for t in 1..T."""
        return -self.noise(x_t, x_0, t) / at(self.schedule.one_minus_alpha_bar, t, x_t).sqrt()

    def noise(self, x_t: ImageBatch, x_0: ImageBatch, t: Times) -> ImageBatch:
        r""":math:`\epsilon = (x_t - \sqrt{\bar\alpha_t}\,x_0) / \sqrt{1 - \bar\alpha_t}` (Eq. 4, solved), for t in 1..T."""
        self.schedule.check(t)
        signal, noise = at(self.schedule.alpha_bar, t, x_t), at(self.schedule.one_minus_alpha_bar, t, x_t)
        return torch.addcmul(x_t, signal.sqrt(), x_0, value=-1) / noise.sqrt()
