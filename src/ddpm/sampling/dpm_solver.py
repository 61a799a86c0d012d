r"""DPM-Solver++ (Lu et al. 2022): the probability flow and its SDE, solved exactly but for the estimate of x_0.

With :math:`a_t = \sqrt{\bar\alpha_t}`, :math:`s_t = \sqrt{1-\bar\alpha_t}` and :math:`\lambda_t = \log(a_t/s_t)` a step of
:math:`h = \lambda_{t-1}-\lambda_t` needs the integral of :math:`\hat x_0` over lambda. Taking it as constant is DDIM; a line
through the last two estimates is the two-step method, of second order at no further evaluation.
"""

import math
from dataclasses import dataclass

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step
from ddpm.tensors import ImageBatch, Noise, at


def _line(p: ReverseProcess, here: Step, x_0: ImageBatch) -> ImageBatch:
    r"""The estimate of x_0 in the middle of the step, by the line through this estimate and the one before.

    The first step has none before, and the last, to :math:`\lambda_0 = \infty`, needs the estimate itself.
    """
    if here.made == 0 or here.t == 1:
        return x_0
    log_snr = p.schedule.log_snr
    before, now, after = (float(log_snr[here.t + i]) for i in (1, 0, -1))
    return x_0 + (after - now) / (2 * (now - before)) * (x_0 - here.x_0)


@dataclass(frozen=True)
class DPMSolver(Sampler):
    r""":math:`x_{t-1} = \frac{s_{t-1}}{s_t}x_t + a_{t-1}(1 - e^{-h})\,D_t`, D_t the estimate of x_0 in the middle of the step.

    DPM-Solver++(2M), algorithm 2 of the paper; draws no noise.
    """

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One evaluation; the last step is the estimate of x_0."""
        x_0 = p.estimate(here.x, here.t)
        if here.t == 1:
            return here.down(x_0, x_0)
        shrink = torch.exp(0.5 * (p.schedule.log_snr[here.t] - p.schedule.log_snr[here.t - 1])).to(x_0)  # e^{-h}
        signal, sigma, sigma_before = _scales(p, here.t - 1, here)
        x_prev = sigma_before / sigma * here.x + signal * (1 - shrink) * _line(p, here, x_0)
        return here.down(x_prev, x_0)


@dataclass(frozen=True)
class DPMSolverSinglestep(Sampler):
    r"""DPM-Solver++(2S), algorithm 1 of the paper, two kept steps at a time; the first of a pair is DDIM.

    The second starts again where the pair began, at x_u, and goes all the way with the line through both estimates:
    :math:`x_{t-1} = \frac{s_{t-1}}{s_u}x_u + a_{t-1}(1-e^{-h})\,(\hat x_0(u) + \frac{1}{2r}(\hat x_0(t)-\hat x_0(u)))`, h and the
    fraction r of it that the first made in lambda. Of second order, like the two-step method, but forgets between pairs.
    """

    @property
    def uses_earlier_x(self) -> bool:
        """The second step of a pair starts again where the pair began."""
        return True

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One evaluation; the last step is the estimate of x_0."""
        x_0 = p.estimate(here.x, here.t)
        if here.t == 1:
            return here.down(x_0, x_0)
        begin, line = here, x_0
        if here.made % 2 and here.before is not None:
            log_snr, begin = p.schedule.log_snr, here.before
            first, middle, last = (float(log_snr[t]) for t in (begin.t, here.t, here.t - 1))
            if first > -math.inf:
                line = here.x_0 + (last - first) / (2 * (middle - first)) * (x_0 - here.x_0)
        shrink = torch.exp(0.5 * (p.schedule.log_snr[begin.t] - p.schedule.log_snr[here.t - 1])).to(x_0)  # e^{-h}
        signal, sigma, sigma_before = _scales(p, here.t - 1, begin)
        return here.down(sigma_before / sigma * begin.x + signal * (1 - shrink) * line, x_0)


@dataclass(frozen=True)
class DPMSolverSDE(Sampler):
    r""":math:`x_{t-1} = \frac{s_{t-1}}{s_t}e^{-h}x_t + a_{t-1}(1-e^{-2h})\,D_t + s_{t-1}\sqrt{1-e^{-2h}}\,z`.

    SDE-DPM-Solver++(2M), the reverse diffusion instead of the flow. With :math:`D_t = \hat x_0` it is ancestral sampling with
    the small variance.
    """

    def step(self, p: ReverseProcess, here: Step, noise: Noise) -> Step:
        """One evaluation; the last step is the estimate of x_0."""
        x_0 = p.estimate(here.x, here.t)
        if here.t == 1:
            return here.down(x_0, x_0)
        log_ratio = p.schedule.log_snr[here.t] - p.schedule.log_snr[here.t - 1]  # -2h
        kept, drawn = torch.exp(0.5 * log_ratio).to(x_0), (-torch.expm1(log_ratio)).to(x_0)
        signal, sigma, sigma_before = _scales(p, here.t - 1, here)
        mean = sigma_before / sigma * kept * here.x + signal * drawn * _line(p, here, x_0)
        return here.down(mean + sigma_before * drawn.sqrt() * noise(here.x), x_0)


def _scales(p: ReverseProcess, t: int, begin: Step) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """a_t, the s at which the step begins, and s_t."""
    noise = p.schedule.one_minus_alpha_bar
    return (
        at(p.schedule.alpha_bar, t, begin.x).sqrt(),
        at(noise, begin.t, begin.x).sqrt(),
        at(noise, t, begin.x).sqrt(),
    )
