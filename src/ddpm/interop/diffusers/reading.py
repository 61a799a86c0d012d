"""From a folder of diffusers to a model of ours."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ddpm.errors import DataError, Mismatch, NotFound, UsageError
from ddpm.experiment.config import DataConfig, Experiment
from ddpm.experiment.settings import from_dict, spelled
from ddpm.interop.diffusers import network, scheduler
from ddpm.interop.files import weights_in
from ddpm.interop.folders import inside, json_in
from ddpm.interop.foreign import UNKNOWN, Foreign, network_of
from ddpm.models.shape import UNetShape, class_number

NETWORK = "UNet2DModel"
AVERAGED = {"decay", "inv_gamma", "power", "min_decay", "update_after_step", "use_ema_warmup", "optimization_step"}
"""What diffusers' moving average writes into the same file."""
WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.fp16.bin",
)
"""Names of the file of weights; the first that is there is read."""
LABEL = "label.weight"


def recognises(path: Path) -> bool:
    """A folder with a UNet2DModel in it, or in its unet/ or unet_ema/."""
    return any(_is_network(folder) for folder in (path, path / "unet", path / "unet_ema"))


def _is_network(folder: Path) -> bool:
    try:
        return json_in(folder / "config.json").get("_class_name") == NETWORK
    except (NotFound, DataError):
        return False


def read(path: Path) -> Foreign:
    """A pipeline's folder, a flat one of the hub, a checkpoint of the training script, or unet/ alone.

    Raises:
        UsageError: the network or the scheduler is one that we cannot express; what is named.
        DataError: a file is damaged or hostile.
        Mismatch: weights and configuration are not of the same network.
    """
    raw, averaged = _folders(path)
    config = json_in((raw or averaged or path) / "config.json")
    told = {**network.DEFAULTS, **config}
    where = _scheduler(path)
    try:
        process = scheduler.whole(where)
        experiment = _experiment(told, process)
        experiment.schedule.build(experiment.levels)
    except (TypeError, KeyError, ValueError, ArithmeticError) as error:  # a value of another kind than diffusers writes
        raise DataError(f"damaged configuration: {path}: {error}") from error
    first, *more = [_weights(folder, experiment) for folder in (raw, averaged) if folder is not None]
    if experiment.model.classes and all(_knows_none(weights) for weights in (first, *more)):
        experiment = replace(experiment, model=replace(experiment.model, classes=class_number(experiment.model) - 1))
        first, *more = [{**weights, LABEL: weights[LABEL][:-1]} for weights in (first, *more)]
    facts = _facts(experiment, told, process, scheduled=bool(where))
    facts["weights"] = (
        "raw, and their moving average"
        if raw and averaged
        else "the moving average"
        if averaged
        else "as saved; diffusers does not say whether they are an average"
    )
    known = network.DEFAULTS.keys() | AVERAGED | {name for name in config if name.startswith("_")}
    if strange := sorted(config.keys() - known):
        facts["not understood"] = ", ".join(strange)
    return Foreign("diffusers", experiment, first, more[0] if more else first, _step(config), facts)


def _knows_none(weights: Mapping[str, Tensor]) -> bool:
    """Whether the last class adds nothing to the time embedding: it is how we write "no class", which needs no row here."""
    return len(weights[LABEL]) > 1 and not weights[LABEL][-1].any()


def _folders(path: Path) -> tuple[Path | None, Path | None]:
    """Where the network is, and its moving average, where they are apart."""
    if path.name == "unet_ema" or not any(_is_network(path / name) for name in ("unet", "unet_ema")):
        return (None, path) if path.name == "unet_ema" else (path, None)
    raw, averaged = (path / name if _is_network(path / name) else None for name in ("unet", "unet_ema"))
    return raw, averaged


def _scheduler(path: Path) -> Mapping[str, Any]:
    """The scheduler's configuration, in the folder, in its scheduler/, or beside it; empty where there is none."""
    for folder in (path / "scheduler", path, path.parent / "scheduler"):
        try:
            return json_in(folder / "scheduler_config.json")
        except NotFound:
            continue
    return {}


def _experiment(told: Mapping[str, Any], process: Mapping[str, Any]) -> Experiment:
    channels, outputs, sides = told["in_channels"], told["out_channels"], told["sample_size"]
    if sides is None:
        raise UsageError(
            "a UNet2DModel whose sample_size is not known is not supported: write the side of its images there"
        )
    resolution = (sides, sides) if isinstance(sides, int) else tuple(sides)
    if len(resolution) != 2 or not all(isinstance(side, int) and 0 < side < 2**16 for side in (*resolution, channels)):
        raise DataError(f"damaged configuration: images of {channels} channels and sides {sides}")
    reading = scheduler.process_of(process)
    if outputs != channels * (2 if reading.variance == "learned" else 1):
        raise Mismatch(
            f"the network gives {outputs} channels for {channels}, and the scheduler has variance_type "
            f"{process['variance_type']!r}: these do not go together"
        )
    checked = from_dict({"model": spelled(Experiment(model=network.shape_of(told)))["model"]})
    data = DataConfig(source=UNKNOWN, shape=(channels, *resolution), levels=256)
    objective = (
        "hybrid" if reading.variance == "learned" else "simple"
    )  # that it could go on with; nothing says which it was
    return Experiment(
        data=data,
        schedule=scheduler.schedule_of(process),
        process=reading,
        model=checked.model,
        objective=objective,
    )


def _weights(folder: Path, experiment: Experiment) -> Mapping[str, Tensor]:
    """Those of the network, all of them, under our names."""
    files = [folder / name for name in WEIGHTS if (folder / name).exists() or (folder / name).is_symlink()]
    if not files:
        raise NotFound(f"no weights in {str(folder)!r}: none of {', '.join(WEIGHTS)}")
    weights = {network.renewed(name): tensor for name, tensor in weights_in(inside(files[0])).items()}
    shape = experiment.model
    assert isinstance(shape, UNetShape)
    return network_of(experiment, weights, partial(network.layout(shape).names, shape), str(files[0]))


def _step(config: Mapping[str, Any]) -> int:
    step = config.get("optimization_step")
    return step if isinstance(step, int) and 0 <= step < 10**12 else 0


def _facts(
    experiment: Experiment, told: Mapping[str, Any], process: Mapping[str, Any], *, scheduled: bool
) -> dict[str, str]:
    """What was found, for a person to compare with what she knows of the model."""
    channels, height, width = experiment.shape
    schedule, reading = experiment.schedule, experiment.process
    name = "a table of betas" if schedule.beta else f"{schedule.name} ({process['beta_schedule']})"
    return {
        "network": f"{NETWORK}, {experiment.size()[1]:,} parameters, each matched by name and shape",
        "images": f"{channels}x{height}x{width} in [-1, 1], 256 levels",
        "classes": str(told["num_class_embeds"] or "none"),
        "scheduler": str(process["_class_name"]) if scheduled else "no configuration: diffusers' defaults are taken",
        "schedule": f"{name}, T = {schedule.T}",
        "timesteps": "the network is told t - 1 at t = 1..T",
        "prediction": f"{reading.prediction} ({process['prediction_type']})",
        "variance": f"{reading.variance} ({process['variance_type']}); at t = 1 {reading.sigma_1}",
        "estimates of x_0": reading.limit,
    }
