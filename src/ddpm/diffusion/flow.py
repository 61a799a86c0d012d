# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# (scipy carries no types)
r"""The probability flow: the chain without noise, in continuous time, and the density that it gives exactly.

Time is :math:`\lambda = \log\mathrm{SNR}`: x = a x_0 + s eps with :math:`a^2/s^2 = e^\lambda, a^2 + s^2 = 1`. Then
:math:`dx/d\lambda = \frac a2(\hat x_0 - a x)` (Song et al. 2021b, Eq. 13). The network is told real timesteps, so it must
have a smooth idea of time, as sinusoids have. The flow is of the unlimited estimate of x_0: a clamp has kinks, and no
derivative of which a density could be made.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy
import torch
from torch import Tensor

from ddpm.diffusion.bound import term
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.prediction import PointwisePrediction
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import Diverged
from ddpm.tensors import ImageBatch, PerImage, Randomness, noise_from, sum_flat

Field = Callable[[Tensor, float], Tensor]
"""The velocity of a flow: (x, log SNR) -> dx/d(log SNR), of x's shape; each row on its own."""

METHOD = "RK45"
"""Of `scipy.integrate.solve_ivp`. At the tolerances of images it needs half the evaluations of DOP853."""
NOTHING, TOLERANCE = -55.0, 1e-4


def scales(log_snr: float) -> tuple[float, float]:
    """The weights a of the signal and s of the noise."""
    return 1 / math.sqrt(1 + math.exp(-log_snr)), 1 / math.sqrt(1 + math.exp(log_snr))


def ends(schedule: Schedule) -> tuple[float, float]:
    """Log SNR at x_1 and at x_T; where x_T holds nothing of the image, at the millionth part of a millionth of it."""
    log_snr = schedule.log_snr.detach()
    return float(log_snr[1]), max(float(log_snr[-1]), NOTHING)


def towards(x: ImageBatch, x_0: ImageBatch, log_snr: float) -> ImageBatch:
    r""":math:`\frac{dx}{d\lambda} = \frac a2(\hat x_0 - a x) = \frac s2(s x - \hat\epsilon)`, by the estimate of x_0 at x.

    The marginals q(x_t) follow it if the estimate is :math:`E[x_0|x]`.
    """
    a, _ = scales(log_snr)
    return a / 2 * (x_0 - a * x)


def velocity(p: ReverseProcess) -> Field:
    """The flow of p_theta, between log SNR at the first and at the last of the steps at which the network was trained.

    Raises:
        ValueError: the network predicts the posterior mean, which speaks of two steps and has no limit between them.
    """
    prediction, timestep = p.prediction, _timestep(p.schedule.whole)
    if not isinstance(prediction, PointwisePrediction):
        raise ValueError(
            f"the flow needs an estimate at every moment, and {type(prediction).__name__} is of two steps: "
            "predict eps, x0 or v"
        )

    def flow(x: Tensor, log_snr: float) -> Tensor:
        a, s = (x.new_tensor(scale) for scale in scales(log_snr))
        output, *_ = p.at_timestep(x, x.new_full((len(x),), timestep(log_snr)))
        return towards(x, p.project(prediction.origin(a, s, x, output)), log_snr)

    return flow


@lru_cache(maxsize=8)
def _timestep(schedule: Schedule) -> Callable[[float], float]:
    r"""What the network is told at a log SNR: `timestep_map` at the steps, monotone and without kinks between them.

    Interpolated over :math:`\arctan(a/s)`, which is finite where nothing is left of the image, and tells steps apart where
    next to nothing is. Where a network is told log sigma itself (`ddpm.diffusion.denoiser`), nothing is interpolated.
    """
    if torch.equal(schedule.timestep_map[1:], -0.5 * schedule.log_snr[1:]):
        return lambda log_snr: -0.5 * log_snr
    angles = schedule.log_snr.detach()[1:].div(2).exp().atan().flip(0).numpy()
    values = schedule.timestep_map[1:].double().flip(0).numpy()
    if schedule.T == 1:
        return lambda log_snr: float(values[0])
    between = scipy.interpolate.PchipInterpolator(angles, values)
    return lambda log_snr: float(between(math.atan(math.exp(log_snr / 2))))


def integrate(flow: Field, x: ImageBatch, start: float, end: float, tolerance: float = TOLERANCE) -> ImageBatch:
    """Carry images from one noise level to another, forwards or backwards.

    Every image is a problem of its own: the size of its steps, hence the result, does not depend on the others.

    Args:
        flow: dx/d(log SNR).
        x: (batch, ...).
        start: log SNR at x.
        end: log SNR of the result.
        tolerance: error of a step, root mean square over coordinates, in units of x.

    Raises:
        Diverged: the velocity is not finite.
    """
    return torch.cat([_carried(flow, row, start, end, tolerance) for row in x.split(1)])


def _carried(flow: Field, x: ImageBatch, start: float, end: float, tolerance: float) -> ImageBatch:
    def change(log_snr: float, y: Tensor) -> Tensor:
        with torch.no_grad():
            return flow(y.reshape(x.shape), log_snr).flatten()

    return _solve(change, x.flatten(), start, end, x.new_full((x.numel(),), tolerance))[0].reshape(x.shape)


def basis(x: ImageBatch) -> Tensor:
    """Vectors of the exact trace: every direction of an image once, (D, ...), for x (1, ...)."""
    return torch.eye(x[0].numel(), dtype=x.dtype, device=x.device).reshape(-1, *x.shape[1:])


