"""The bound over a data set: bits/dim with its standard error, split by t, and the rate-distortion curve (section 4.3).

Every image counts exactly once and draws from a generator of its own, and on a CPU the network rounds alike in the batches
that are chosen here: results do not depend on the batch size. All arithmetic but the network's is float64.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ddpm.data.imageset import ImageSet, to_model
from ddpm.data.labels import Labels, labels_at
from ddpm.diffusion.bound import Term, terms
from ddpm.diffusion.reverse import Network, ReverseProcess
from ddpm.diffusion.schedule import Schedule
from ddpm.errors import not_finite
from ddpm.parallel.world import ALONE, World
from ddpm.sampling.images import FULL
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch, mean_flat


@dataclass(frozen=True)
class Measured:
    """One term of the bound for some images: nats, and the mean squared error of the estimate of x_0, (batch,) each."""

    rows: Tensor
    t: int
    nats: Tensor
    mse_x_0: Tensor


@dataclass(frozen=True, repr=False)
class Bound:
    """The bound of `images` images of `dims` coordinates. Rates are bits/dim; errors are mean squared, in [-1, 1].

    `by_t[t]` is L_{t-1} for t = 2..T, and L_0 for t = 1; entry 0 is L_T. `mse_x_0[t]` and `mse_eps[t]` are for t = 1..T,
    both of the estimate after the process' limit; entry 0 is the error of knowing nothing. `per_image` is the total of
    each image, in the data's order.
    """

    images: int
    dims: int
    total: float
    stderr: float
    by_t: Tensor
    mse_x_0: Tensor
    mse_eps: Tensor
    per_image: Tensor

    def __repr__(self) -> str:
        """In a line, with the number of steps: of fewer it is another bound."""
        error = f" ± {self.stderr:.4f}" if self.images > 1 else ""
        return f"Bound({self.total:.4f}{error} bits/dim, T = {self.T}, {self.images:,} images of {self.dims:,} dims)"

    @property
    def T(self) -> int:
        """Number of steps."""
        return len(self.by_t) - 1

    @property
    def L_T(self) -> float:
        """What x_T costs, bits/dim."""
        return float(self.by_t[0])

    @property
    def L_0(self) -> float:
        """What the pixels cost once x_1 is known, bits/dim."""
        return float(self.by_t[1])

    def rate_distortion(self) -> list[tuple[int, float, float]]:
        """(t, bits/dim received once x_t is known, RMSE of the estimate of x_0 on the scale 0..255), t = T..1.

        What Algorithm 3 has sent by then and what Algorithm 4 can show (section 4.3): an account, not yet a codec.
        """
        rates = torch.cat([self.by_t[:1], self.by_t[2:].flip(0)]).cumsum(0)
        rmse = self.mse_x_0[1:].flip(0).sqrt() * 127.5
        return [(self.T - i, float(rates[i]), float(rmse[i])) for i in range(self.T)]


def widened(network: Network) -> Network:
    """A network between float64 values: of float32, unless it is a module whose weights are float64."""
    weights = network.parameters() if isinstance(network, nn.Module) else ()
    own = torch.float64 if any(weight.dtype == torch.float64 for weight in weights) else torch.float32

    def wide(x_t: Tensor, timestep: Tensor, *label: Tensor) -> Tensor:
        return network(x_t.to(own), timestep, *label).to(x_t.dtype)

    return wide


def in_float64(network: Network) -> Network:
    """The same, without gradients."""
    return torch.no_grad()(widened(network))


def widest(device: torch.device) -> torch.dtype:
    """float64, but for Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


def measure(
    p: ReverseProcess,
    data: ImageSet,
    seed: int,
    batch_size: int,
    device: torch.device,
    labels: Labels = None,
    world: World = ALONE,
) -> Iterator[Measured]:
    """All terms of all images: (T + 1) for each batch, one evaluation of the network each but the first.

    Of several processes each takes some of the batches.

    `labels` (N,) are what the network is told of each image: the bound is then one of log p(x_0|label).

    Raises:
        Diverged: what the network gives is not finite.
    """
    wide = replace(p, network=in_float64(p.network))
    for rows in batches_of(len(data), batch_size, device)[world.rank :: world.size]:
        x_0 = images_of(data, rows, device)
        noise = NoiseForEach([generator(seed, "bound", int(row)) for row in rows])
        for found in terms(wide.given(labels_at(labels, rows, device)), x_0, noise):
            nats = found.nats.cpu().double()
            if nats.isnan().any():
                raise not_finite(found.t)
            yield Measured(rows, found.t, nats, _mse(found, x_0))


def batches_of(count: int, batch_size: int, device: torch.device) -> list[Tensor]:
    """The rows of so many images in batches; on a CPU in such that each image is rounded alike whatever `batch_size` is.

    There the last bits of what a network gives for an image depend on how many rows its batch has, unless they are a multiple
    of `FULL`: so the batches are of multiples of it (the next smaller one, or `FULL` itself), and what is left over is a batch
    of its own, always the same.
    """
    rows = torch.arange(count)
    if device.type != "cpu":
        return list(rows.split(batch_size))
    whole = count // FULL * FULL
    size = max(batch_size // FULL, 1) * FULL
    return [part for part in (*rows[:whole].split(size), rows[whole:]) if len(part)]


def moves_of(schedule: Schedule, images: int, batch_size: int, device: torch.device, world: World = ALONE) -> int:
    """How much `measure` yields in one process of a `world`, at most."""
    return math.ceil(len(batches_of(images, batch_size, device)) / world.size) * (schedule.T + 1)


def images_of(data: ImageSet, rows: Tensor, device: torch.device) -> ImageBatch:
    """Images on the exact grid of their levels."""
    return to_model(data.images[rows].to(device), data.levels, widest(device))


def _mse(found: Term, x_0: ImageBatch) -> Tensor:
    return mean_flat((found.x_0 - x_0) ** 2).cpu().double()


def summarise(measured: Iterable[Measured], schedule: Schedule, images: int, dims: int, world: World = ALONE) -> Bound:
    """Add up what `measure` yields, in all processes; the same to the bit however many there are.

    Raises:
        ValueError: an image was measured twice, or not at all.
    """
    T = schedule.T
    nats = torch.full((images, T + 2), math.nan, dtype=torch.float64)
    errors = torch.zeros(images, T + 2, dtype=torch.float64)
    for found in measured:
        if not nats[found.rows, found.t].isnan().all():
            raise ValueError(f"term {found.t} of an image was measured twice")
        nats[found.rows, found.t] = found.nats
        errors[found.rows, found.t] = found.mse_x_0
    measured_by = world.sum((~nats[:, 1:].isnan()).long())
    if (measured_by != 1).any():
        raise ValueError("an image was left out, or measured by two processes")
    nats, errors = world.sum(nats.nan_to_num(0)), world.sum(errors).mean(0)
    bits = nats[:, 1:] / (dims * math.log(2))
    per_image = bits.sum(1)
    by_term = torch.cat([bits[:, -1:], bits[:, :-1]], dim=1).mean(0)
    mse_x_0 = torch.cat([errors[-1:], errors[1:-1]])
    mse_eps = torch.cat([mse_x_0[:1], schedule.snr[1:] * mse_x_0[1:]])
    return Bound(images, dims, float(per_image.mean()), stderr(per_image), by_term, mse_x_0, mse_eps, per_image)


def stderr(per_image: Tensor) -> float:
    """Of the mean over images; 0 for one image, where it cannot be known."""
    return float(per_image.std() / math.sqrt(len(per_image))) if len(per_image) > 1 else 0.0
