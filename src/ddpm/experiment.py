"""A run as a value: the tree of frozen dataclasses that is written as config.json beside the weights and rebuilds all.

Fields are changed by name ("training.lr"); an unknown name is refused with the nearest that exists.
"""

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import TypeAdapter, ValidationError

from ddpm.data.batches import AUGMENTATIONS, Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.splits import Options
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import LIMITS, Network, ReverseProcess
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.diffusion.variance import FIRST_VARIANCES, VARIANCES
from ddpm.errors import UsageError, chosen
from ddpm.models.unet import UNet, UNetShape
from ddpm.training.optimizer import DECAYS
from ddpm.training.precision import DTYPES
from ddpm.training.trainer import TIMESTEPS, Recipe

Count = Annotated[int, Ge(0)]


@dataclass(frozen=True)
class DataConfig:
    """What to train on. `shape` (channels, height, width) and `levels` are filled in from the data when 0 or empty."""

    source: str = "digits"
    shape: tuple[int, ...] = ()
    levels: Literal[0] | Annotated[int, Ge(2), Le(65536)] = 0
    resolution: Annotated[tuple[Annotated[int, Ge(1)], ...], MaxLen(2)] = ()
    channels: Literal[0, 1, 3] = 0
    augmentation: str = "none"
    held_out: Annotated[float, Ge(0), Le(0.5)] = 0.05
    max_broken: Annotated[float, Ge(0), Le(1)] = 0.01

    def options(self) -> Options:
        """How to read any split of this data."""
        resolution = self.resolution * 2 if len(self.resolution) == 1 else self.resolution
        return Options(resolution, self.channels, self.levels, self.held_out, self.max_broken)


@dataclass(frozen=True)
class ScheduleConfig:
    """A schedule by name, with the arguments of its function. For "log-snr", `noise_1` defaults to half the levels' spacing."""

    name: str = "linear"
    T: Annotated[int, Ge(1), Le(100_000)] = 1000
    options: dict[str, float] = field(default_factory=dict)

    def build(self, levels: int) -> Schedule:
        """The schedule for data of so many levels.

        Raises:
            UsageError: an option that the schedule does not have, or values that make no schedule.
        """
        options = dict(self.options)
        if self.name == "log-snr":
            options.setdefault("noise_1", 1 / (levels - 1) if levels > 2 else 0.1)
        make = chosen(SCHEDULES, self.name, "schedule")
        known = [name for name in inspect.signature(make).parameters if name != "T"]
        for name in options:
            if name not in known:
                raise UsageError(
                    f"the schedule {self.name!r} has no option {name!r}", f"it has {', '.join(known) or 'none'}"
                )
        try:
            return make(T=self.T, **options)
        except (TypeError, ValueError, RuntimeError) as error:
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

    The held-out bound is estimated on the same `images`, times and noise each time, with `evaluations` of the network
    for each image.
    """

    log: Annotated[int, Ge(1)] = 50
    evaluate: Count = 5000
    sample: Count = 5000
    save: Count = 1000
    samples: Annotated[int, Ge(1)] = 64
    images: Annotated[int, Ge(1)] = 256
    evaluations: Annotated[int, Ge(2)] = 16


@dataclass(frozen=True)
class Experiment:
    """All that defines a run. `precision` is auto, fp32, bf16 or fp16, inside the network; the rest is float32."""

    preset: str = "custom"
    data: DataConfig = DataConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    process: ProcessConfig = ProcessConfig()
    model: UNetShape = UNetShape()
    objective: str = "simple"
    training: Recipe = Recipe()
    rhythm: Rhythm = Rhythm()
    precision: str = "auto"
    compile: bool = False

    def __post_init__(self) -> None:
        chosen(SCHEDULES, self.schedule.name, "schedule")
        chosen(PREDICTIONS, self.process.prediction, "prediction")
        chosen(VARIANCES, self.process.variance, "variance")
        chosen(FIRST_VARIANCES, self.process.sigma_1, "sigma_1")
        chosen(LIMITS, self.process.limit, "limit")
        chosen(OBJECTIVES, self.objective, "objective")
        chosen(AUGMENTATIONS, self.data.augmentation, "augmentation")
        chosen(DECAYS, self.training.decay, "decay")
        chosen(TIMESTEPS, self.training.timesteps, "timesteps")
        chosen({"auto": None, **DTYPES}, self.precision, "precision")
        learned = self.process.variance == "learned"
        if learned and self.objective in ("simple", "weighted"):
            raise UsageError(
                f"a learned variance is not trained by the objective {self.objective!r}",
                "--objective hybrid (or variational), or a fixed --variance",
            )
        if self.objective == "hybrid" and not learned:
            raise UsageError(
                "the hybrid objective trains a learned variance", "--variance learned, or --objective simple"
            )
        levels = len(self.model.multipliers)
        if any(not 0 <= level < levels for level in self.model.attention):
            raise UsageError(f"attention at levels {self.model.attention}, but the network has 0..{levels - 1}")
        if self.model.classes:
            raise UsageError(f"this version trains without classes: model.classes = {self.model.classes}")

    def for_data(self, images: ImageSet) -> "Experiment":
        """With the shape and the levels of the data filled in.

        Raises:
            UsageError: they were given, and are not these; or schedule and prediction do not go together.
        """
        data = self.data
        for name, given, found in (("shape", data.shape, images.shape), ("levels", data.levels, images.levels)):
            if given and given != found:
                raise UsageError(f"the data have {name} {found}, not {given}: {data.source}")
        found = replace(self, data=replace(data, shape=images.shape, levels=images.levels))
        found.reverse_process(lambda x_t, _timestep: x_t, self.process.limit)
        return found

    def network(self) -> UNet:
        """A new network for images of `data.shape`, initialised from torch's global generator."""
        channels = self.data.shape[0]
        outputs = channels * (1 + VARIANCES[self.process.variance](FIRST_VARIANCES[self.process.sigma_1]).outputs)
        return UNet(self.model, channels, outputs)

    def reverse_process(self, network: Network, limit: str) -> ReverseProcess:
        """The network read as this experiment's chain, with one of `LIMITS` on the estimates of x_0.

        Raises:
            UsageError: the prediction cannot be inverted on this schedule.
        """
        try:
            return ReverseProcess(
                network,
                self.schedule.build(self.data.levels),
                PREDICTIONS[self.process.prediction],
                VARIANCES[self.process.variance](FIRST_VARIANCES[self.process.sigma_1]),
                LIMITS[limit],
                discretised(self.data.levels),
            )
        except ValueError as error:
            raise UsageError(str(error)) from error

    def batches(self, images: ImageSet) -> Batches:
        """The training data in the order in which this run sees them."""
        augment = AUGMENTATIONS[self.data.augmentation]
        return Batches(images, self.training.batch_size, self.training.seed, augment)


