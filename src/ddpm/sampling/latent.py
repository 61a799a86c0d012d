"""What the latents mean: many images from one x_t, and ways from one image to another (sections 4.3 and 4.4)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Sampler, Step, run, start
from ddpm.tensors import ImageBatch, Randomness, noise_from


def shared(
    p: ReverseProcess, x_T: ImageBatch, t: int, copies: int, sampler: Sampler, noise: Randomness = torch.randn_like
) -> tuple[ImageBatch, Iterator[Step]]:
    """Freeze x_t and draw several x_0 ~ p_theta(x_0|x_t) (Fig. 7; E78).

    Returns:
        x_t for each row of `x_T`, and the chain of ``copies`` images for each of them, (batch * copies, ...), in the
        order image by image. `noise` is called for `x_T`'s batch above t and for the larger one below it.
    """
    noise, here = noise_from(noise), start(p, x_T, p.schedule.T)
    while here.t > t:
        here = next(run(p, here, sampler, noise))
    repeated = here.x.repeat_interleave(copies, dim=0)
    return here.x, run(p, start(p, repeated, t), sampler, noise)


def mix_latents(
    p: ReverseProcess, x_0: ImageBatch, other: ImageBatch, t: int, fractions: list[float], noise: Randomness
) -> Float[Tensor, "fractions *image"]:  # noqa: F821
    r""":math:`\bar x_t = (1-\lambda)x_t + \lambda x_t'`, with x_t ~ q(x_t|x_0) and x_t' ~ q(x_t|x_0') (section 4.4; E80).

    The noise is the same for every fraction. (The paper's text mixes x_0 and x_0'; it means the latents: P-1.) The
    noises of the two are independent, so halfway there is half the variance of q: as published.

    Args:
        p: the process.
        x_0: one image, (1, ...).
        other: another image, (1, ...).
        t: how far to go into the noise: 0 mixes pixels, T makes new samples.
        fractions: the values of lambda.
        noise: a function or a generator; called twice, for each image once.

    Returns:
        (len(fractions), ...); decode with `chain.run` from t.
    """
    noise = noise_from(noise)
    x_t, x_t_other = p.q.sample(x_0, t, noise(x_0)), p.q.sample(other, t, noise(other))
    weights = torch.tensor(fractions, dtype=x_t.dtype, device=x_t.device).reshape(-1, *[1] * (x_t.ndim - 1))
    return (1 - weights) * x_t + weights * x_t_other


def arc(
    p: ReverseProcess, x_0: ImageBatch, x_t: ImageBatch, t: int, fractions: list[float]
) -> Float[Tensor, "fractions *image"]:  # noqa: F821
    r""":math:`\bar x_t = a_t((1-\lambda)x_0+\lambda x_0') + s_t\,\mathrm{slerp}(\epsilon,\epsilon';\lambda)`, epsilon by Eq. 4.

    :math:`a_t^2 = \bar\alpha_t = 1 - s_t^2`. The images are mixed along a line and their noises along an arc, which keeps the
    length that a line loses: so two draws of q(x_t|x_0) mix to a draw of q(x_t|x_0) at every t. At T it is the way between
    latents of DDIM (Song, Meng, Ermon 2021, appendix D.5); at 0 it mixes pixels.

    Args:
        p: the process.
        x_0: two images, (2, ...).
        x_t: their latents at t, (2, ...), drawn or encoded.
        t: the step of the latents, 0..T.
        fractions: the values of lambda; 0 and 1 give back the two latents.

    Returns:
        (len(fractions), ...); decode with `chain.run` from t.
    """
    eps = p.q.noise(x_t, x_0, t) if t > 0 else torch.zeros_like(x_0)
    weights = torch.tensor(fractions, dtype=x_t.dtype, device=x_t.device).reshape(-1, *[1] * (x_t.ndim - 1))
    return p.q.sample((1 - weights) * x_0[:1] + weights * x_0[1:], t, slerp(eps[:1], eps[1:], weights))


def slerp(a: ImageBatch, b: ImageBatch, weights: Tensor) -> Float[Tensor, "fractions *image"]:  # noqa: F821
    r""":math:`(\sin((1-\lambda)\theta)\,a + \sin(\lambda\theta)\,b)/\sin\theta`, theta the angle between a and b (Shoemake 1985).

    Between parallel vectors it is the line. `a` and `b` are (1, ...), `weights` (n, 1, ...).
    """
    theta = torch.acos(torch.cosine_similarity(a.flatten(1).double(), b.flatten(1).double()).clamp(-1, 1))
    if float(theta.sin()) < 1e-6:
        return (1 - weights) * a + weights * b
    first, second = (torch.sin(part * theta.to(a)) / torch.sin(theta.to(a)) for part in (1 - weights, weights))
    return first * a + second * b
