"""PNG files that say what their values mean: how many levels and channels, and which class the image shows.

A PNG alone cannot say that it has 17 levels, or that its fourth channel is no transparency. Files of our own say it in the text
`TEXT`, as JSON. The integers 0..levels-1 are spread over 0..255, or over 0..65535 above 256 levels, so that every viewer shows
the picture, and come back exactly. More than 4 channels stand one below the other, as grey pictures. Nothing here imports torch.
"""

import io
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo, putchunk

from ddpm.data.decoding.formats import MAX_PIXELS, READ_ERRORS, opened
from ddpm.storage.strict import parse

TEXT = "ddpm-data"
"""The key of a PNG's text that says what its values mean."""
BYTES = 256
"""The levels of a file, or of uint8, where nothing says that they are fewer."""
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""What Pillow calls a picture of so many channels."""
COLOURS = {2: 4, 3: 2, 4: 6}
"""What PNG calls it."""
MAX_CHANNELS, MAX_LEVELS = 2**16, 2**16
SIGNATURE = b"\x89PNG\r\n\x1a\n"
IMAGE_HEADER = struct.Struct(">IIBBBBB")


@dataclass(frozen=True)
class Meaning:
    """What the values of a file mean.

    Args:
        levels: how many values a channel can have.
        channels: how many there are; none is transparency.
        label: the number of the class that the image shows, -1 if it is not known; None if there are no classes.
        name: what that class is called; None where it has no name.
    """

    levels: int = BYTES
    channels: int = 1
    label: int | None = None
    name: str | None = None

    @property
    def is_picture(self) -> bool:
        """Whether the pixels are those that everyone sees in the file: grey or RGB of 8 bits."""
        return self.levels == BYTES and self.channels in (1, 3)

    @property
    def text(self) -> str | None:
        """What stands in the file; None where it is what everyone takes a file for."""
        if self.is_picture and self.label is None:
            return None
        values = {"levels": self.levels, "channels": self.channels, "label": self.label, "class": self.name}
        return json.dumps({name: value for name, value in values.items() if value is not None})


def meaning_in(text: str) -> Meaning:
    """What `Meaning.text` said.

    Raises:
        ValueError: it is something else.
    """
    found = parse(text.encode())
    values: Mapping[str, Any] = found if isinstance(found, dict) else {}
    levels, channels, label, name = (values.get(key) for key in ("levels", "channels", "label", "class"))
    good = _whole(levels, 2, MAX_LEVELS) and _whole(channels, 1, MAX_CHANNELS)
    good = good and (label is None or _whole(label, -1, 2**31)) and (name is None or isinstance(name, str))
    if not good:
        raise ValueError(f"its text {TEXT!r} is damaged: {text[:100]!r}")
    return Meaning(int(levels or 0), int(channels or 0), label, name)


def meaning_of(data: bytes) -> Meaning | None:
    """What an image file says of its values; None where it says nothing, or is none.

    Raises:
        ValueError: what it says is damaged.
    """
    if not data.startswith(SIGNATURE):
        return None
    try:
        with opened(io.BytesIO(data), ("PNG",)) as header:
            text = header.info.get(TEXT)
    except READ_ERRORS:  # who decodes it will say what is wrong
        return None
    return meaning_in(text) if isinstance(text, str) else None


def png(values: np.ndarray, meaning: Meaning, texts: Mapping[str, str]) -> bytes:
    """The PNG of an image, (channels, height, width) integers 0..levels-1, with what they mean and other texts."""
    about = PngInfo()
    for key, text in {**texts, TEXT: meaning.text}.items():
        if text is not None:
            about.add_text(key, text)
    spread = _spread(values, meaning.levels)
    if len(spread) not in MODES:
        spread = spread.reshape(1, -1, spread.shape[-1])
    pixels = np.ascontiguousarray(np.moveaxis(spread, 0, -1))
    if pixels.dtype == np.uint16 and len(spread) > 1:
        return _sixteen_bit(pixels, about)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if len(spread) == 1 else pixels).save(file, format="PNG", pnginfo=about)
    return file.getvalue()


def values_of(data: bytes, meaning: Meaning) -> np.ndarray:
    """The image in a file that has this meaning, (channels, height, width) integers 0..levels-1: uint8, or uint16.

    Raises:
        One of `READ_ERRORS`: it is damaged, or does not hold what it says.
    """
    deep, flat = meaning.levels > BYTES, meaning.channels not in MODES
    planes = 1 if flat else meaning.channels
    with opened(io.BytesIO(data), ("PNG",)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        if deep and planes > 1:
            pixels = _of_sixteen_bit(data, planes, image.height, image.width)
        else:
            image.load()
            wanted = "I;16" if deep else MODES[planes]
            if image.mode != wanted:
                raise ValueError(f"another program changed it: it is a picture of the mode {image.mode}, not {wanted}")
            pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], planes)
    spread = np.moveaxis(pixels, -1, 0)
    if flat:
        if spread.shape[1] % meaning.channels:
            raise ValueError(f"its height {spread.shape[1]} is none of {meaning.channels} channels")
        spread = spread.reshape(meaning.channels, -1, spread.shape[2])
    values = nearest(spread, meaning.levels, 65535 if deep else 255)
    if not np.array_equal(_spread(values, meaning.levels), spread):
        raise ValueError(f"another program changed it: it says that it has {meaning.levels} levels, and has others")
    return values


def nearest(pixels: np.ndarray, levels: int, top: int) -> np.ndarray:
    """The nearest of the levels 0..levels-1, which lie evenly on 0..top: uint8, or uint16 above 256 levels."""
    found = (pixels.astype(np.int64) * (levels - 1) * 2 + top) // (2 * top)
    return found.astype(np.uint8 if levels <= BYTES else np.uint16)


def _spread(values: np.ndarray, levels: int) -> np.ndarray:
    """The levels 0..levels-1 evenly over 0..255 (as `imageset.to_bytes`), or over 0..65535 above 256 of them."""
    if levels <= BYTES:
        return np.rint(values.astype(np.float32) * np.float32(255 / (levels - 1))).astype(np.uint8)
    return np.rint(values.astype(np.float64) * (65535 / (levels - 1))).astype(np.uint16)


def _sixteen_bit(pixels: np.ndarray, about: PngInfo) -> bytes:
    """A PNG of (height, width, channels) uint16, which Pillow cannot write: rows without a filter, highest byte first."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, 1 + 2 * width * channels), np.uint8)
    rows[:, 1:] = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    file = io.BytesIO()
    file.write(SIGNATURE)
    putchunk(file, b"IHDR", IMAGE_HEADER.pack(width, height, 16, COLOURS[channels], 0, 0, 0))
    for kind, data, *_ in about.chunks:
        putchunk(file, kind, data)
    putchunk(file, b"IDAT", zlib.compress(rows.tobytes()))
    putchunk(file, b"IEND", b"")
    return file.getvalue()


