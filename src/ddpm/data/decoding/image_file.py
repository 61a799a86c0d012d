"""One image: described for the index (`look`), or read as the pixels that were asked for (`pixels`).

`answer_to` does either, as it was requested: worker processes are asked so, and few images are read so in this process. Whatever is
wrong with a file is raised as a `Fault`. Bytes that differ from those of the index are never decoded: a JPEG with a flipped bit
would decode without complaint.
"""

import errno
import hashlib
import io
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ddpm.data.decoding.exact import BYTES, Meaning, meaning_of, nearest, values_of
from ddpm.data.decoding.formats import (
    FORMATS,
    MAX_PIXELS,
    READ_ERRORS,
    format_of,
    is_read,
    not_read,
    opened,
    reads_heif,
)
from ddpm.data.decoding.parquet_rows import row_bytes, table
from ddpm.data.decoding.scaled import DECODINGS, FULL, Decoded, Shrink, is_much_larger, not_at_all, read
from ddpm.data.decoding.span import Fault, FilePart, Span, TableRow, WholeFile
from ddpm.errors import in_a_line

PAUSES = (0.1, 0.3, 1.0)
"""Seconds to wait before a file is tried again, after a network disk failed to give it."""
FLEETING = (errno.EIO, errno.ESTALE)
MAX_BYTES = 2**30
RULES = f"4 pillow {Image.__version__} {MAX_PIXELS} {' '.join(FORMATS)} {reads_heif()}"  # pyright: ignore[reportAttributeAccessIssue]
"""What the verdict on a file depends on, apart from the file. When it changes, all files are looked at again."""


@dataclass(frozen=True)
class Facts:
    """What the index keeps of a good image: the hash of its bytes, its mode in the file, and size and greyness once decoded.

    `values` are 256 bits: which of the values 0..255 occur in it. `meaning` is what it says of its values; None for most.
    """

    sha256: bytes
    mode: str
    width: int
    height: int
    grey: bool
    values: bytes
    meaning: Meaning | None = None


@dataclass(frozen=True)
class Scale:
    """Which of the integers 0..levels-1 a value of a file is that does not say it: these lie evenly on 0..top.

    Of pictures of 8 bits `top` is 255, or less where they hold the levels as such; above 256 levels those of 16 bits are meant.
    """

    levels: int = BYTES
    top: int = BYTES - 1


PICTURE = Scale()


