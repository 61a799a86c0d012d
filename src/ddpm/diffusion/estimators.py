r"""The same bound, estimated from sampled log-ratios instead of closed-form divergences (appendix A, Eq. 17-22; Q20).

Three ways to write one number: the raw ratio of Eq. 3, the ratio with the posterior of Eq. 21, and the divergence of
Eq. 5, which is what `bound.terms` uses. The first two are identical samplewise; term by term the third varies least.
"""

import math
from collections.abc import Callable, Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.diffusion.bound import prior, term
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.tensors import ImageBatch, Noise, PerImage, Randomness, at, noise_from, sum_flat

Estimator = Callable[[ReverseProcess, ImageBatch, ImageBatch, ImageBatch, int], PerImage]
"""(p, x_0, x_{t-1}, x_t, t) -> nats for each image; at t = T+1, x_{t-1} is x_T and x_t has no meaning."""
Pair = tuple[int, ImageBatch, ImageBatch]
"""t, x_{t-1}, x_t."""


def raw(p: ReverseProcess, x_0: ImageBatch, x_prev: ImageBatch, x_t: ImageBatch, t: int) -> PerImage:
    r""":math:`-\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_t|x_{t-1})}`; :math:`-\log p(x_T)` first (Eq. 3)."""
    if t > p.schedule.T:
        return -sum_flat(_standard(x_prev).log_prob(x_prev))
    beta = at(p.schedule.beta, t, x_t)
    forward = sum_flat(Gaussian((1 - beta).sqrt() * x_prev, beta.log()).log_prob(x_t))
    return forward - _log_reverse(p, x_0, x_prev, x_t, t)


def log_ratio(p: ReverseProcess, x_0: ImageBatch, x_prev: ImageBatch, x_t: ImageBatch, t: int) -> PerImage:
    r""":math:`-\log\frac{p_\theta(x_{t-1}|x_t)}{q(x_{t-1}|x_t, x_0)}`; the same ratio for x_T first, L_0 last (Eq. 21)."""
    if t > p.schedule.T:
        q_T = p.q.marginal(x_0, p.schedule.T)
        return sum_flat(q_T.log_prob(x_prev) - _standard(x_prev).log_prob(x_prev))
    posterior = sum_flat(p.q.posterior(x_t, x_0, t).log_prob(x_prev)) if t > 1 else 0.0
    return posterior - _log_reverse(p, x_0, x_prev, x_t, t)


def closed_form(p: ReverseProcess, x_0: ImageBatch, x_prev: ImageBatch, x_t: ImageBatch, t: int) -> PerImage:
    """L_T, L_{t-1}, L_0 as divergences (Eq. 5)."""
    return prior(p.q, x_0) if t > p.schedule.T else term(p, x_0, x_t, t)[0]


ESTIMATORS: Mapping[str, Estimator] = {"raw": raw, "log-ratio": log_ratio, "closed-form": closed_form}


def _standard(x: ImageBatch) -> Gaussian:
    return Gaussian(torch.zeros_like(x), torch.zeros_like(x))


def _log_reverse(p: ReverseProcess, x_0: ImageBatch, x_prev: ImageBatch, x_t: ImageBatch, t: int) -> PerImage:
    reverse, _ = p(x_t, t)
    return sum_flat(reverse.log_prob(x_prev) if t > 1 else p.decoder(x_0, reverse))


def independent(p: ReverseProcess, x_0: ImageBatch, noise: Randomness) -> Iterator[Pair]:
    """A fresh pair (x_{t-1}, x_t) for every t: t, x_{t-1}, x_t for t = T+1..1."""
    noise, T = noise_from(noise), p.schedule.T
    x_T = p.q.sample(x_0, T, noise(x_0))
    yield T + 1, x_T, x_T
    for t in p.schedule.steps:
        x_t = p.q.sample(x_0, t, noise(x_0))
        yield t, _posterior_sample(p, x_0, x_t, t, noise), x_t


def trajectory(p: ReverseProcess, x_0: ImageBatch, noise: Randomness) -> Iterator[Pair]:
    """One chain x_T, ..., x_0 from q(x_{1:T}|x_0), drawn backwards: t, x_{t-1}, x_t for t = T+1..1."""
    noise, T = noise_from(noise), p.schedule.T
    x_t = p.q.sample(x_0, T, noise(x_0))
    yield T + 1, x_t, x_t
    for t in p.schedule.steps:
        x_prev = _posterior_sample(p, x_0, x_t, t, noise)
        yield t, x_prev, x_t
        x_t = x_prev


COUPLINGS: Mapping[str, Callable[[ReverseProcess, ImageBatch, Randomness], Iterator[Pair]]] = {
    "independent": independent,
    "trajectory": trajectory,
}


def _posterior_sample(p: ReverseProcess, x_0: ImageBatch, x_t: ImageBatch, t: int, noise: Noise) -> ImageBatch:
    return p.q.posterior(x_t, x_0, t).sample(noise(x_0)) if t > 1 else x_0


def estimates(
    p: ReverseProcess,
    x_0: ImageBatch,
    estimator: str,
    coupling: str,
    noise: Randomness = torch.randn_like,
) -> Iterator[tuple[int, PerImage]]:
    """(t, nats for each image) for t = T+1..1; their sum estimates the bound without bias (E20 = E25 = E26)."""
    for t, x_prev, x_t in COUPLINGS[coupling](p, x_0, noise):
        yield t, ESTIMATORS[estimator](p, x_0, x_prev, x_t, t)


def importance_weighted(log_weights: Float[Tensor, "batch K"]) -> PerImage:
    r""":math:`-\log\frac1K\sum_k w_k,\ w = p_\theta(x_{0:T})/q(x_{1:T}|x_0)`: a bound on -log p(x_0) (Burda et al. 2016, Eq. 8).

    `log_weights` are minus the sums of `log_ratio` along K trajectories of each image, nats. In expectation it falls with K,
    from L at K = 1 (Eq. 3) towards -log p(x_0).
    """
    return math.log(log_weights.shape[1]) - log_weights.logsumexp(1)
