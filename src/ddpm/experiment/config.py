"""A run as a value: the tree of frozen dataclasses that is written as config.json beside the weights and rebuilds all."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from torch import nn

from ddpm.data.batches import AUGMENTATIONS, Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import Labels, class_count, class_names, matched_labels
from ddpm.data.splits import Options
from ddpm.data.unfilled import highest, is_black, unfilled
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.learned import LearnedSchedule, ScheduledNetwork
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import LIMITS, Network, ReverseProcess
from ddpm.diffusion.schedule import SCHEDULES, Schedule, SignalRemains, log_snr
from ddpm.diffusion.variance import FIRST_VARIANCES, VARIANCES
from ddpm.errors import UsageError, chosen
from ddpm.experiment.history import Change, Init
from ddpm.models.networks import AnyShape, new, size
from ddpm.models.precision import PRECISIONS
from ddpm.models.shape import ALL_CLASSES, UNetShape, class_number
from ddpm.training.optimizer import DECAYS, OPTIMIZERS
from ddpm.training.replicas import PARALLEL
from ddpm.training.trainer import TIMESTEPS, Recipe

Count = Annotated[int, Ge(0)]
LEARNED, TABLE = "learned", "table"


def _from_table(T: int, beta: Sequence[float]) -> Schedule:
    if len(beta) != T:
        raise ValueError(f"a table of {len(beta)} betas is no schedule of {T} steps")
    return Schedule(torch.tensor([0.0, *beta], dtype=torch.float64), kind=TABLE)


@lru_cache(maxsize=16)
def _built(make: Callable[..., Schedule], T: int, options: tuple[tuple[str, Any], ...], scale: float) -> Schedule:
    """Once for all who ask in one call, so that what there is to be warned of is said once."""
    with torch.device("cpu"):
        schedule = make(T=T, **dict(options))
        if scale == 1:
            return schedule
        told = scale * schedule.timestep_map.double()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SignalRemains)  # which was said already
            return Schedule(schedule.beta, told, kind=schedule.kind)


BUILDERS: Mapping[str, Callable[..., Schedule]] = {**SCHEDULES, LEARNED: log_snr, TABLE: _from_table}
"""Schedules by name for a run: the fixed ones, one that is learned, and one given as numbers."""


@dataclass(frozen=True)
class DataConfig:
    """What to train on. `shape` (channels, height, width) and `levels` are None until the data are known.

    So are the `class_names` of a model with classes, where the data have names for them. `resolution` and `channels` of None
    leave the images as they are. `in_memory` is how many bytes of images of a folder are held in memory; more are read batch
    by batch, by `workers` processes (None: as many as suit the machine), which changes no bit of a run. `decoding` is the rule by
    which large pictures become small (`data.decoding.scaled`).
    """

    source: str = "digits"
    shape: tuple[int, ...] | None = None
    levels: Annotated[int, Ge(2), Le(65536)] | None = None
    class_names: tuple[str, ...] | None = None
    resolution: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1), MaxLen(2)] | None = None
    channels: Literal[1, 3] | None = None
    augmentation: str = "none"
    held_out: Annotated[float, Ge(0), Le(0.5)] = 0.05
    max_broken: Annotated[float, Ge(0), Le(1)] = 0.01
    in_memory: Annotated[int, Ge(0)] = 2**30
    workers: Annotated[int, Ge(0), Le(256)] | None = None
    layout: Literal["NHW", "NCHW", "NHWC"] | None = None
    decoding: Literal["scaled", "full"] = "scaled"

    def options(self) -> Options:
        """How to read any split of this data."""
        resolution = self.resolution or ()
        return Options(
            resolution=(resolution[0], resolution[-1]) if resolution else None,
            channels=self.channels,
            levels=self.levels,
            held_out=self.held_out,
            max_broken=self.max_broken,
            in_memory=self.in_memory,
            workers=self.workers,
            layout=self.layout,
            decoding=self.decoding,
        )


@dataclass(frozen=True)
class ScheduleConfig:
    """A schedule by name, with the arguments of its function.

    For "log-snr", `noise_1` defaults to half the levels' spacing; "learned" begins there and is then trained with the
    network; "table" is `beta`, for t = 1..T, which no other has. At step t the network is told `timestep_scale` (t - 1): 1 is the
    published, others tell it 1000 (t - 1) / T.
    """

    name: str = "linear"
    T: Annotated[int, Ge(1), Le(100_000)] = 1000
    options: dict[str, float] = field(default_factory=dict)
    beta: tuple[float, ...] | None = None
    timestep_scale: Annotated[float, Gt(0), Lt(math.inf)] = 1.0

    @property
    def learned(self) -> bool:
        """Whether it is trained."""
        return self.name == LEARNED

    def build(self, levels: int) -> Schedule:
        """The schedule for data of so many levels; where it is learned, how it begins.

        Raises:
            UsageError: an option that the schedule does not have, or values that make no schedule.
        """
        options: dict[str, Any] = dict(self.options)
        if self.name in (LEARNED, "log-snr"):
            options.setdefault("noise_1", 1 / (levels - 1) if levels > 2 else 0.1)
        if self.name == TABLE:
            options["beta"] = self.beta or ()
        make = chosen(BUILDERS, self.name, "schedule")
        known = [name for name in inspect.signature(make).parameters if name != "T"]
        for name in options:
            if name not in known:
                raise UsageError(
                    f"the schedule {self.name!r} has no option {name!r}", f"it has {', '.join(known) or 'none'}"
                )
        try:
            return _built(make, self.T, tuple(options.items()), self.timestep_scale)
        except (TypeError, ValueError, RuntimeError, UsageError) as error:
            raise UsageError(f"no schedule {self.name!r} with T = {self.T} and {options}: {error}") from error


@dataclass(frozen=True)
class ProcessConfig:
    """How the network is read as a Markov chain; `limit` is for sampling and the bound, training never clips."""

    prediction: str = "eps"
    variance: str = "fixed-large"
    sigma_1: str = "beta-tilde-2"
    limit: str = "unit-clamp"


@dataclass(frozen=True)
class Rhythm:
    """How often, in steps, a run logs, evaluates, samples and saves (0 is never), and how much it spends on it.

    A process of which the others hear nothing for `patience` seconds is lost.

    The held-out bound is estimated (`evaluation.cheap`) on the same `images` with the same noise each time, with
    `evaluations` of the network for each image, and one in 16 more to find the t that matter. Of the checkpoints the last
    three stay, the best by that bound, and those of every `keep` steps.

    With a `budget`, in seconds of wall-clock time over all its sessions, the run ends by time and not after `training.steps`.
    """

    log: Annotated[int, Ge(1)] = 50
    evaluate: Count = 5000
    sample: Count = 5000
    save: Count = 1000
    keep: Count = 0
    samples: Annotated[int, Ge(1)] = 64
    images: Annotated[int, Ge(1)] = 256
    evaluations: Annotated[int, Ge(2)] = 16
    patience: Annotated[float, Ge(1)] = 60.0
    budget: Annotated[float, Gt(0), Lt(math.inf)] | None = None


@dataclass(frozen=True)
class Experiment:
    """All that defines a run. `precision` is auto, fp32, bf16 or fp16, inside the network; the rest is float32.

    `parallel` says how several processes share the network: "ddp", whole in each, or "fsdp", in shards. `init` are the weights
    that a run began with, where they are those of another one; `changes` are what was changed in its middle: `training` is as it is
    after all of them. `gradient_checkpointing` saves memory for time (`models.recompute`).
    """

    preset: str = "custom"
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    process: ProcessConfig = ProcessConfig()
    model: AnyShape = UNetShape()
    objective: str = "simple"
    training: Recipe = Recipe()
    rhythm: Rhythm = Rhythm()
    precision: str = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    parallel: str = "ddp"
    init: Init | None = None
    changes: tuple[Change, ...] = ()

    def __post_init__(self) -> None:
        chosen(BUILDERS, self.schedule.name, "schedule")
        chosen(PREDICTIONS, self.process.prediction, "prediction")
        chosen(VARIANCES, self.process.variance, "variance")
        chosen(FIRST_VARIANCES, self.process.sigma_1, "sigma_1")
        chosen(LIMITS, self.process.limit, "limit")
        chosen(OBJECTIVES, self.objective, "objective")
        chosen(AUGMENTATIONS, self.data.augmentation, "augmentation")
        chosen(DECAYS, self.training.decay, "decay")
        chosen(OPTIMIZERS, self.training.optimizer, "optimizer")
        chosen(TIMESTEPS, self.training.timesteps, "timesteps")
        chosen(PRECISIONS, self.precision, "precision")
        chosen(PARALLEL, self.parallel, "parallel")
        odd = {"compile": self.compile, "fp16": self.precision == "fp16", "a learned schedule": self.schedule.learned}
        if self.parallel == "fsdp" and any(odd.values()):
            what = next(name for name in odd if odd[name])
            raise UsageError(f"a network in shards does not go with {what}: parallel=fsdp", "parallel=ddp does")
        if self.schedule.learned and self.objective != "variational":
            raise UsageError(
                f"a learned schedule is not trained by the objective {self.objective!r}", "`objective=variational`"
            )
        learned = self.process.variance == "learned"
        if learned and self.objective in ("simple", "weighted"):
            raise UsageError(
                f"a learned variance is not trained by the objective {self.objective!r}",
                "`objective=hybrid` (or variational), or a fixed `variance`",
            )
        if self.objective == "hybrid" and not learned:
            raise UsageError(
                "the hybrid objective trains a learned variance", "`variance=learned`, or `objective=simple`"
            )
        levels = len(self.model.widths)
        if any(not 0 <= level < levels for level in self.model.attention):
            raise UsageError(f"model.attention = {list(self.model.attention)}: the levels are 0..{levels - 1}")

    def for_other_data(self) -> "Experiment":
        """Without what the data have filled in, but for the number of classes."""
        unknown = DataConfig()
        data = replace(self.data, shape=unknown.shape, levels=unknown.levels, class_names=unknown.class_names)
        return replace(self, data=data)

    def for_data(self, images: ImageSet) -> "Experiment":
        """With the shape, the levels and the classes of the data filled in.

        Raises:
            UsageError: they were given, and are not these; the data have no labels, or more classes than the model; or
                schedule and prediction do not go together.
        """
        data = self.data
        for name, given, found in (
            ("shape", data.shape, images.shape),
            ("levels", data.levels, images.levels),
            ("class_names", data.class_names, images.classes),
        ):
            if given is not None and given != found:
                raise UsageError(f"the data have {name} {found}, not {given}: {data.source}")
        found = self._for_classes(images)
        found = replace(found, data=replace(found.data, shape=images.shape, levels=images.levels))
        found.reverse_process(lambda x_t, _timestep: x_t, self.process.limit, found.schedule.build(images.levels))
        return found

    def require_bright(self, images: ImageSet) -> None:
        """Refuse to begin on images that are all but black, where nobody said how many levels they have.

        Raises:
            UsageError: they are.
        """
        if self.data.levels is None and is_black(images):
            raise UsageError(
                f"{unfilled(images)}: {self.data.source}",
                f"`data.levels={(highest(images) or 0) + 1}`, if these are all values that there are",
                f"`data.levels={images.levels}`, if they are meant to be so dark",
            )

    def _for_classes(self, images: ImageSet) -> "Experiment":
        """With the number of classes and their names."""
        asked, found = self.model.classes, class_count(images)
        if asked is None:
            return self
        if not found:
            raise UsageError(
                f"the data have no labels, which a model with classes needs: {self.data.source}",
                "`model.classes=0` begins a model without classes, with all other weights of that run"
                if self.init
                else "",
                "labels are the folders of images, MNIST's and CIFAR's own, or \"labels\" in an .npz",
            )
        classes = found if asked == ALL_CLASSES else asked
        if classes < found:
            raise UsageError(f"the data have {found} classes, the model {asked}: {self.data.source}", "`conditional`")
        names = images.classes or None
        return replace(self, data=replace(self.data, class_names=names), model=replace(self.model, classes=classes))

    def labels(self, images: ImageSet) -> Labels:
        """The label that a network of this experiment is given with each image, (N,); None where it has no classes.

        Raises:
            Mismatch: the images have no labels, or a class that the network does not know.
        """
        if self.model.classes is None:
            return None
        return matched_labels(images, self.classes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of an image: channels, height and width.

        Raises:
            ValueError: it is not known before the data are (`for_data`).
        """
        if self.data.shape is None:
            raise ValueError("the shape of the images is known once the data are")
        return self.data.shape

    @property
    def levels(self) -> int:
        """How many values a pixel's channel can have. Known, and raises, as `shape`."""
        if self.data.levels is None:
            raise ValueError("the number of levels is known once the data are")
        return self.data.levels

    @property
    def classes(self) -> tuple[str, ...]:
        """What the classes are called: by their names in the data, or by their numbers."""
        return class_names(self.data.class_names or (), class_number(self.model))

    @property
    def every_class(self) -> tuple[int, ...]:
        """All labels in turn; none for a model without classes."""
        return tuple(range(len(self.classes)))

    def network(self) -> nn.Module:
        """A new network for images of `shape`, initialised from torch's global generator; with a schedule, if learned."""
        network = new(self.model, *self._channels)
        if not self.schedule.learned:
            return network
        with torch.device("cpu"):  # its start is a table of numbers, even where the network has none yet
            return ScheduledNetwork(network, LearnedSchedule(self.schedule.build(self.levels)))

    def size(self) -> tuple[int, int]:
        """How many tensors and how many numbers the parameters of `network` are; nothing is built."""
        tensors, numbers = size(self.model, *self._channels)
        return (tensors + 2, numbers + self.schedule.T) if self.schedule.learned else (tensors, numbers)

    @property
    def _channels(self) -> tuple[int, int]:
        """Of the network's input and output."""
        channels = self.shape[0]
        return channels, channels * (
            1 + VARIANCES[self.process.variance](FIRST_VARIANCES[self.process.sigma_1]).outputs
        )

    def schedule_of(self, network: nn.Module) -> Schedule:
        """The schedule of a network that `network` made: its own where it is learned, as it is now."""
        return network.schedule() if isinstance(network, ScheduledNetwork) else self.schedule.build(self.levels)

    def reverse_process(self, network: Network, limit: str, schedule: Schedule) -> ReverseProcess:
        """The network read as this experiment's chain, with one of `LIMITS` on the estimates of x_0.

        Raises:
            UsageError: the prediction cannot be inverted on this schedule.
        """
        return ReverseProcess(
            network,
            schedule,
            PREDICTIONS[self.process.prediction],
            VARIANCES[self.process.variance](FIRST_VARIANCES[self.process.sigma_1]),
            LIMITS[limit],
            discretised(self.levels),
        )

    def batches(self, images: ImageSet) -> Batches:
        """The training data in the order in which this run sees them."""
        order = images, self.training.batch_size, self.training.seed
        return Batches(*order, AUGMENTATIONS[self.data.augmentation], self.labels(images), lost=dict(images.lost))