def answer_to(request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The answer to a request, and the bytes behind it: facts about an image, its pixels, the labels of a table, or a fault."""
    try:
        if "table" in request:
            found = table(request["table"])
            return {"rows": found.rows, "classes": found.classes, "texts": found.texts}, found.labels.tobytes()
        span = span_in(request)
        decoding = request["decoding"]
        if "shape" not in request:
            facts, small = look(span, decoding, request["size"])
            values = {"sha256": facts.sha256.hex(), "values": facts.values.hex()}
            return {**vars(facts), **values, "meaning": facts.meaning and vars(facts.meaning)}, small
        sha256, shape, scale = bytes.fromhex(request["sha256"]), tuple(request["shape"]), Scale(*request["scale"])
        return {}, pixels(span, sha256, shape, scale, decoding).tobytes()
    except Fault as fault:
        return {"fault": fault.kind, "message": str(fault)}, b""


def span_in(request: Mapping[str, Any]) -> Span:
    """The span whose fields (`vars`) are in a request."""
    if "row" in request:
        return TableRow(request["path"], request["row"])
    if "offset" in request:
        return FilePart(request["path"], request["offset"], request["length"])
    return WholeFile(request["path"])


def read_bytes(span: Span) -> bytes:
    """The bytes of an image file, wherever they are; tried again when a disk fails for a moment.

    Raises:
        Fault: they are missing, unreadable, not in a regular file, or more than 1 GiB.
    """
    for pause in (*PAUSES, None):
        try:
            return _read(span)
        except OSError as error:
            if error.errno not in FLEETING or pause is None:
                kind = "missing" if error.errno == errno.ENOENT else "unreadable"
                raise Fault(kind, error.strerror or type(error).__name__) from error
            time.sleep(pause)
    raise AssertionError


def _read(span: Span) -> bytes:
    match span:
        case WholeFile(path):
            return _bytes_of(path, 0, None)
        case FilePart(path, offset, length):
            return _bytes_of(path, offset, length)
        case TableRow(path, row):
            return row_bytes(path, row)


def _bytes_of(path: str, offset: int, length: int | None) -> bytes:
    """So many bytes of a regular file, from `offset` on; all of them where `length` is None."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe named .png must not block
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Fault("unreadable", "not a regular file")
        length = about.st_size if length is None else length
        if length > MAX_BYTES:
            raise Fault("too large", f"{length:,} bytes are more than {MAX_BYTES:,}")
        file.seek(offset)
        return file.read(length)


def picture_of(data: bytes, shrink: Shrink = not_at_all) -> Decoded:
    """The picture in the bytes of a file, as `scaled.read` gives it.

    Raises:
        Fault: they are no picture, or one that cannot be decoded.
    """
    try:
        return read(io.BytesIO(data), shrink)
    except UnidentifiedImageError as error:
        known = format_of(data)
        other = "not an image of a known format" if known is None or is_read(known) else not_read(known)
        what = other if data else "empty file"
        raise Fault("no image", what) from error
    except MemoryError as error:
        raise Fault("memory", "decoding it needs too much memory") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Fault("too large", in_a_line(error)) from error
    except READ_ERRORS as error:
        raise Fault("too large" if f"{MAX_PIXELS:,}" in str(error) else "damaged", in_a_line(error)) from error


def look(span: Span, decoding: str = FULL, size: tuple[int, int] | None = None) -> tuple[Facts, bytes]:
    """Decode an image once, for the index; and its pixels, for the same work, where they are to have (height, width) `size`.

    The pixels are uint8, as many channels as the picture has, height, width. There are none (no bytes) where `pixels` would
    decode it otherwise, or where the picture is not much larger than `size`.

    Args:
        span: where it is.
        decoding: the rule, of `DECODINGS`. It decides which pixels are looked at, which `values` are those of.
        size: None where it is not known yet.

    Raises:
        Fault: as `read_bytes` and `picture_of`.
    """
    data = read_bytes(span)
    meaning, small, rule = _meaning_of(data), b"", DECODINGS[decoding]
    if meaning is not None and not meaning.is_picture:
        exact = _exact(data, meaning)
        whole, grey = (exact.shape[2], exact.shape[1]), meaning.channels == 1
        occurring = np.bincount(nearest(exact, 256, meaning.levels - 1).ravel(), minlength=256) > 0
    else:
        found = picture_of(data, rule.index)
        whole, grey = found.size, found.picture.mode == "L"
        occurring = np.array(found.picture.histogram()).reshape(-1, 256).any(0)
        if size is not None and is_much_larger(whole[0] * whole[1], *size) and found.is_as(rule.pixels(*size)):
            small = planes(found.fitted(*size)).tobytes()
    with opened(io.BytesIO(data)) as header:
        mode = header.mode
    width, height = whole
    values = np.packbits(occurring).tobytes()
    return Facts(hashlib.sha256(data).digest(), mode, width, height, grey, values, meaning), small


def pixels(
    span: Span, sha256: bytes, shape: tuple[int, int, int], scale: Scale = PICTURE, decoding: str = FULL
) -> np.ndarray:
    """An image of the index as (channels, height, width) integers: scaled until it covers that size, then cropped to the centre.

    They are uint8, or uint16 above 256 levels. A file that says what its values mean has the levels, channels and size that it
    says; `scale` is of other files. `decoding` is the rule by which they become smaller.

    Raises:
        Fault: as `look`; of the kind "changed" if its bytes do not have this hash.
    """
    data = read_bytes(span)
    if hashlib.sha256(data).digest() != sha256:
        raise Fault("changed", "its bytes are no longer those that were indexed")
    meaning = _meaning_of(data)
    if meaning is not None and not meaning.is_picture:
        return _exact(data, meaning)
    if scale.levels > BYTES:
        return _sixteen_bit(data, scale)[None]
    channels, height, width = shape
    fitted = picture_of(data, DECODINGS[decoding].pixels(height, width)).fitted(height, width)
    values = planes(fitted.convert("L" if channels == 1 else "RGB"))
    return values if scale == PICTURE else nearest(values, scale.levels, scale.top).clip(max=scale.levels - 1)


def planes(picture: Image.Image) -> np.ndarray:
    """A picture in L or RGB as (channels, height, width) uint8."""
    values = np.asarray(picture)
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def in_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """What `planes` made, as grey (1 channel) or in colour (3), as Pillow converts pictures; as it is, if it is that already."""
    if len(values) == channels:
        return values
    if channels == 3:
        return np.repeat(values, 3, axis=0)
    return planes(Image.fromarray(np.ascontiguousarray(values.transpose(1, 2, 0))).convert("L"))


def _meaning_of(data: bytes) -> Meaning | None:
    try:
        return meaning_of(data)
    except ValueError as error:
        raise Fault("damaged", in_a_line(error)) from error


def _exact(data: bytes, meaning: Meaning) -> np.ndarray:
    try:
        return values_of(data, meaning)
    except READ_ERRORS as error:
        raise Fault("damaged", in_a_line(error)) from error


def _sixteen_bit(data: bytes, scale: Scale) -> np.ndarray:
    """The levels in a grey file of 16 bits, (height, width) uint16."""
    try:
        with opened(io.BytesIO(data)) as image:
            image.load()
            values = np.asarray(ImageOps.exif_transpose(image)).astype(np.int64)
    except READ_ERRORS as error:
        raise Fault("damaged", in_a_line(error)) from error
    if values.min() < 0 or values.max() > scale.top:
        raise Fault(
            "levels", f"it holds the value {values.max()}, and of {scale.levels} levels the highest is {scale.top}"
        )
    return nearest(values, scale.levels, scale.top)
