"""The network on several processes: whole in each, whose gradients torch adds up (DDP), or in shards, a part in each (FSDP).

How the work is shared is no part of what is learned: a run may change it, and the number of processes, whenever it goes on.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ddpm.parallel.world import World
from ddpm.training.trainer import SOLO, Team


def whole(network: nn.Module, _world: World, device: torch.device) -> nn.Module:
    """All of the network on the device."""
    return network.to(device)


def sharded(network: nn.Module, world: World, device: torch.device) -> nn.Module:
    """A part of every parameter on the device of each process, by `fully_shard` for each block and for the rest.

    In place. So are then gradients, moments and averages: each process holds 1/N of them, and the whole of one block at a
    time while it computes, for about half as much exchange again as DDP's.
    """
    if world.size == 1:
        return network.to(device)
    # Here, not above: it takes most of a second, which only those who shard should wait for.
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415
    from torch.distributed.fsdp import fully_shard  # noqa: PLC0415

    mesh = init_device_mesh(device.type, (world.size,))
    for blocks in network.modules():
        if isinstance(blocks, nn.ModuleList):
            for block in blocks:
                fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
    return network


PARALLEL: Mapping[str, Callable[[nn.Module, World, torch.device], nn.Module]] = {"ddp": whole, "fsdp": sharded}


def team_of(network: nn.Module, world: World, device: torch.device) -> tuple[nn.Module, Team]:
    """The network to train with, of which `network` stays the one that is saved, and who takes part."""
    if world.size == 1:
        return network, SOLO
    if is_sharded(network):
        return network, Team(world, partial(_unexchanged, network))
    devices = [device] if device.type == "cuda" else []
    # "Unused" parameters are not looked for because there are any: else DDP packs its buckets anew after the first step, a
    # start later adds three or more processes' gradients in another order, and going on is not exact to the bit.
    # The warning about it comes out of a later step of training, not out of this call: so it is silenced for good, by its text.
    warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
    replica = DistributedDataParallel(
        network, device_ids=devices or None, gradient_as_bucket_view=True, find_unused_parameters=True
    )
    return replica, Team(world, replica.no_sync)


@contextmanager
def _unexchanged(network: Any) -> Iterator[None]:  # noqa: ANN401
    """Inside, gradients stay whole in each process, and are added up at home."""
    network.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        network.set_requires_gradient_sync(True)


def is_sharded(network: nn.Module) -> bool:
    """Whether each process has but a part of it."""
    return hasattr(network, "set_requires_gradient_sync")