_ADAPTER = TypeAdapter(Experiment)


def to_json(experiment: Experiment) -> str:
    """The text of config.json."""
    return json.dumps(asdict(experiment), indent=1) + "\n"


def from_dict(values: object) -> Experiment:
    """An experiment from what JSON holds; where a list is asked for, a single number is one of one.

    Raises:
        UsageError: an unknown field, or an impossible value; the message names it.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"a configuration is an object with fields, not {type(values).__name__}")
    try:
        return _ADAPTER.validate_python(_named(values, Experiment(), ""))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        hint = (
            "several values are written with commas, such as 32,32"
            if first["type"].startswith(("tuple", "too_long"))
            else ""
        )
        raise UsageError(f"wrong value for {place}: {first['input']!r}: {first['msg']}", hint) from error


def _named(values: Mapping[str, Any], like: object, place: str) -> dict[str, Any]:
    """The values, all under names that `like` has, single ones as lists where `like` has a tuple."""
    known = {f.name: getattr(like, f.name) for f in fields(like)} if is_dataclass(like) else {}
    result = {}
    for name, value in values.items():
        current = chosen(known, name, f"setting {place}" if place else "setting")
        if is_dataclass(current) and isinstance(value, Mapping):
            result[name] = _named(value, current, f"{place}{name}.")
        else:
            single = isinstance(current, tuple) and isinstance(value, int)
            result[name] = (value,) if single else value
    return result


def changed(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    """The experiment with fields replaced: {"training.lr": 1e-4, "schedule.options.beta_T": 0.03}.

    Raises:
        UsageError: as `from_dict`.
    """
    values = asdict(experiment)
    for path, value in settings.items():
        *sections, name = path.split(".")
        here = values
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                raise UsageError(f"no setting {path!r}: {section!r} is a value")
        here[name] = value
    return from_dict(values)


def differences(old: Experiment, new: Experiment) -> list[str]:
    """What changed, as "training.lr: 0.0002 -> 0.0001"."""
    before, after = _flat(asdict(old)), _flat(asdict(new))
    names = [*before, *(name for name in after if name not in before)]
    return [f"{n}: {before.get(n)} -> {after.get(n)}" for n in names if before.get(n) != after.get(n)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
