r"""One step of the probability flow, exact for estimates of x_0 that are a polynomial in :math:`\lambda = \log(a/s)`.

With :math:`a_t = \sqrt{\bar\alpha_t}` and :math:`s_t = \sqrt{1-\bar\alpha_t}` it is (Lu et al. 2022, Proposition 4.1)
:math:`x_{t-1} = \frac{s_{t-1}}{s_t}x_t + a_{t-1}\int_0^h e^{\tau-h}\,\hat x_0(\lambda_t+\tau)\,d\tau`, h the step in lambda.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ddpm.diffusion.schedule import Schedule
from ddpm.tensors import ImageBatch, at

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def weights(h: float, nodes: Sequence[float]) -> list[float]:
    r""":math:`\int_0^h e^{\tau-h}D(\tau)\,d\tau = \sum_i w_i D(\tau_i)` for every polynomial D of degree below ``len(nodes)``."""
    tau = (_NODES + 1) / 2 * h
    powers = np.arange(len(nodes))
    moments = (_WEIGHTS * h / 2 * np.exp(tau - h)) @ (tau / h)[:, None] ** powers
    return np.linalg.solve((np.array(nodes)[None, :] / h) ** powers[:, None], moments).tolist()


def half_log_snr(schedule: Schedule, t: int) -> float:
    r""":math:`\lambda_t`, in nats."""
    return 0.5 * float(schedule.log_snr[t])


def flow_step(schedule: Schedule, x_t: ImageBatch, t: int, known: Sequence[tuple[int, ImageBatch]]) -> ImageBatch:
    """x_{t-1} from x_t and estimates of x_0 at some steps, by the polynomial through them; t in 2..T.

    `known` holds (step, estimate), of distinct steps below, at or above t. From a step without signal, infinitely far
    away in lambda, the latest estimate goes all the way.
    """
    now = half_log_snr(schedule, t)
    if now == -math.inf:
        known, found = known[:1], [1.0]
    else:
        known = [(u, x_0) for u, x_0 in known if half_log_snr(schedule, u) > -math.inf]
        found = weights(half_log_snr(schedule, t - 1) - now, [half_log_snr(schedule, u) - now for u, _ in known])
    noise = schedule.one_minus_alpha_bar
    x_prev = (at(noise, t - 1, x_t) / at(noise, t, x_t)).sqrt() * x_t
    signal = float(schedule.alpha_bar[t - 1]) ** 0.5
    for weight, (_, x_0) in zip(found, known, strict=True):
        x_prev = torch.add(x_prev, x_0, alpha=signal * weight)
    return x_prev
