"""Dropout of which row i depends on its place in the whole batch alone, however the batch is cut in parts.

Parts of a batch on several processes, or one after the other, get the masks that they would have had together.
"""

import torch
from torch import Tensor, nn

from ddpm.seeds import by_place


class Dropout(nn.Dropout):
    """As torch's, until `place` says where the rows are: then a function of (key, layer, place)."""

    where: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.where is None or not self.training or self.p == 0:
            return super().forward(input)
        draw = torch.ops.ddpm.kept if torch.compiler.is_compiling() else kept
        return input * draw(input.detach(), self.where, self.p) / (1 - self.p)


def place(network: nn.Module, key: int, first: int) -> None:
    """From now on row i of what `network` sees is place `first` + i of the whole batch; `key` changes from step to step."""
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, layer in enumerate(layers):
        layer.where = torch.tensor([key, number, first])


def kept(like: Tensor, where: Tensor, p: float) -> Tensor:
    """1 where a value stays, with probability 1 - p, else 0; of `like`'s shape and dtype. `where` is (key, layer, first place)."""
    key, layer, first = where.tolist()
    return by_place(like, first, lambda rows, random: rows.bernoulli_(1 - p, generator=random), key, layer)


@torch.library.custom_op("ddpm::kept", mutates_args=())
def _opaque(like: Tensor, where: Tensor, p: float) -> Tensor:
    """What a compiler must not look into: generators are none of its business."""
    return kept(like, where, p).clone()


@_opaque.register_fake
def _shape(like: Tensor, _where: Tensor, _p: float) -> Tensor:
    return like.new_empty(like.shape)
