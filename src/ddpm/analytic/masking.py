r"""The diffusion that is an autoregressive model: q hides one coordinate a step, and the bound is -log p(x) (section 4.3).

With T = D, q(x_t|x_0) hides coordinates 1..t, p(x_T) is a blank, and p_theta(x_{t-1}|x_t) fills in coordinate t: the bound
is a sum of conditional log-likelihoods, and equals the entropy of the data when these are exact (E79).
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Masking:
    """Data on {0..L-1}^D, given by the probability of every outcome: `probability` (L, ..., L), D axes."""

    probability: Tensor

    @property
    def T(self) -> int:
        """As many steps as coordinates."""
        return self.probability.ndim

    @property
    def entropy(self) -> float:
        """H(x_0), nats."""
        return float(torch.special.entr(self.probability).sum())

    def conditional(self, t: int) -> Tensor:
        """p(coordinate t | coordinates t+1..D), coordinates before t summed out: axes t..D, normalised along the first."""
        rest = self.probability.sum(dim=tuple(range(t - 1))) if t > 1 else self.probability
        return rest / rest.sum(0, keepdim=True)

    def terms(self, model: "Masking") -> list[float]:
        """L_{t-1} for t = 1..T in nats, of `model`'s kernels on these data, by enumeration; L_T is 0.

        E[-log p_theta(coordinate t | coordinates t+1..D)]: the KL from q(x_{t-1}|x_t, x_0), a point, to p_theta(x_{t-1}|x_t).
        """
        totals = [0.0] * self.T
        for outcome in itertools.product(*(range(size) for size in self.probability.shape)):
            weight = float(self.probability[outcome])
            for t in range(1, self.T + 1):
                totals[t - 1] -= weight * float(model.conditional(t)[outcome[t - 1 :]].log())
        return totals
