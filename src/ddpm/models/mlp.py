"""A network for points: a residual multilayer perceptron with the same time embedding as the U-Net."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from ddpm.models.layers import linear, time_embedding, zeroed


@dataclass(frozen=True)
class MLPShape:
    """How wide the layers are, at least 4, and how many of them are residual."""

    channels: int = 128
    layers: int = 3


DEFAULT = MLPShape()


class MLP(nn.Module):
    """(x_t, timestep) -> output: (B, inputs), (B,) -> (B, outputs), for data that are points, not images.

    `outputs` is twice `inputs` where the variance is learned. At first the output is 0. Points need not lie in [-1, 1] and
    have no levels: read the network without a limit, and with a density as the decoder.

    Example:
        >>> import ddpm, torch
        >>> network = ddpm.MLP(inputs=2, outputs=2)
        >>> network(torch.randn(5, 2), torch.arange(5)).shape
        torch.Size([5, 2])
        >>> p = ddpm.ReverseProcess(network, ddpm.linear(), limit=ddpm.unlimited, decoder=ddpm.log_density)
    """

    def __init__(self, shape: MLPShape = DEFAULT, inputs: int = 2, outputs: int = 2) -> None:
        super().__init__()
        self.shape = shape
        width = shape.channels
        self.time = nn.Sequential(linear(width, width), nn.SiLU(), linear(width, width))
        self.first = linear(inputs, width)
        self.layers = nn.ModuleList(linear(width, width) for _ in range(shape.layers))
        self.last = zeroed(linear(width, outputs))

    def forward(self, x_BC: Tensor, t_B: Tensor) -> Tensor:
        x_BC = x_BC.to(self.first.weight.dtype)
        emb_BC = self.time(time_embedding(t_B, self.shape.channels).to(x_BC.dtype))
        h_BC = self.first(x_BC)
        for layer in self.layers:
            h_BC = h_BC + layer(F.silu(h_BC + emb_BC))
        return self.last(F.silu(h_BC))
