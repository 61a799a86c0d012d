"""The authors' own weights: the variables of their TensorFlow checkpoints, in an .npz under their names.

Nothing here reads TensorFlow's files; docs/how-to/other-libraries.rst has the lines that write the .npz where TensorFlow is. It is
the paper's network, so the names and shapes of the variables say all of it; how it is read is told by the flags of their scripts.
"""

import re
from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.interop.flags import pairs
from ddpm.interop.foreign import UNKNOWN, Foreign, Shapes, Told, counted, multiple, network_of, require_resolution
from ddpm.interop.port import layout
from ddpm.models.shape import UNetShape

ANCHOR = "temb/dense0/W"
AVERAGE = "/ExponentialMovingAverage"
DEFAULTS = {
    "beta_schedule": "linear",
    "beta_start": "0.0001",
    "beta_end": "0.02",
    "num_diffusion_timesteps": "1000",
    "model_mean_type": "eps",
    "model_var_type": "fixedlarge",
}
"""Of their scripts, with the values for CIFAR-10; those for 256x256 have fixedsmall."""
TRAINING = {"dropout", "optimizer", "lr", "warmup", "grad_clip", "randflip", "loss_type", "tfds_data_dir", "log_dir"}
"""Flags that say nothing of how a network is read."""
SCHEDULES = {"linear": "linear", "quad": "quadratic", "const": "constant"}
MEANS = {"eps": "eps", "xstart": "x0", "xprev": "mean"}
VARIANCES = {"fixedlarge": "fixed-large", "fixedsmall": "fixed-small"}
LAYOUT = layout("_", "temb.dense")
KINDS = {"W": "weight", "gamma": "weight", "b": "bias", "beta": "bias"}


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether a network of theirs is among these variables, under any prefix, raw or averaged."""
    return bool(_prefixes(weights))


def read(weights: Mapping[str, Tensor], told: Told, where: str) -> Foreign:
    """Variables of a checkpoint: the weights, their moving average, or both; what else is there (Adam's) is passed over.

    Raises:
        UsageError: the side of the images is not told, or a flag is none, or one that we cannot express.
        Mismatch: the variables are not those of such a network.
        DataError: they have impossible shapes.
    """
    flags = _flags(told.flags or "")
    (prefix, *_) = _prefixes(weights)
    groups = [_under(weights, prefix, ending) for ending in ("", AVERAGE)]
    raw, ema = groups[0] or groups[1], groups[1] or groups[0]
    resolution = require_resolution(told, where)
    shape = _shape({name: tuple(tensor.shape) for name, tensor in raw.items()}, where)
    channels = counted({name: tuple(tensor.shape) for name, tensor in raw.items()}, "conv_in.weight", 1, where)
    experiment = Experiment(
        data=DataConfig(source=UNKNOWN, shape=(channels, *resolution), levels=256),
        schedule=_schedule(flags),
        process=ProcessConfig(prediction=MEANS[flags["model_mean_type"]], variance=VARIANCES[flags["model_var_type"]]),
        model=shape,
    )
    first, second = (network_of(experiment, group, partial(LAYOUT.names, shape), where) for group in (raw, ema))
    both = bool(groups[0] and groups[1])
    facts = {
        "network": f"{experiment.size()[1]:,} parameters, each matched by name and shape",
        "images": f"{channels}x{resolution[0]}x{resolution[1]} in [-1, 1], 256 levels",
        "schedule": f"{experiment.schedule.name}, T = {experiment.schedule.T}",
        "timesteps": "the network is told t - 1 at t = 1..T",
        "prediction": experiment.process.prediction,
        "variance": f"{experiment.process.variance}; at t = 1 {experiment.process.sigma_1}",
        "weights": "raw, and their moving average"
        if both
        else "the moving average"
        if groups[1]
        else "raw, without an average",
    }
    return Foreign("tensorflow", experiment, first, second, 0, facts)


def _prefixes(weights: Mapping[str, Tensor]) -> list[str]:
    """What stands before the names of a network: "model/" in their files."""
    names = [name.removesuffix(AVERAGE) for name in weights]
    return sorted(
        {name.removesuffix(ANCHOR) for name in names if name == ANCHOR or name.endswith(f"/{ANCHOR}")}, key=len
    )


def _under(weights: Mapping[str, Tensor], prefix: str, ending: str) -> Mapping[str, Tensor]:
    """The variables of a network, in torch's layout: convolutions (out, in, height, width), dense layers (out, in).

    TensorFlow has (height, width, in, out) and (in, out). The optimiser's are passed over: their names go on after a variable's.
    """
    found = {}
    for name, tensor in weights.items():
        inside = name.removeprefix(prefix).removesuffix(ending)
        head, _, kind = inside.rpartition("/")
        if not name.startswith(prefix) or not name.endswith(ending) or kind not in KINDS:
            continue
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(tensor.ndim) if kind == "W" else None
        found[f"{head.replace('/', '.')}.{KINDS[kind]}"] = tensor.permute(axes) if axes else tensor
    return found


def _flags(text: str) -> dict[str, str]:
    found = dict(DEFAULTS)
    for flag, value in pairs(text):
        if flag in DEFAULTS:
            found[flag] = value
        elif flag not in TRAINING:
            raise UsageError(
                f"a flag that the authors' scripts do not have: {f'--{flag}'!r}", f"flags are {', '.join(DEFAULTS)}"
            )
    for flag, known in (("beta_schedule", SCHEDULES), ("model_mean_type", MEANS), ("model_var_type", VARIANCES)):
        if found[flag] not in known:
            raise UsageError(f"--{flag} {found[flag]} is not supported: {', '.join(known)} are")
    return found


def _schedule(flags: Mapping[str, str]) -> ScheduleConfig:
    T, first, last = int(flags["num_diffusion_timesteps"]), float(flags["beta_start"]), float(flags["beta_end"])
    name = SCHEDULES[flags["beta_schedule"]]
    return ScheduleConfig(name, T, {"beta": last} if name == "constant" else {"beta_1": first, "beta_T": last})


def _shape(shapes: Shapes, where: str) -> UNetShape:
    channels = counted(shapes, "conv_in.weight", 0, where)
    levels = range(sum(1 for level in range(16) if f"down_{level}.block_0.conv1.weight" in shapes))
    if not levels:
        raise Mismatch(f"the weights are those of no level: down_0/block_0 is missing: {where}")
    widths = [counted(shapes, f"down_{level}.block_0.conv1.weight", 0, where) for level in levels]
    return UNetShape(
        channels=channels,
        multipliers=tuple(multiple(width, channels) for width in widths),
        blocks=len([name for name in shapes if re.fullmatch(r"down_0\.block_\d+\.conv1\.weight", name)]),
        attention=tuple(level for level in levels if f"down_{level}.attn_0.q.weight" in shapes),
    )
