r"""The inception score (Salimans et al. 2016): :math:`\exp \mathbb{E}\,\mathrm{KL}(p(y|x)\|p(y))` of what a classifier sees in one set.

It knows nothing of real images: a set that shows one perfect image of each class has the best score. The published number is the
mean over ten parts of the set, which is too small by ten times as much as that of the whole set.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ddpm.evaluation.images.score import Score, around
from ddpm.seeds import generator


def inception_score(logits: Float[Tensor, "N K"]) -> float:
    """Of a set, in float64."""
    return math.exp(float(_divergences(logits).mean()))


def _divergences(logits: Tensor) -> Tensor:
    """KL(p(y|x) || p(y)) of each row, nats."""
    log_p = logits.double().log_softmax(1)
    log_mean = log_p.logsumexp(0) - math.log(len(log_p))
    return (log_p.exp() * (log_p - log_mean)).sum(1)


def score(logits: Tensor, splits: int = 10, seed: int = 0) -> Score:
    """The mean over `splits` parts in a random order; the interval is about the whole set's score, without its bias."""
    count = len(logits)
    order = torch.randperm(count, generator=generator(seed, "inception score"))
    each = [inception_score(logits[rows]) for rows in order.tensor_split(min(splits, count))]
    parts = torch.tensor(each, dtype=torch.float64)
    divergences, p = _divergences(logits), logits.double().softmax(1)
    mean = p.mean(0).clamp(min=1e-300)
    log = float(divergences.mean() + (p.var(0) / mean).sum() / (2 * count)) if count > 1 else 0.0
    low, high = around(log, float(divergences.var()) / count if count > 1 else math.inf, 0.0, math.log(p.shape[1]))
    value = float(parts.mean())
    about = {
        "splits": len(parts),
        "splits_std": float(parts.std(correction=0)),
        "whole": math.exp(float(divergences.mean())),
        "classes": p.shape[1],
        "seed": seed,
    }
    way = "delta method on the logarithm, without the bias"
    return Score("inception-score", value, math.exp(low), math.exp(high), way, value - math.exp(log), about)
