r"""Linear inverse problems, y = A x_0: a hole, a small picture, a grey one (DDNM; Wang, Yu, Zhang 2023).

Of the estimate of x_0 the part that y determines is replaced by what y says, :math:`A^+y`, and the rest is kept. This
changes the estimate and nothing else, so every sampler does it, in any number of steps. It is no sample of p(x_0|y): no
gradient tells the rest what y makes likely, only the next evaluation of the network does.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.tensors import ImageBatch

LUMA = (0.299, 0.587, 0.114)
"""How much of red, green and blue is in a grey value, as image libraries convert them (ITU-R BT.601)."""


Known = Float[Tensor, "batch *known"]


class Operator(ABC):
    """A linear map A with a right inverse: ``apply(pinv(y)) == y``. Batches (batch, channels, height, width)."""

    @abstractmethod
    def apply(self, x_0: ImageBatch) -> Known:
        """A x_0."""

    @abstractmethod
    def pinv(self, y: Known) -> ImageBatch:
        """A^+ y (Moore and Penrose): of all x_0 with A x_0 = y the smallest."""


@dataclass(frozen=True, eq=False)
class Outside(Operator):
    """What is seen around a hole; `hole` is true where nothing is seen, and broadcasts. y is 0 there. Any shape (batch, ...)."""

    hole: Bool[Tensor, "..."]

    def apply(self, x_0: ImageBatch) -> Known:
        """With 0 in the hole."""
        return x_0.masked_fill(self.hole, 0)

    def pinv(self, y: Known) -> ImageBatch:
        """The same."""
        return self.apply(y)


@dataclass(frozen=True)
class Averages(Operator):
    """Means of squares of `factor` by `factor` pixels: y is `factor` times smaller than x_0, whose sides it must divide."""

    factor: int

    def apply(self, x_0: ImageBatch) -> Known:
        """(B, C, H, W) to (B, C, H / factor, W / factor)."""
        return F.avg_pool2d(x_0, self.factor)

    def pinv(self, y: Known) -> ImageBatch:
        """Every pixel enlarged."""
        return y.repeat_interleave(self.factor, 2).repeat_interleave(self.factor, 3)


@dataclass(frozen=True)
class Grey(Operator):
    """One weighted sum of the channels: y is (B, 1, H, W), x_0 has as many channels as there are weights."""

    weights: tuple[float, ...] = LUMA

    def _column(self, like: Tensor) -> Float[Tensor, "channels 1 1"]:
        return like.new_tensor(self.weights).reshape(-1, 1, 1)

    def apply(self, x_0: ImageBatch) -> Known:
        """The sum."""
        return (x_0 * self._column(x_0)).sum(1, keepdim=True)

    def pinv(self, y: Known) -> ImageBatch:
        """In proportion to the weights."""
        weights = self._column(y)
        return y * weights / (weights**2).sum()


def consistent(p: ReverseProcess, operator: Operator, y: Known) -> ReverseProcess:
    r"""The process whose estimates obey y: :math:`\hat x_0 + A^+(y - A\hat x_0)`.

    The same network, after its own limit: what is shown at the end obeys y exactly (before it is rounded), and may leave the
    limit by as much as y asks for. The chain's mean and DDIM's epsilon follow from this estimate.

    Args:
        p: the process.
        operator: A.
        y: what is known, for each image or, (1, ...), for all.
    """

    def project(x_0: ImageBatch) -> ImageBatch:
        x_0 = p.project(x_0)
        return x_0 + operator.pinv(y - operator.apply(x_0))

    return replace(p, project=project)
