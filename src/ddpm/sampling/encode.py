r"""From an image to its latent without noise: DDIM's chain upwards (Song, Meng, Ermon 2021, sections 4.3 and 5.4).

With :math:`a_t = \sqrt{\bar\alpha_t}` and :math:`s_t = \sqrt{1-\bar\alpha_t}` a step of DDIM is
:math:`x_{t-1} = a_{t-1}\hat x_0 + s_{t-1}\hat\epsilon`, both estimates made from x_t. Upwards x_t is not known yet.
"""

from collections.abc import Iterator

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.sampling.chain import Step
from ddpm.tensors import at


def ascend(p: ReverseProcess, here: Step, iterations: int = 1) -> Step:
    r"""One step up, from x_{t-1}: :math:`x_t = a_t(x_{t-1} - s_{t-1}\hat\epsilon)/a_{t-1} + s_t\hat\epsilon`.

    At first epsilon is estimated from x_{t-1}, told t (as diffusers' DDIMInverseScheduler does: nothing is trained at t = 0;
    the paper is told t - 1). Estimating it again from the x_t just found, `iterations` times in
    all, leads to the x_t that DDIM takes back to x_{t-1}, where it converges: each time the error of the way up and down
    gains an order of the step's length. Long steps of a trained network may not converge: there more estimates lead
    away.

    Raises:
        ValueError: here.t is T.
    """
    t, x_t, x_0 = here.t + 1, here.x, here.x_0
    p.schedule.check(t)
    signal, signal_before = (at(p.schedule.alpha_bar, s, here.x).sqrt() for s in (t, here.t))
    noise, noise_before = (at(p.schedule.one_minus_alpha_bar, s, here.x).sqrt() for s in (t, here.t))
    for _ in range(iterations):
        x_0 = p.estimate(x_t, t)
        eps = p.q.noise(x_t, x_0, t)
        x_t = signal / signal_before * (here.x - noise_before * eps) + noise * eps
    return here.to(t, x_t, x_0)


def encode(p: ReverseProcess, begin: Step, t: int, iterations: int = 1) -> Iterator[Step]:
    """Go up from any step, `chain.start(p, x_0, 0)` for an image: yields the steps to x_t, one by one.

    ``chain.run(p, start(p, x_t, t), DDIM())`` leads back. The latent of an image is unlike N(0, I) where the data do not
    vary, as in a black border: nothing there tells how much noise would be in it.

    Raises:
        ValueError: t is outside begin.t..T, or iterations is below 1.
    """
    p.schedule.check(t, first=begin.t)
    if iterations < 1:
        raise ValueError(f"a step up needs at least 1 estimate, not {iterations}")
    return _up(p, begin, t, iterations)


def _up(p: ReverseProcess, here: Step, t: int, iterations: int) -> Iterator[Step]:
    while here.t < t:
        with torch.no_grad():
            here = ascend(p, here, iterations)
        yield here
