"""Images that a model drew: what they cost (time, evaluations of the network, memory), and how far they are from real ones."""

import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ddpm.data.imageset import ImageSet
from ddpm.evaluation.images.features.extractor import Extractor
from ddpm.evaluation.images.metrics import Choices
from ddpm.evaluation.images.score import Distances
from ddpm.evaluation.images.side import Side
from ddpm.figures.images import Images, image_set
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, Sampled, described
from ddpm.trained.draw import Drawing, check_variance, samples
from ddpm.trained.labels import NONE, OWN, condition_of
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.measures.distance import Measurement, Watch, about_side, extractor_for

METRICS = "fid,kid"
"""Where none are asked for."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Images that a model drew, what they cost, and how far they are from a reference.

    Args:
        images: that were drawn.
        sampler: by which, and on how many steps of the chain.
        steps: see `sampler`.
        evaluations: of the network for one of them; None where that depends on the image.
        seconds: wall-clock time for one of them, in batches, on this machine.
        memory: bytes: the weights, and what one evaluation of a whole batch needs at once besides.
        distances: from the reference; None where they were not measured.
    """

    images: Images
    sampler: str
    steps: int
    evaluations: int | None
    seconds: float
    memory: int
    distances: Distances | None = None

    def as_json(self) -> dict[str, Any]:
        """All but the images, for a file."""
        return {
            "images": len(self.images),
            "sampler": self.sampler,
            "steps": self.steps,
            "evaluations": self.evaluations,
            "seconds_per_image": self.seconds,
            "memory_bytes": self.memory,
            **(self.distances.as_json() if self.distances else {}),
        }

    def as_row(self) -> dict[str, Any]:
        """What a line of a table says of them: of each distance the value and its interval."""
        values = {
            "samples": len(self.images),
            "sampler": self.sampler,
            "steps": self.steps,
            "evaluations_per_sample": self.evaluations,
            "seconds_per_sample": self.seconds,
            "memory_bytes": self.memory,
        }
        for score in self.distances.scores if self.distances else ():
            values |= {score.name: score.value, f"{score.name}_low": score.low, f"{score.name}_high": score.high}
        return values


def draw(drawing: Drawing, watch: Callable[[Iterable[Sampled], int], Iterator[Sampled]]) -> Drawn:
    """Draw the images, and see what it costs; the network is evaluated once before the time is taken.

    Args:
        drawing: what to draw.
        watch: shows progress of so many steps; its own time does not count.
    """
    memory, clock = _memory(drawing), _Clock(drawing.run(), drawing.model.device)
    images = drawing.images(watch(clock, drawing.plan.batches() * drawing.moves))
    name, _ = described(drawing.sampler)
    return Drawn(images, name, drawing.begin, drawing.evaluations, clock.seconds / len(images), memory)


@dataclass(frozen=True)
class Alike:
    """What several models draw alike, from the same noise, and how it is measured.

    Args:
        plan: how many images, by which sampler, from which seed.
        few: by which rule, and on at most how many steps of the chain.
        metrics: names of `ddpm.evaluation.images.metrics.METRICS`.
        features: the extractor, or its name; None by the channels of the images.
        reference: the real images from which distances are taken.
        source: what these are called.
        split: of the source.
    """

    plan: Plan
    few: FewSteps
    metrics: Sequence[str]
    features: str | Extractor | None
    reference: ImageSet
    source: str
    split: str | None


def draw_all(
    models: Sequence[tuple[str, LoadedModel]],
    how: Alike,
    on_chain: Callable[[LoadedModel, FewSteps, str], LoadedModel],
    watch: Watch,
) -> list[Drawn]:
    """What each of the models draws, of all classes in turn, and how far it is from the reference.

    Args:
        models: each with its name, on the whole chain.
        how: what they have in common.
        on_chain: reads a model on fewer steps, told its classes ("own") or not ("none").
        watch: shows progress.

    Raises:
        UsageError: no such sampler, spacing, metric or features, or the sampler has no variance.
        Mismatch: the images are none for the extractor.
    """
    plan, found = how.plan, []
    check_variance(plan.build(), how.few.variance)
    reference: Side | None = None
    for name, whole in models:
        condition = condition_of(whole.experiment, None)
        few = replace(how.few, steps=min(how.few.steps or whole.process.schedule.T, whole.process.schedule.T))
        model = on_chain(whole, few, OWN if condition.labels else NONE)
        drawing = samples(model, plan, few.spacing, condition)
        one = draw(drawing, lambda steps, count: watch(steps, count, "sampling"))
        extractor = extractor_for(how.features, [how.reference], model.device)
        measurement = Measurement(how.metrics, extractor, Choices(plan.seed), plan.batch_size, model.device, watch)
        reference = measurement.side(how.reference, how.source) if reference is None else reference
        images = image_set(one.images, "all")
        about = {
            "a": about_side(images, name, "all") | one.as_json(),
            "b": about_side(how.reference, how.source, how.split),
            "seed": plan.seed,
        }
        distances = measurement.between(measurement.side(images, name), reference, about)
        found.append(replace(one, distances=distances))
    return found


class _Clock:
    """The items of an iterator, and how many seconds they took to come: on a GPU until they are computed, not asked for."""

    def __init__(self, items: Iterator[Sampled], device: torch.device) -> None:
        self.items, self.device, self.seconds = items, device, 0.0

    def __iter__(self) -> Iterator[Sampled]:
        while True:
            began = time.perf_counter()
            try:
                item = next(self.items)
                if self.device.type == "cuda":
                    torch.cuda.synchronize(self.device)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - began
            yield item


def _memory(drawing: Drawing) -> int:
    """Bytes of the weights, and of the most tensors that are alive at once while the network sees a batch."""
    plan, model = drawing.plan, drawing.model
    rows = plan.rows[: plan.batch_size]
    p = drawing.condition.on(drawing.process, rows, model.device)
    x = torch.zeros(len(rows), *model.experiment.shape, device=model.device)
    network = model.network
    with torch.no_grad(), Alive() as alive:
        p(x, drawing.begin)
    return alive.most + sum(weight.nbytes for weight in (*network.parameters(), *network.buffers()))


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are made in its block: `most` is the largest number alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """The operation, and its results counted unless they lie in what was there before."""
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                self._count(tensor, 0)
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor):
                self._count(tensor, tensor.untyped_storage().nbytes())
        self.most = max(self.most, self.now)
        return found

    def _count(self, tensor: Tensor, size: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.now += size
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
