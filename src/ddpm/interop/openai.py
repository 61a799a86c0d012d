"""The networks of openai/improved-diffusion and openai/guided-diffusion, in PyTorch files with weights alone.

Their code is told a network by flags (`--image_size 64 --num_channels 192 ...`), and so are we: what the weights do not say
is in these. Classifiers and networks that enlarge images are others, and are refused.
"""

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.interop.flags import is_true, pairs
from ddpm.interop.foreign import UNKNOWN, Foreign, Shapes, Told, counted, groups_with, multiple, network_of
from ddpm.interop.layout import Layout, Part
from ddpm.models.shape import UNetShape

ANCHOR = "input_blocks.0.0.weight"
DEFAULTS = {
    "image_size": "64",
    "num_channels": "128",
    "num_res_blocks": "2",
    "num_heads": "4",
    "num_heads_upsample": "-1",
    "num_head_channels": "-1",
    "attention_resolutions": "16,8",
    "channel_mult": "",
    "dropout": "0.0",
    "class_cond": "False",
    "use_checkpoint": "False",
    "use_scale_shift_norm": "True",
    "resblock_updown": "False",
    "use_fp16": "False",
    "use_new_attention_order": "False",
    "learn_sigma": "False",
    "sigma_small": "False",
    "diffusion_steps": "1000",
    "noise_schedule": "linear",
    "timestep_respacing": "",
    "use_kl": "False",
    "predict_xstart": "False",
    "rescale_timesteps": "True",
    "rescale_learned_sigmas": "True",
}
"""The flags of both, with improved-diffusion's defaults; guided-diffusion does not rescale timesteps, which is the same at T = 1000."""
RESIDUAL = {
    "norm_1": "in_layers.0",
    "conv_1": "in_layers.2",
    "time": "emb_layers.1",
    "norm_2": "out_layers.0",
    "conv_2": "out_layers.3",
    "skip": "skip_connection",
}


def recognises(weights: Mapping[str, Tensor]) -> bool:
    """Whether a network of this layout is in a file."""
    return any("time_embed.0.weight" in group for group in groups_with(weights, ANCHOR))


def read(weights: Mapping[str, Tensor], told: Told, where: str) -> Foreign:
    """A file of weights (`model*.pt`, `ema_*.pt`, or a published one) and the flags that it was trained with.

    Raises:
        UsageError: no flags, one that is not known, or one that we cannot express.
        Mismatch: the weights are not those of a network of these flags.
        DataError: they have impossible shapes.
    """
    if told.flags is None:
        raise UsageError(
            f"a network of OpenAI's, whose file does not say how many heads it has, nor its T: {where}",
            "`flags` are those of its training, such as '--image_size 64 --num_channels 128 --num_heads 4'",
        )
    flags = _flags(told.flags)
    (group, *_) = groups_with(weights, ANCHOR)
    shapes = {name: tuple(tensor.shape) for name, tensor in group.items()}
    shape = _shape(shapes, flags, where)
    learned = is_true(flags, "learn_sigma")
    T, side = int(flags["diffusion_steps"]), int(flags["image_size"])
    channels = counted(shapes, ANCHOR, 1, where)
    experiment = Experiment(
        data=DataConfig(source=UNKNOWN, shape=(channels, side, side), levels=256),
        schedule=_schedule(flags, T),
        process=ProcessConfig(
            prediction="x0" if is_true(flags, "predict_xstart") else "eps",
            variance="learned" if learned else "fixed-small" if is_true(flags, "sigma_small") else "fixed-large",
        ),
        model=shape,
        objective="hybrid" if learned else "simple",
    )
    apart = _apart(group, shape, new_order=is_true(flags, "use_new_attention_order"))
    found = network_of(experiment, apart, partial(_layout(shape).names, shape), where)
    facts = {
        "network": f"{experiment.size()[1]:,} parameters, each matched by name and shape",
        "images": f"{channels}x{side}x{side} in [-1, 1], 256 levels",
        "classes": str(shape.classes or "none"),
        "schedule": f"{flags['noise_schedule']}, T = {T}",
        "timesteps": f"the network is told {experiment.schedule.timestep_scale:g} (t - 1) at t = 1..T",
        "prediction": experiment.process.prediction,
        "variance": f"{experiment.process.variance}; at t = 1 {experiment.process.sigma_1}",
        "attention": f"{shape.heads} heads"
        if shape.head_channels is None
        else f"heads of {shape.head_channels} channels",
        "weights": "as saved; files that begin with ema_ are averages",
    }
    return Foreign("openai", experiment, found, found, 0, facts)


def _flags(text: str) -> dict[str, str]:
    found = dict(DEFAULTS)
    for flag, value in pairs(text):
        if flag in DEFAULTS:
            found[flag] = value
        elif flag not in TRAINING:
            raise UsageError(f"a flag that neither improved-diffusion nor guided-diffusion has: {f'--{flag}'!r}")
    return found


