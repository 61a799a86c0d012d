"""`UNet2DModel` and our U-Net: the numbers of its configuration and the names of its weights, both ways."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ddpm.errors import SHOWN, DataError, UsageError
from ddpm.interop.foreign import multiple
from ddpm.interop.layout import Layout, Part
from ddpm.models.shape import UNetShape, class_number

DEFAULTS: Mapping[str, Any] = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
"""What `UNet2DModel` takes where its configuration says nothing: the same in all versions of diffusers, and not the paper's."""
ONLY: Mapping[str, tuple[Any, ...]] = {
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "mid_block_type": ("UNetMidBlock2D", None),
    "mid_block_scale_factor": (1,),
    "downsample_padding": (0, 1),
    "downsample_type": ("conv", "resnet"),
    "upsample_type": ("conv", "resnet"),
    "act_fn": ("silu", "swish"),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "class_embed_type": (None,),
    "freq_shift": (0, 1),
}
"""Values that we can express; any other is refused by name."""
BLOCKS = {
    "DownBlock2D": (False, "conv"),
    "AttnDownBlock2D": (True, "downsample_type"),
    "ResnetDownsampleBlock2D": (False, "resnet"),
    "UpBlock2D": (False, "conv"),
    "AttnUpBlock2D": (True, "upsample_type"),
    "ResnetUpsampleBlock2D": (False, "resnet"),
}
"""Whether a type of block attends, and how it changes sides: as told here, or by a key of the configuration."""
RESAMPLE: Mapping[str, Literal["conv", "block"]] = {"conv": "conv", "resnet": "block"}
PADDING: Mapping[int, Literal["far", "around"]] = {0: "far", 1: "around"}
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""What these were called before version 0.15."""


def _refuse(key: str, value: object) -> UsageError:
    return UsageError(f"a UNet2DModel with {key} = {str(value)[:SHOWN]!r} is not supported")


def shape_of(config: Mapping[str, Any]) -> UNetShape:
    """The shape of the network of a whole configuration (`DEFAULTS` and what differs).

    Raises:
        UsageError: it has what ours cannot have; that is named.
        DataError: it is no configuration of a network.
    """
    for key, known in ONLY.items():
        if config[key] not in known:
            raise _refuse(key, config[key])
    down, up = config["down_block_types"], list(reversed(config["up_block_types"]))
    widths = config["block_out_channels"]
    for kind in (*down, *up):
        if kind not in BLOCKS:
            raise _refuse("a block", kind)
    if not len(down) == len(up) == len(widths) > 0:
        raise DataError("damaged configuration: it has not as many blocks down as up, each with its channels")
    groups, head = config["norm_num_groups"], config["attention_head_dim"]
    if config["attn_norm_num_groups"] not in (None, groups):
        raise _refuse("attn_norm_num_groups", config["attn_norm_num_groups"])
    attends = config["mid_block_type"] is not None and config["add_attention"]
    middle = "attention" if attends else "plain" if config["mid_block_type"] else "none"
    scale_shift = config["resnet_time_scale_shift"] == "scale_shift"
    return UNetShape(
        channels=widths[0],
        multipliers=tuple(multiple(width, widths[0]) for width in widths),
        blocks=config["layers_per_block"],
        attention=tuple(level for level, kind in enumerate(down) if BLOCKS[kind][0]),
        attention_up=_other(down, up),
        dropout=config["dropout"],
        groups=groups,
        classes=config["num_class_embeds"],
        head_channels=head,
        middle=middle,
        # diffusers' rule, in its words: no group norm there unless the time embedding is merely added
        middle_norm=not (attends and scale_shift and config["attn_norm_num_groups"] is None),
        scale_shift=scale_shift,
        resample=_resampling(config, [*down[:-1], *up[1:]]),
        padding=PADDING[config["downsample_padding"]],
        norm_eps=config["norm_eps"],
        cosines_first=config["flip_sin_to_cos"],
        freq_shift=config["freq_shift"],
        time_embedding=config["time_embedding_dim"],
    )


def _other(down: Sequence[str], up: Sequence[str]) -> tuple[int, ...] | None:
    going_down, going_up = ([level for level, kind in enumerate(kinds) if BLOCKS[kind][0]] for kinds in (down, up))
    return None if going_down == going_up else tuple(going_up)


def _resampling(config: Mapping[str, Any], kinds: Sequence[str]) -> Literal["conv", "block"]:
    """How sides change, which must be one way everywhere. The last block down and the last one up change none."""
    found = {config.get(BLOCKS[kind][1], BLOCKS[kind][1]) for kind in kinds}
    if len(found) > 1:
        raise UsageError(
            "a UNet2DModel that changes sides by convolutions here and by residual blocks there is not supported"
        )
    return RESAMPLE[found.pop()] if found else "conv"


def config_of(shape: UNetShape, channels: int, outputs: int, sides: tuple[int, int]) -> dict[str, Any]:
    """The configuration of the same network; its classes are one more, which is no class.

    Raises:
        UsageError: diffusers cannot express it; what is named.
    """
    odd = {
        f"a first level of {shape.widths[0]} channels behind {shape.channels}": shape.widths[0] != shape.channels,
        f"sinusoids of {shape.sinusoids} numbers": shape.sinusoids != shape.channels,
        f"{shape.groups} groups, which do not divide every width": any(width % shape.groups for width in shape.widths),
        "attention in the middle without a norm": not shape.middle_norm and not shape.scale_shift,
        f"{shape.heads} heads at every width": shape.heads > 1 and shape.head_channels is None,
    }
    if named := [what for what, is_so in odd.items() if is_so]:
        raise UsageError(f"diffusers' UNet2DModel cannot have {named[0]}")
    resnet = shape.resample == "block"
    plain = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if resnet else ("DownBlock2D", "UpBlock2D")
    levels = range(len(shape.widths))
    classes = class_number(shape)
    return {
        **DEFAULTS,
        "sample_size": sides[0] if sides[0] == sides[1] else list(sides),
        "in_channels": channels,
        "out_channels": outputs,
        "time_embedding_dim": shape.time_embedding,
        "freq_shift": shape.freq_shift,
        "flip_sin_to_cos": shape.cosines_first,
        "down_block_types": ["AttnDownBlock2D" if level in shape.attention else plain[0] for level in levels],
        "up_block_types": ["AttnUpBlock2D" if level in shape.going_up else plain[1] for level in reversed(levels)],
        "mid_block_type": None if shape.middle == "none" else "UNetMidBlock2D",
        "add_attention": shape.middle == "attention",
        "block_out_channels": list(shape.widths),
        "layers_per_block": shape.blocks,
        "downsample_padding": {name: key for key, name in PADDING.items()}[shape.padding],
        "downsample_type": "resnet" if resnet else "conv",
        "upsample_type": "resnet" if resnet else "conv",
        "dropout": shape.dropout,
        "attention_head_dim": shape.head_channels,
        "norm_num_groups": shape.groups,
        "attn_norm_num_groups": shape.groups if shape.scale_shift and shape.middle_norm else None,
        "norm_eps": shape.norm_eps,
        "resnet_time_scale_shift": "scale_shift" if shape.scale_shift else "default",
        "num_class_embeds": classes + 1 if classes else None,
    }


def layout(shape: UNetShape) -> Layout:
    """How diffusers names the modules of our network; its blocks are numbered upwards on the way up too."""
    last = len(shape.widths) - 1

    def block(part: Part) -> str:
        if part.side == "middle":
            return "mid_block"
        return f"down_blocks.{part.level}" if part.side == "down" else f"up_blocks.{last - part.level}"

    def resampler(part: Part) -> str:
        return f"{block(part)}.{part.side}samplers.0"

    return Layout(
        outside={
            "time.0": "time_embedding.linear_1",
            "time.2": "time_embedding.linear_2",
            "label": "class_embedding",
            "first": "conv_in",
            "norm": "conv_norm_out",
            "last": "conv_out",
        },
        residual={
            "norm_1": "norm1",
            "conv_1": "conv1",
            "time": "time_emb_proj",
            "norm_2": "norm2",
            "conv_2": "conv2",
            "skip": "conv_shortcut",
        },
        attention={"norm": "group_norm", "query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out.0"},
        block=lambda part: resampler(part) if part.resamples else f"{block(part)}.resnets.{part.number}",
        attend=lambda part: f"{block(part)}.attentions.{part.number}",
        resample=lambda part: f"{resampler(part)}.conv",
    )


def renewed(name: str) -> str:
    """The present name of a weight that an old version of diffusers wrote."""
    head, _, kind = name.rpartition(".")
    block, _, part = head.rpartition(".")
    return f"{block}.{OLD_ATTENTION[part]}.{kind}" if ".attentions." in name and part in OLD_ATTENTION else name
