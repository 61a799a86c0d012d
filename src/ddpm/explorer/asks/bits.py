"""Bits: an image's file by the codec, any beginning of it, and what WebP and JPEG show of as many bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
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
from ddpm.trained.measures.other_formats import Format, known, lossless_sizes, picture_of

KEPT = 8
"""Images of which the file is kept."""


class Bits(Parameters):
    """An image, and how many bytes of its file are read; None for all."""

    x_0: Array
    bytes: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, eq=False)
class Files:
    """An image as files: ours, the sizes of the lossless formats, and of each lossy one its (bytes, RMSE, pixels) by quality."""

    ours: bytes
    lossless: Mapping[str, int]
    lossy: Mapping[str, list[tuple[int, float, np.ndarray]]]


def bits(subject: Subject, asked: Bits) -> Steps:
    """What the first bytes show; the size of the whole file; and the other formats: lossless sizes, and as many bytes."""
    codec, whole, levels = codec_of(subject), values(subject, asked.x_0), subject.model.levels
    files = subject.files.get(whole.tobytes())
    if files is None:
        (file,) = codec.progressive([whole])
        yield None
        lossy = {}
        for name, one in known().items():
            lossy[name] = qualities(whole, levels, one)
            yield None
        files = Files(file, lossless_sizes(whole, levels, known()), lossy)
        subject.files = {**dict(list(subject.files.items())[1 - KEPT :]), whole.tobytes(): files}
        yield None
    file, least = files.ours, header_size(files.ours)
    limit = len(file) if asked.bytes is None else min(max(asked.bytes, least), len(file))
    (found,) = codec.decompress([file[:limit]])
    yield {
        "bytes": limit,
        "whole": len(file),
        "header": least,
        "exact": found.exact,
        "stage": found.stage,
        "rmse": error(found.pixels, whole, levels),
        "x_0": shown(found.pixels, levels),
        "lossless": files.lossless,
        "others": {name: best for name, kept in files.lossy.items() if (best := best_of(kept, limit, levels))},
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


def qualities(whole: Whole, levels: int, one: Format) -> list[tuple[int, float, np.ndarray]]:
    """An image in a lossy format at all qualities; none where the format has no such images."""
    picture = picture_of(whole, levels)
    if picture is None:
        return []
    found: list[tuple[int, float, np.ndarray]] = []
    for quality in one.qualities:
        size, pixels = one.back(picture, quality)
        back = np.moveaxis(np.atleast_3d(pixels), 2, 0) * ((levels - 1) / 255)
        found.append((size, error(back, whole, levels), back))
    return found


def best_of(kept: list[tuple[int, float, np.ndarray]], limit: int, levels: int) -> dict[str, Any] | None:
    """The one with the smallest error of at most so many bytes, if one is so small."""
    size, rmse, back = min((one for one in kept if one[0] <= limit), key=lambda one: one[1], default=(0, 0.0, None))
    return None if back is None else {"bytes": size, "rmse": rmse, "x_0": shown(back, levels)}