TRAINING = {
    *("data_dir", "schedule_sampler", "lr", "weight_decay", "lr_anneal_steps", "batch_size", "microbatch", "ema_rate"),
    *(
        "log_interval",
        "save_interval",
        "resume_checkpoint",
        "fp16_scale_growth",
        "model_path",
        "num_samples",
        "use_ddim",
    ),
    *("clip_denoised", "classifier_scale", "classifier_path"),
}
"""Flags of their scripts that say nothing of the network."""


def _shape(shapes: Shapes, flags: Mapping[str, str], where: str) -> UNetShape:
    """By the flags, as their code makes it; all of it is held against the weights when these are matched."""
    base, side = int(flags["num_channels"]), int(flags["image_size"])
    by_size = {
        512: (0.5, 1, 1, 2, 2, 4, 4),
        256: (1, 1, 2, 2, 4, 4),
        128: (1, 1, 2, 3, 4),
        64: (1, 2, 3, 4),
        32: (1, 2, 2, 2),
    }
    named = tuple(float(part) for part in flags["channel_mult"].split(",") if part)
    if not named and side not in by_size:
        raise UsageError(f"--channel_mult is needed for images of {side} pixels")
    multipliers = named or by_size[side]
    down = [side // int(part) for part in flags["attention_resolutions"].split(",") if part]
    heads, head_channels, going_up = (int(flags[f"num_{n}"]) for n in ("heads", "head_channels", "heads_upsample"))
    if going_up not in (-1, heads):
        raise UsageError(f"--num_heads_upsample {going_up} with --num_heads {heads} is not supported")
    first = int(multipliers[0] * base)
    label = "label_emb.weight"
    return UNetShape(
        channels=first,
        multipliers=tuple(multiple(int(multiplier * base), first) for multiplier in multipliers),
        blocks=int(flags["num_res_blocks"]),
        attention=tuple(level for level in range(len(multipliers)) if 2**level in down),
        dropout=float(flags["dropout"]),
        classes=counted(shapes, label, 0, where) if label in shapes else None,
        heads=1 if head_channels != -1 else heads,
        head_channels=None if head_channels == -1 else head_channels,
        scale_shift=is_true(flags, "use_scale_shift_norm"),
        resample="block" if is_true(flags, "resblock_updown") else "conv",
        padding="around",
        norm_eps=1e-5,
        cosines_first=True,
        freq_shift=0,
        time_channels=None if first == base else base,
    )


def _schedule(flags: Mapping[str, str], T: int) -> ScheduleConfig:
    scale = 1000 / T if is_true(flags, "rescale_timesteps") else 1.0
    if flags["noise_schedule"] == "linear":  # the paper's betas, of a chain of another length
        return ScheduleConfig("linear", T, {"beta_1": 0.1 / T, "beta_T": 20 / T}, timestep_scale=scale)
    if flags["noise_schedule"] == "cosine":
        return ScheduleConfig("cosine", T, timestep_scale=scale)
    raise UsageError(f"--noise_schedule {flags['noise_schedule']} is not supported: linear and cosine are")


def _layout(shape: UNetShape) -> Layout:
    """Numbers of their blocks: the first convolution is one, and what doubles the sides is in that of the stage before."""

    def at(part: Part) -> str:
        if part.side == "middle":
            return f"middle_block.{2 * part.number}"
        if part.side == "down":
            return f"input_blocks.{part.index + 1}.0"
        attends = part.level in shape.going_up
        before = len(shape.widths) - 1 - part.level  # entries that double the sides come after every level but the last
        if part.resamples:
            return f"output_blocks.{part.index - 1 - before}.{2 if attends else 1}"
        return f"output_blocks.{part.index - before}.0"

    attention = {"norm": "norm", "query": "query", "key": "key", "value": "value", "out": "proj_out"}
    return Layout(
        outside={
            "time.0": "time_embed.0",
            "time.2": "time_embed.2",
            "label": "label_emb",
            "first": "input_blocks.0.0",
            "norm": "out.0",
            "last": "out.2",
        },
        residual=RESIDUAL,
        attention=attention,
        block=at,
        attend=lambda part: "middle_block.1" if part.side == "middle" else f"{at(part).rpartition('.')[0]}.1",
        resample=lambda part: f"{at(part)}.{'op' if part.side == 'down' else 'conv'}",
    )


def _apart(weights: Mapping[str, Tensor], shape: UNetShape, *, new_order: bool) -> Mapping[str, Tensor]:
    """Query, key and value on their own: they are one tensor there, three times after each other, or so for each head."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        head, _, kind = name.rpartition(".")
        if not head.endswith(".qkv") or len(tensor) % 3:
            found[name] = tensor
            continue
        width = len(tensor) // 3
        heads = 1 if new_order else shape.heads_of(width)
        if not heads or width % heads:
            raise Mismatch(f"{name} of {width} channels has not {heads} heads")
        three = tensor.reshape(heads, 3, width // heads, *tensor.shape[1:]).transpose(0, 1).flatten(1, 2)
        for part, one in zip(("query", "key", "value"), three, strict=True):
            found[f"{head.removesuffix('qkv')}{part}.{kind}"] = one.contiguous()
    return found
