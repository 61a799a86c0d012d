"""Files of lucidrains/denoising-diffusion-pytorch, version 2.0 and later: what its `Trainer` saves, or its `GaussianDiffusion`.

The weights say the whole network, heads included, and buffers beside them say betas and what the loss was weighted with, which
tells the prediction. The side of the images is not there, nor are two arguments that have to be told where they are not usual.
"""

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor

from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.interop.flags import is_true, pairs
from ddpm.interop.foreign import UNKNOWN, Foreign, Shapes, Told, counted, network_of, require_resolution
from ddpm.models.lucidrains import LucidrainsShape

STEM = "init_conv.weight"
ANCHOR = f"model.{STEM}"
"""In the weights of a GaussianDiffusion."""
DEFAULTS = {"objective": "", "auto_normalize": "True", "sinusoidal_pos_emb_theta": "10000"}
"""Arguments that are not in the file: of GaussianDiffusion, and of its network. An objective of "" is found from the buffers."""
OBJECTIVES = {"pred_noise": "eps", "pred_x0": "x0", "pred_v": "v"}
REFUSED = {
    "time_mlp.0.weights": "a learned or random embedding of time",
    "classes_emb.weight": "the class-conditional network of classifier_free_guidance",
    "downs.0.0.block1.norm.weight": "a network of a version before 2.0",
    "downs.0.0.ds_conv.weight": "a network of a version before 2.0",
}
"""Weights of networks that are other ones, and what these are."""
FIXED, LEARNED = ("fixed-small", "beta-tilde-2"), ("learned", "beta-tilde-1")
"""Variance and rule for t = 1. The range of LearnedGaussianDiffusion begins at `posterior_variance.clamp(min=1e-20)`, and its
vlb loss has the decoder of t = 1 from there; a fixed variance at t = 1 is used nowhere in their code, and is the published one."""
MOST = 100_000
"""Steps of a chain."""


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether a network of this layout is in a file."""
    heads = [name.removesuffix(STEM) for name in weights if name == STEM or name.endswith(f".{STEM}")]
    return any(name.startswith(f"{head}downs.0.0.") for head in heads for name in weights)


def read(weights: Mapping[str, Tensor], told: Told, where: str) -> Foreign:
    """A file of its Trainer (`model-*.pt`), with the weights and their average, or the weights of a GaussianDiffusion.

    Raises:
        UsageError: the side of the images is not told, or a flag is none; or it is a network that we cannot express, which is named.
        Mismatch: the weights are not those of such a network.
        DataError: they have impossible shapes or values.
    """
    flags = _flags(told.flags or "")
    heads = [name.removesuffix(ANCHOR) for name in weights if name == ANCHOR or name.endswith(f".{ANCHOR}")]
    if not heads:
        raise UsageError(
            f"a U-Net of lucidrains' alone, without the schedule that it was trained with: {where}",
            "the weights of its GaussianDiffusion have both, and so has what its Trainer saves",
        )
    averaged = next((head for head in heads if head.endswith("ema_model.")), heads[0])
    raw, ema = ({n.removeprefix(h): one for n, one in weights.items() if n.startswith(h)} for h in (heads[0], averaged))
    networks = [{n.removeprefix("model."): one for n, one in of.items() if n.startswith("model.")} for of in (raw, ema)]
    shapes = {name: tuple(tensor.shape) for name, tensor in networks[0].items()}
    shape, learned = _shape(shapes, flags, where), _variance_is_learned(shapes, where)
    resolution = require_resolution(told, where)
    if any(side % shape.stride for side in resolution):
        raise UsageError(
            f"sides of {resolution[0]}x{resolution[1]} are no multiples of {shape.stride}, as this network needs"
        )
    if not is_true(flags, "auto_normalize"):
        raise UsageError("a model of images in [0, 1] (--auto_normalize False) is not supported: [-1, 1] is")
    schedule, called = _schedule(raw, where)
    prediction, weighted = ("eps", "") if learned else _prediction(raw, schedule, flags, where)
    channels = shapes[STEM][1]
    experiment = Experiment(
        data=DataConfig(source=UNKNOWN, shape=(channels, *resolution), levels=256),
        schedule=schedule,
        process=ProcessConfig(prediction, *(LEARNED if learned else FIXED)),
        model=shape,
        objective="hybrid" if learned else "simple",
    )
    first, second = (network_of(experiment, _apart(one), partial(_names, shape), where) for one in networks)
    facts = {
        "network": f"{experiment.size()[1]:,} parameters, each matched by name and shape",
        "images": f"{channels}x{resolution[0]}x{resolution[1]} in [-1, 1], 256 levels",
        "schedule": f"{called}, T = {schedule.T}",
        "timesteps": "the network is told t - 1 at t = 1..T",
        "prediction": prediction,
        "variance": "learned; at t = 1 from beta-tilde-1 (0, which they raise to 1e-20) to beta-1"
        if learned
        else f"fixed-small; at t = 1 {experiment.process.sigma_1}",
        "weights of the loss": weighted,
        "weights": "raw, and their moving average"
        if averaged != heads[0]
        else "as saved; nothing says whether they are an average",
    }
    step = int(weights["ema.step"]) if "ema.step" in weights and weights["ema.step"].numel() == 1 else 0
    return Foreign(
        "lucidrains", experiment, first, second, max(step, 0), {n: fact for n, fact in facts.items() if fact}
    )


def _flags(text: str) -> dict[str, str]:
    found = dict(DEFAULTS)
    for flag, value in pairs(text):
        if flag not in DEFAULTS:
            raise UsageError(
                f"the file says this itself, or it is not known: {f'--{flag}'!r}", f"flags are {', '.join(DEFAULTS)}"
            )
        found[flag] = value
    if found["objective"] not in ("", *OBJECTIVES):
        raise UsageError(f"--objective is one of {', '.join(OBJECTIVES)}, not {found['objective']!r}")
    return found


def _variance_is_learned(shapes: Shapes, where: str) -> bool:
    """By the channels that go in and out."""
    inputs, outputs = counted(shapes, STEM, 1, where), counted(shapes, "final_conv.weight", 0, where)
    if inputs == 2 * outputs:
        raise UsageError(f"not supported: a network that is told its own estimate (self_condition): {where}")
    if outputs not in (inputs, 2 * inputs):
        raise Mismatch(f"the network gives {outputs} channels for {inputs}: {where}")
    return outputs == 2 * inputs


def _shape(shapes: Shapes, flags: Mapping[str, str], where: str) -> LucidrainsShape:
    for name, what in REFUSED.items():
        if name in shapes:
            raise UsageError(f"not supported: {what}: {where}")
    if len(shapes[STEM]) != 4:
        raise UsageError(f"not supported: a network of images of {len(shapes[STEM]) - 2} axes: {where}")
    levels = range(sum(1 for level in range(16) if f"downs.{level}.2.mem_kv" in shapes))
    attends = [level for level in levels if f"downs.{level}.2.to_out.weight" in shapes]
    wide = [f"downs.{level}.3.{'' if level == levels[-1] else '1.'}weight" for level in levels]
    memories = 2 if 0 in attends else 3  # linear attention has them the other way round
    try:
        return LucidrainsShape(
            channels=counted(shapes, STEM, 0, where),
            widths=tuple(counted(shapes, name, 0, where) for name in wide),
            time_channels=counted(shapes, "time_mlp.1.weight", 1, where),
            attention=tuple(attends),
            heads=tuple(counted(shapes, f"downs.{level}.2.mem_kv", 1, where) for level in levels),
            head_channels=tuple(
                counted(shapes, f"downs.{level}.2.mem_kv", 3 if level in attends else 2, where) for level in levels
            ),
            memories=counted(shapes, "downs.0.2.mem_kv", memories, where),
            theta=float(flags["sinusoidal_pos_emb_theta"]),
        )
    except (UsageError, ValueError) as error:
        raise DataError(f"no network of this shape: {where}: {error}") from error


def _schedule(held: Mapping[str, Tensor], where: str) -> tuple[ScheduleConfig, str]:
    """By its name where the betas are those of a formula, so that they are known in float64; else as a table."""
    beta = held.get("betas", torch.zeros(0)).double()
    if beta.ndim != 1 or not 1 <= len(beta) <= MOST or not bool(((beta > 0) & (beta < 1)).all()):
        raise DataError(f"no betas between 0 and 1 beside the network: {where}")
    T = len(beta)
    named = [ScheduleConfig("cosine", T)]
    if T > 20:  # else its last beta is none
        named.append(ScheduleConfig("linear", T, {"beta_1": 0.1 / T, "beta_T": 20 / T}))
    for config in named:
        if torch.allclose(config.build(256).beta[1:], beta, rtol=1e-5, atol=0):
            return config, config.name
    exact, called = beta, "a table of betas"
    if torch.allclose(sigmoid(T), beta, rtol=1e-5, atol=0):
        exact, called = sigmoid(T), "sigmoid"
    return ScheduleConfig("table", T, beta=tuple(exact.tolist())), called


def sigmoid(T: int, start: float = -3.0, end: float = 3.0, most: float = 0.999) -> Tensor:
    r"""Betas of lucidrains' own default, (T,) float64: alpha_bar falls as a sigmoid does, from `end` to `start`.

    Jabri et al. 2022 (arXiv:2212.11972, Figure 8), less the highest value, in float32 as there.
    """
    highest = torch.tensor(end).sigmoid().double()
    alpha_bar = highest - torch.linspace(start, end, T + 1, dtype=torch.float64).sigmoid()
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(0, most)


def _prediction(
    held: Mapping[str, Tensor], schedule: ScheduleConfig, flags: Mapping[str, str], where: str
) -> tuple[str, str]:
    """From the weights of the loss, which are of the signal-to-noise ratio in another way for each; and what they were cut at."""
    if flags["objective"]:
        return OBJECTIVES[flags["objective"]], ""
    snr = schedule.build(256).snr[1:]
    weight = held.get("loss_weight", torch.zeros(0)).double()
    ratios = {"eps": weight * snr, "x0": weight, "v": weight * (snr + 1)} if weight.shape == snr.shape else {}
    fitting = {
        name: ratio
        for name, ratio in ratios.items()
        if torch.allclose(ratio, snr.clamp(max=float(ratio.max())), rtol=1e-3, atol=0)
    }
    if len(fitting) != 1:
        raise UsageError(
            f"nothing beside the weights tells what the network predicts: {where}",
            "`flags` of '--objective pred_v' (or pred_noise, pred_x0) say it",
        )
    ((name, ratio),) = fitting.items()
    cut = float(ratio.max()) < 0.999 * float(snr.max())
    return name, f"the signal-to-noise ratio was cut at {float(ratio.max()):.3g}; here it is not" if cut else ""


OUTSIDE = {"time.0": "time_mlp.1", "time.2": "time_mlp.3", "first": "init_conv", "last": "final_conv"}
BLOCK = {
    **{"time": "mlp.1", "conv_1": "block1.proj", "norm_1": "block1.norm", "conv_2": "block2.proj"},
    **{"norm_2": "block2.norm", "skip": "res_conv"},
}
ATTENTION = {
    **{"norm": "norm", "query": "query", "key": "key", "value": "value", "out": "to_out"},
    **{"out.0": "to_out.0", "out.1": "to_out.1"},
}
KINDS = {"scale": "g", "memory": "mem_kv"}


def _names(shape: LucidrainsShape, parameters: Iterable[str]) -> Mapping[str, str]:
    """What our parameters are called there, once `_apart`."""
    last = len(shape.widths) - 1
    blocks = {"middle_1": "mid_block1", "middle_2": "mid_block2", "end": "final_res_block"}
    modules, attention = dict(OUTSIDE), {"middle_attention": "mid_attn"}
    for side in ("down", "up"):
        for level in range(last + 1):
            blocks |= {f"{side}.{level}.block_{number}": f"{side}s.{level}.{number - 1}" for number in (1, 2)}
            attention[f"{side}.{level}.attention"] = f"{side}s.{level}.2"
            modules[f"{side}.{level}.resample"] = f"{side}s.{level}.3{'.1' if level < last else ''}"
    modules |= attention
    modules |= {f"{ours}.{a}": f"{theirs}.{b}" for ours, theirs in blocks.items() for a, b in BLOCK.items()}
    modules |= {f"{ours}.{a}": f"{theirs}.{b}" for ours, theirs in attention.items() for a, b in ATTENTION.items()}
    split = {name: name.rpartition(".")[::2] for name in parameters}
    return {name: f"{modules[module]}.{KINDS.get(kind, kind)}" for name, (module, kind) in split.items()}


def _apart(weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Query, key and value on their own; memories as (2, heads, channels of a head, memories); scales as vectors."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        head, _, kind = name.rpartition(".")
        if head.endswith("to_qkv") and len(tensor) % 3 == 0:
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            found |= {f"{head.removesuffix('to_qkv')}{part}.{kind}": one for part, one in parts}
        elif kind == "mem_kv" and tensor.ndim == 4 and f"{head}.to_out.weight" in weights:
            found[name] = tensor.transpose(2, 3)
        else:
            found[name] = tensor.flatten() if kind == "g" else tensor
    return found
