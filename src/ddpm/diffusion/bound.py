r"""The variational bound, term by term (Eq. 3, 5; section 2): L = L_T + L_{T-1} + ... + L_1 + L_0, in nats.

`kl(p.q.posterior(x_t, x_0, t), p(x_t, t)[0])` is L_{t-1}. Every term has an x_t of its own: along one chain the sum of
closed-form terms is noisier than what it estimates (Q20). Divide by the dimension and log 2 for bits/dim.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.checks import check_images
from ddpm.diffusion.decoder import levels_of
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian, kl
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import Fixed
from ddpm.tensors import ImageBatch, PerImage, PerStep, Randomness, Times, at, noise_from, sum_flat


@dataclass(frozen=True)
class Term:
    """What it costs to learn x_{t-1} once x_t is known, for each image.

    t = T+1 is L_T (x_T, from nothing), t = T..2 is L_{t-1}, and t = 1 is L_0 (the pixels). `x_0` is the estimate made
    from x_t, before the term is paid; from nothing it is 0.
    """

    t: int
    nats: PerImage
    x_0: ImageBatch


def terms(p: ReverseProcess, x_0: ImageBatch, noise: Randomness = torch.randn_like) -> Iterator[Term]:
    """L_T, then L_{T-1}, ..., L_1, L_0: one evaluation of the network for each t, each with a fresh x_t (Eq. 5).

    The sum of all terms estimates the bound without bias; the only randomness is `noise`, drawn once for each t.

    Args:
        p: the process.
        x_0: images on the levels of p's decoder, (batch, ...).
        noise: a function such as `torch.randn_like`, or a `torch.Generator`.

    Raises:
        TypeError: `noise` is neither.
        UsageError: values of x_0 are not in [-1, 1], or not on the levels of a decoder that has levels.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), ddpm.linear()).respace([1, 500, 1000])
        >>> found = list(ddpm.terms(p, torch.ones(2, 1, 8, 8), torch.Generator().manual_seed(0)))
        >>> [term.t for term in found]
        [4, 3, 2, 1]
        >>> sum(term.nats for term in found).shape  # the bound of each image, nats
        torch.Size([2])
    """
    draw = noise_from(noise)
    if (levels := levels_of(p.decoder)) is not None:
        check_images(x_0, levels)
    yield Term(p.schedule.T + 1, prior(p.q, x_0), torch.zeros_like(x_0))
    for t in p.schedule.steps:
        x_t = p.q.sample(x_0, t, draw(x_0))
        yield Term(t, *term(p, x_0, x_t, t))


def prior(q: ForwardProcess, x_0: ImageBatch) -> PerImage:
    r""":math:`L_T = D_{KL}(q(x_T|x_0)\,\|\,\mathcal N(0, I))` (E42), nats; it has no parameters, but is never left out."""
    standard = Gaussian(torch.zeros_like(x_0), torch.zeros_like(x_0))
    return sum_flat(kl(q.marginal(x_0, q.schedule.T), standard))


def term(p: ReverseProcess, x_0: ImageBatch, x_t: ImageBatch, t: Times) -> tuple[PerImage, ImageBatch]:
    r""":math:`L_{t-1} = D_{KL}(q(x_{t-1}|x_t, x_0)\,\|\,p_\theta(x_{t-1}|x_t))`, or L_0 where t = 1 (Eq. 5).

    Returns:
        Nats for each image, and the estimate of x_0 made from x_t.
    """
    nats, estimate = term_by_coordinate(p, x_0, x_t, t)
    return sum_flat(nats), estimate


def term_by_coordinate(p: ReverseProcess, x_0: ImageBatch, x_t: ImageBatch, t: Times) -> tuple[ImageBatch, ImageBatch]:
    """`term` before it is summed: what each coordinate costs, nats, and the estimate of x_0 made from x_t."""
    reverse, estimate = p(x_t, t)
    if isinstance(t, int):
        nats = -p.decoder(x_0, reverse) if t == 1 else kl(p.q.posterior(x_t, x_0, t), reverse)
    else:
        # kl is inf in rows with t = 1, where q is a point; its gradient there is finite, so it may be dropped.
        nats = _decoded_at_first(p, x_0, reverse, t == 1, kl(p.q.posterior(x_t, x_0, t), reverse))
    return nats, estimate


def _decoded_at_first(
    p: ReverseProcess, x_0: ImageBatch, reverse: Gaussian, first: Tensor, nats: ImageBatch
) -> ImageBatch:
    """`nats`, but those of the decoder in the rows where `first` holds, which alone are decoded.

    An accelerator decodes all rows: to find out which, the program would have to wait for it.
    """
    if x_0.device.type != "cpu":
        return torch.where(first.reshape(-1, *[1] * (x_0.ndim - 1)), -p.decoder(x_0, reverse), nats)
    rows = first.nonzero().flatten()
    if not len(rows):
        return nats
    these = Gaussian(reverse.mean[rows], reverse.log_var.expand_as(reverse.mean)[rows])
    return nats.index_copy(0, rows, -p.decoder(x_0[rows], these))


def bits_per_dim(nats: Tensor, dims: int) -> Tensor:
    """Nats per image as bits for each of its `dims` coordinates (E40)."""
    return nats / (dims * math.log(2))


def prior_table(schedule: Schedule, x_0: float) -> float:
    """L_T of one coordinate with value `x_0`, nats (E42)."""
    value = torch.full((1, 1), x_0, dtype=torch.float64)
    return float(prior(ForwardProcess(schedule), value))


def constants(schedule: Schedule, variance: Fixed) -> PerStep:
    r""":math:`C_t = \tfrac12(\tilde\beta_t/\sigma_t^2 - 1 + \log(\sigma_t^2/\tilde\beta_t))` for t = 2..T, nats/dim (E47).

    What a fixed variance other than the posterior's costs whatever the network does.
    """
    t = torch.arange(2, schedule.T + 1)
    one = torch.zeros(len(t), 1, dtype=torch.float64)
    q = Gaussian(one, at(schedule.beta_tilde, t, one).log())
    p = Gaussian(one, variance.log_var(schedule, one, t))
    return torch.cat([torch.zeros(2, dtype=torch.float64), kl(q, p).flatten()])
