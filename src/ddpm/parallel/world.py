"""Several processes that train, sample or evaluate as one, by torch.distributed.

Started by `torchrun` or `accelerate launch`, each process finds the others by their environment variables. What they tell
each other are tensors and JSON; nothing is pickled. With one process nothing is exchanged.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial
from itertools import count
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from ddpm.errors import Ending, PeerLost, ending_of, in_a_line, in_json
from ddpm.parallel.launch import attempt, launch, launched, local_number

MEETING = timedelta(minutes=30)
"""Until all processes of a launch have found each other."""
PATIENCE = timedelta(days=7)
"""For one exchange, where every process is alive: one may look through a million images while the others wait."""

_VISITS = count()
"""How often this process has joined the others, which join as often as it does."""

AGAIN = "run the same command again to go on"

Value = TypeVar("Value")


@dataclass(frozen=True)
class World:
    """This process, number `rank` of `size`. What it is asked, all of them must be asked in the same order.

    `store` and `meeting` are torch's own, by which the processes hear of each other and find their way to an exchange.
    """

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None
    meeting: dist.Store | None = None

    @property
    def first(self) -> bool:
        """Whether it is this process that writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """The part of 0..count-1 that is this process': adjacent, and as even as can be."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same to the bit in each of them; in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:  # noqa: FBT001 (a value, not a mode)
        """Whether it is so anywhere."""
        return bool(self.sum(torch.tensor(int(flag))) > 0)

    def least(self, value: float) -> float:
        """The smallest that any process has."""
        return min(self.all_gather(value)) if self.size > 1 else value

    def all_gather_rows(self, values: Tensor) -> Tensor:
        """The rows of all processes, in the order of the processes; on the CPU. They may have differently many."""
        if self.size == 1:
            return values.cpu()
        counts = self.sum(
            torch.zeros(self.size, dtype=torch.int64).index_fill_(0, torch.tensor(self.rank), len(values))
        )
        whole = torch.zeros(int(counts.sum()), *values.shape[1:], dtype=values.dtype)
        start = int(counts[: self.rank].sum())
        whole[start : start + len(values)] = values.cpu()
        return self.sum(whole)

    def broadcast(self, value: Value) -> Value:
        """What the first process has, in all of them: anything that JSON holds."""
        if self.size == 1:
            return value
        text = json.dumps(value).encode() if self.first else b""
        length = self.sum(torch.tensor(len(text)))
        content = torch.zeros(int(length), dtype=torch.uint8)
        if self.first:
            content = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        dist.broadcast(content, 0)
        return json.loads(bytes(content.tolist()))

    def all_gather(self, value: Any) -> list[Any]:  # noqa: ANN401
        """What each process has, in order: anything that JSON holds."""
        rows = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = self.all_gather_rows(torch.tensor([len(rows)])).tolist()
        return [json.loads(bytes(part.tolist())) for part in self.all_gather_rows(rows).split(lengths)]

    def lead(self, work: Callable[[], Value]) -> Value | None:
        """Done by the first process while the others wait; its result there, None elsewhere.

        Raises:
            Failure: the first process' own, in all of them.
        """
        return self.together(lambda: work() if self.first else None)

    def together(self, work: Callable[[], Value]) -> Value:
        """Done by every process.

        Raises:
            Failure: that of the first process in which it failed, in all of them.
        """
        result, failed = None, None
        try:
            result = work()
        except Ending as failure:
            failed = failure
        self.fail_together(failed)
        return cast("Value", result)

    def after_first(self, work: Callable[[], Value]) -> Value:
        """Done by the first process, then by the first of each other machine, then by the rest, who may find the work done.

        Raises:
            Failure: that of the first process in which it failed, in all of them.
        """
        done: list[Value] = []
        for turn in (self.first, local_number() == 0, True):
            done = self.together(partial(lambda mine, found: found or ([work()] if mine else []), turn, done))
        return done[0]

    def fail_together(self, failure: Ending | None) -> None:
        """Raise in all processes what any of them failed with: the failure of the lowest rank."""
        if self.size == 1:
            if failure:
                raise failure
            return
        found = self.all_gather(in_json(failure) if failure else None)
        for rank, what in enumerate(found):
            if what:
                raise failure if rank == self.rank and failure else ending_of(what)


ALONE = World()


def full(tensor: Tensor) -> Tensor:
    """A tensor in shards as a whole one: all processes must ask for it. One that is whole, as it is."""
    return tensor.full_tensor() if is_shard(tensor) else tensor  # pyright: ignore[reportAttributeAccessIssue]


def meant_for(like: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor as `like` lies: on its device, and of one in shards this process' part. Nothing is exchanged."""
    tensor = tensor.to(like.device)
    if not is_shard(like):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor  # noqa: PLC0415 (most of a second)

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def is_shard(tensor: Tensor) -> bool:
    """Whether this process has but a part of it."""
    return hasattr(tensor, "full_tensor")


@lru_cache
def _met(_launch: tuple[str, ...]) -> tuple[dist.Store, int, int]:
    """Where the processes of a launch hear of each other, found once: the first one's store lives as long as its process.

    One that came back for another visit could still find the store of the last, which the first process closes last of all.
    """
    return next(dist.rendezvous("env://", timeout=MEETING))


@contextmanager
def joined() -> Iterator[World]:
    """Inside, the processes that were launched together can hear of each other (`heartbeat`); nothing is exchanged yet.

    Raises:
        PeerLost: they did not find each other.
    """
    if not launched():
        yield ALONE
        return
    try:
        store, rank, size = _met(launch())
        own = store.clone()  # pyright: ignore[reportAttributeAccessIssue] (a connection of its own; missing in the stubs)
    except RuntimeError as error:
        raise PeerLost(f"the processes of the launch did not find each other: {in_a_line(error)}", AGAIN) from error
    visit = f"{attempt()}-{next(_VISITS)}"  # what was said at another one is no news
    yield World(rank, size, dist.PrefixStore(f"heartbeat-{visit}", own), dist.PrefixStore(f"ddpm-{visit}", store))


@contextmanager
def connected(world: World, device: torch.device) -> Iterator[None]:
    """Inside, the processes of `world` exchange tensors: by gloo, and by nccl for what lies on GPUs.

    Raises:
        PeerLost: one of them left before all were there.
    """
    if world.meeting is None:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE, store=world.meeting, rank=world.rank, world_size=world.size)
        world.any(False)  # noqa: FBT003 (nobody leaves, and takes the store along, before all have found each other)
    except RuntimeError as error:
        raise dist.DistNetworkError(f"the processes lost each other as they met: {in_a_line(error)}") from error
    yield
    dist.destroy_process_group()  # not after a failure: it would wait for those that are gone