def _of_sixteen_bit(data: bytes, channels: int, height: int, width: int) -> np.ndarray:
    """What `_sixteen_bit` wrote, (height, width, channels) uint16; Pillow would give 8 bits of it.

    Raises:
        ValueError: another program wrote it, or it is damaged.
    """
    header, body, place = b"", b"", len(SIGNATURE)
    while place + 12 <= len(data):
        (length,), kind = struct.unpack(">I", data[place : place + 4]), data[place + 4 : place + 8]
        chunk = data[place + 8 : place + 8 + length]
        header, body = (chunk, body) if kind == b"IHDR" else (header, body + chunk if kind == b"IDAT" else body)
        place += 12 + length
    if header != IMAGE_HEADER.pack(width, height, 16, COLOURS[channels], 0, 0, 0):
        raise ValueError(f"another program changed it: it has no {channels} channels of 16 bits")
    wanted = height * (1 + 2 * width * channels)
    unpacked = zlib.decompressobj()
    try:
        bytes_of_rows = unpacked.decompress(body, wanted + 1)
    except zlib.error as error:
        raise ValueError(f"it is damaged: {error}") from error
    if len(bytes_of_rows) != wanted or not unpacked.eof:
        raise ValueError("it is cut off, or longer than it says")
    rows = np.frombuffer(bytes_of_rows, np.uint8).reshape(height, -1)
    if rows[:, 0].any():
        raise ValueError("another program changed it: its rows are filtered")
    return np.ascontiguousarray(rows[:, 1:]).view(">u2").reshape(height, width, channels).astype(np.uint16)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
