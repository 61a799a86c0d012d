"""Bits: an image's file by the codec, any beginning of it, and what WebP and JPEG show of as many bytes."""

import io
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from ddpm.codec.codec import Codec
from ddpm.codec.tables import Whole
from ddpm.data.imageset import to_levels, to_model
from ddpm.errors import Unavailable
from ddpm.explorer.asks.asked import Array, Parameters
from ddpm.explorer.asks.forward import image
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import array
from ddpm.explorer.worker import Steps
from ddpm.language import Text
from ddpm.trained.coded import codec_or_why
from ddpm.trained.cutting import header_size
from ddpm.trained.measures.other_formats import known, lossless_sizes, picture_of

KEPT = 8
"""Images of which the file is kept."""


class Bits(Parameters):
    """An image, and how many bytes of its file are read; None for all."""

    x_0: Array
    bytes: Annotated[int, Field(ge=1)] | None = None


def bits(subject: Subject, asked: Bits) -> Steps:
    """What the first bytes show; the size of the whole file; and the other formats: lossless sizes, and as many bytes."""
    codec, whole = codec_of(subject), values(subject, asked.x_0)
    file = subject.files.get(whole.tobytes())
    if file is None:
        yield None
        (file,) = codec.compress([whole])
        subject.files = {**dict(list(subject.files.items())[1 - KEPT :]), whole.tobytes(): file}
        yield None
    least = header_size(file)
    limit = len(file) if asked.bytes is None else min(max(asked.bytes, least), len(file))
    (found,) = codec.decompress([file[:limit]])
    levels = subject.model.levels
    yield {
        "bytes": limit,
        "whole": len(file),
        "header": least,
        "exact": found.exact,
        "stage": found.stage,
        "rmse": error(found.pixels, whole, levels),
        "x_0": shown(found.pixels, levels),
        "lossless": lossless_sizes(whole, levels, known()),
        "others": {name: one for name, one in others(whole, levels, limit).items() if one},
        "done": True,
    }


def codec_of(subject: Subject) -> Codec:
    """The model's codec, measured where it has none yet.

    Raises:
        Unavailable: it has none.
    """
    found = codec_or_why(subject.model.loaded)
    if isinstance(found, Text):
        raise Unavailable(found.en)
    return found


def values(subject: Subject, given: Array) -> Whole:
    """An image of the page as whole values, (C, H, W)."""
    return to_levels(image(subject, given), subject.model.levels)[0].numpy().astype(np.int64)


def shown(pixels: np.ndarray, levels: int) -> dict[str, Any]:
    """Values 0..levels-1, (C, H, W), whole or not, as the page reads an image."""
    return array(to_model(torch.from_numpy(np.asarray(pixels, dtype=np.float32))[None], levels))


def error(pixels: np.ndarray, whole: Whole, levels: int) -> float:
    """RMSE on 0..255."""
    return float(np.sqrt(np.square(np.asarray(pixels, dtype=np.float64) - whole).mean()) * 255 / (levels - 1))


def others(whole: Whole, levels: int, limit: int) -> Mapping[str, dict[str, Any] | None]:
    """Of each lossy format its best file of at most so many bytes: its bytes, its error and the image; None if none is so small."""
    picture = picture_of(whole, levels)
    if picture is None:
        return {}
    found: dict[str, dict[str, Any] | None] = {}
    for name, one in known().items():
        files = (one.file(picture, {**one.lossy, "quality": quality}) for quality in one.qualities)
        best = max((file for file in files if len(file) <= limit), key=len, default=None)
        found[name] = None
        if best is not None:
            with Image.open(io.BytesIO(best)) as opened:
                back = np.moveaxis(np.atleast_3d(np.asarray(opened.convert(picture.mode))), 2, 0) * ((levels - 1) / 255)
            found[name] = {"bytes": len(best), "rmse": error(back, whole, levels), "x_0": shown(back, levels)}
    return found