def rademacher(x: ImageBatch, probes: int, random: torch.Generator) -> Tensor:
    r"""Random signs, (probes, ...), scaled so that :math:`E\sum_i v_iv_i^\top = I` (Hutchinson 1990).

    The estimate of the trace is without bias, so that of a log-density is too (a density's would not be).
    """
    signs = torch.randint(0, 2, (probes, *x.shape[1:]), generator=random) * 2.0 - 1
    return (signs / math.sqrt(probes)).to(x)


def divergence(flow: Field, x: ImageBatch, log_snr: float, vectors: Tensor, rows: int) -> tuple[ImageBatch, Tensor]:
    r"""dx/d(log SNR) at one image, (1, ...), and :math:`\sum_i v_i^\top\frac{\partial\dot x}{\partial x}v_i`: the trace.

    One product with the Jacobian for each vector (n, ...), on copies of the image, at most `rows` at a time.
    """
    speed, trace = torch.empty_like(x), x.new_zeros(())
    for part in vectors.split(rows):
        copies = x.detach().repeat(len(part), *[1] * (x.ndim - 1)).requires_grad_()
        with torch.enable_grad():
            speeds = flow(copies, log_snr)
            (pulled,) = torch.autograd.grad(speeds, copies, part)
        speed, trace = speeds[:1].detach(), trace + (pulled * part).sum()
    return speed, trace


@dataclass(frozen=True)
class Density:
    """Log density of one image at the start, nats, (1,), where the flow carried it, and the evaluations that it took."""

    log_prob: PerImage
    end: ImageBatch
    evaluations: int


def density(
    flow: Field, x: ImageBatch, start: float, end: float, vectors: Tensor, tolerance: float = TOLERANCE, rows: int = 64
) -> Density:
    r""":math:`\log p(x) = \log\mathcal N(x_{end}; 0, I) + \int\nabla\cdot\dot x\,d\lambda` (Song et al. 2021b, appendix D.2).

    Args:
        flow: dx/d(log SNR).
        x: one image, (1, ...).
        start: its log SNR.
        end: log SNR at which x is taken for N(0, I).
        vectors: of the trace: `basis`, or `rademacher`; the same all along the way (Grathwohl et al. 2019).
        tolerance: error of a step: of x as in `integrate`, of log p in nats for each coordinate.
        rows: copies of the image at a time.

    Raises:
        Diverged: the velocity is not finite.
    """
    dims = x.numel()

    def change(log_snr: float, y: Tensor) -> Tensor:
        speed, trace = divergence(flow, y[:-1].reshape(x.shape), log_snr, vectors, rows)
        return torch.cat([speed.flatten(), trace[None]])

    # The solver takes the root mean square over all D + 1 components, so one among D would hardly be heard.
    allowed = x.new_tensor([tolerance] * dims + [tolerance * dims / math.sqrt(dims + 1)])
    y, evaluations = _solve(change, torch.cat([x.flatten(), x.new_zeros(1)]), start, end, allowed)
    x_end = y[:-1].reshape(x.shape)
    standard = Gaussian(torch.zeros_like(x_end), torch.zeros_like(x_end))
    return Density(sum_flat(standard.log_prob(x_end)) + y[-1:], x_end, evaluations * len(vectors))


def _solve(
    change: Callable[[float, Tensor], Tensor], y: Tensor, start: float, end: float, allowed: Tensor
) -> tuple[Tensor, int]:
    """Where y ends, and how often `change` was asked; `allowed` is the absolute error of a step, for each component."""
    if start == end:
        return y, 0

    def asked(log_snr: float, values: np.ndarray) -> np.ndarray:
        found = change(log_snr, torch.as_tensor(values).to(y))
        if not bool(found.isfinite().all()):
            raise Diverged(f"the flow of the network is not finite at log SNR {log_snr:.3f}")
        return found.cpu().double().numpy()

    tolerances = allowed.cpu().double().numpy()
    found = scipy.integrate.solve_ivp(
        asked, (start, end), y.cpu().double().numpy(), method=METHOD, rtol=1e-13, atol=tolerances
    )
    if not found.success:
        raise Diverged(f"the flow cannot be followed to the end: {found.message}")
    return torch.as_tensor(found.y[:, -1]).to(y), int(found.nfev)


def nats(
    p: ReverseProcess, x_0: ImageBatch, vectors: Tensor, noise: Randomness, tolerance: float = TOLERANCE, rows: int = 64
) -> tuple[PerImage, int]:
    r"""A bound on -log p(x_0), with the chain's own first step and decoder, and the flow for all that is above it.

    :math:`-\log p(x_0) \le E_{q(x_1|x_0)}[-\log p_\theta(x_0|x_1) + \log q(x_1|x_0) - \log p_{flow}(x_1)]`: x_1 is the
    dequantised image, with nothing left out below it. An equality where p_theta(x_0|x_1) is the true posterior.

    Args:
        p: the process; its limit is used in p_theta(x_0|x_1) only.
        x_0: one image, (1, ...).
        vectors: of the trace, as in `density`.
        noise: a function or a generator; called once, for x_1.
        tolerance: as in `density`.
        rows: copies of the image at a time.

    Returns:
        Nats, (1,), and the evaluations of the network that it took.

    Raises:
        ValueError: the network predicts the posterior mean.
        Diverged: the velocity is not finite.
    """
    flow, (first, last) = velocity(p), ends(p.schedule)
    x_1 = p.q.sample(x_0, 1, noise_from(noise)(x_0))
    with torch.no_grad():
        decoded, _ = term(p, x_0, x_1, 1)
    drawn = sum_flat(p.q.marginal(x_0, 1).log_prob(x_1))
    found = density(flow, x_1, first, last, vectors, tolerance, rows)
    return decoded + drawn - found.log_prob, found.evaluations + 1
