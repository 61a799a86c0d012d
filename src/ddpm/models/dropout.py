"""Dropout of which row i depends on its place in the whole batch alone, however the batch is cut in parts.

Parts of a batch on several processes, or one after the other, get the masks that they would have had together. A value has
16 random bits: a probability is a multiple of 2^-16, and a draw takes a fifth of `bernoulli_`'s time.
"""

import torch
from torch import Tensor, nn

from ddpm.seeds import by_place

DRAWS, DREW = "16-bit masks", "bernoulli masks"
"""How masks are drawn, as a checkpoint says it, and how where it says nothing: a run goes on with other masks then."""
CHANCES = 2**16


class Dropout(nn.Dropout):
    """As torch's, until `place` says where the rows are: then a function of (key, layer, place).

    p is then the nearest multiple of 2^-16 below 1, and what stays is scaled by exactly 1 / (1 - that).
    """

    where: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.where is None or not self.training or self.p == 0:
            return super().forward(input)
        dropped = chances(self.p)
        draw = torch.ops.ddpm.kept if torch.compiler.is_compiling() else kept
        return (input * draw(input.detach(), self.where, dropped)).mul_(CHANCES / (CHANCES - dropped))


def chances(p: float) -> int:
    """In how many of 2^16 equal cases a value is dropped."""
    return min(round(p * CHANCES), CHANCES - 1)


def place(network: nn.Module, key: int, first: int) -> None:
    """From now on row i of what `network` sees is place `first` + i of the whole batch; `key` changes from step to step."""
    layers = [module for module in network.modules() if isinstance(module, Dropout)]
    for number, layer in enumerate(layers):
        layer.where = torch.tensor([key, number, first])


def kept(like: Tensor, where: Tensor, dropped: int) -> Tensor:
    """0 in `dropped` of 2^16 cases, else 1; of `like`'s shape and dtype. `where` is (key, layer, first place)."""
    key, layer, first = where.tolist()
    count = like[0].numel()
    fours = torch.empty(len(like), -(-count // 4), dtype=torch.int64, device=like.device)
    bits = by_place(fours, first, _fill, key, layer).view(torch.int16)[:, :count]
    # Compared into numbers at once: by way of bool it takes four times as long on a CPU.
    return torch.ge(bits.reshape(like.shape), dropped - CHANCES // 2, out=like.new_empty(like.shape))


def _fill(rows: Tensor, random: torch.Generator) -> Tensor:
    """With 64 random bits each; of devices that draw no such range, four times 16."""
    if rows.device.type in ("cpu", "cuda"):
        return rows.random_(-(2**63), None, generator=random)
    rows.view(torch.int16).random_(-(2**15), 2**15, generator=random)
    return rows


@torch.library.custom_op("ddpm::kept", mutates_args=())
def _opaque(like: Tensor, where: Tensor, dropped: int) -> Tensor:
    """What a compiler must not look into: generators are none of its business."""
    return kept(like, where, dropped)


@_opaque.register_fake
def _shape(like: Tensor, _where: Tensor, _dropped: int) -> Tensor:
    return like.new_empty(like.shape)
