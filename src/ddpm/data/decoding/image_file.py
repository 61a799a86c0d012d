"""One image file looked at, or read as the pixels that were asked for: what the decoding processes do (`crew`).

Everything that can be wrong with a file is a `Fault` of a kind. Bytes that no longer are those of the index are never
decoded: a flipped bit of a JPEG would decode without complaint.
"""

import errno
import hashlib
import io
import os
import stat
import time
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from ddpm.data.decoding.parquet_rows import row_bytes
from ddpm.data.decoding.picture import FORMATS, MAX_PIXELS, READ_ERRORS, decode, fit
from ddpm.data.decoding.span import ROW, WHOLE, Fault, Span
from ddpm.errors import in_a_line

PAUSES = (0.1, 0.3, 1.0)
"""How long to wait, in seconds, before a file is tried again that a network disk failed to give."""
FLEETING = (errno.EIO, errno.ESTALE)
MAX_BYTES = 2**30
RULES = f"2 pillow {Image.__version__} {MAX_PIXELS}"  # pyright: ignore[reportAttributeAccessIssue]
"""What a verdict over a file depends on, beside the file: another version of these looks at all files again."""


@dataclass(frozen=True)
class Facts:
    """What the index keeps of a good image: its bytes' hash, the mode in the file, and size and greyness as decoded.

    `values` has a bit for each of the 256 values that occur in it.
    """

    sha256: bytes
    mode: str
    width: int
    height: int
    grey: bool
    values: bytes


def read_bytes(span: Span) -> bytes:
    """The bytes of a regular file, of a part of one or in a row of a table; tried again where a disk fails for a moment.

    Raises:
        Fault: missing, unreadable, no regular file, or of more than 1 GiB.
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
    if span.length == ROW:
        return row_bytes(span.path, span.offset)
    descriptor = os.open(span.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe named .png must not block
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Fault("unreadable", "not a regular file")
        length = about.st_size if span.length == WHOLE else span.length
        if length > MAX_BYTES:
            raise Fault("too large", f"{length:,} bytes are more than {MAX_BYTES:,}")
        file.seek(span.offset)
        return file.read(length)


def picture_of(data: bytes) -> Image.Image:
    """The picture in a file's bytes (`decode.decode`).

    Raises:
        Fault: it is none, or cannot be decoded.
    """
    try:
        return decode(io.BytesIO(data))
    except UnidentifiedImageError as error:
        what = "empty file" if not data else "not an image of a known format"
        raise Fault("no image", what) from error
    except MemoryError as error:
        raise Fault("memory", "decoding it needs too much memory") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Fault("too large", in_a_line(error)) from error
    except READ_ERRORS as error:
        raise Fault("too large" if f"{MAX_PIXELS:,}" in str(error) else "damaged", in_a_line(error)) from error


def look(span: Span) -> Facts:
    """Decode an image once, for the index.

    Raises:
        Fault: as `read_bytes` and `picture_of`.
    """
    data = read_bytes(span)
    picture = picture_of(data)
    with Image.open(io.BytesIO(data), formats=FORMATS) as header:
        mode = header.mode
    used = np.packbits(np.array(picture.histogram()).reshape(-1, 256).any(0)).tobytes()
    return Facts(hashlib.sha256(data).digest(), mode, *picture.size, picture.mode == "L", used)


def pixels(span: Span, sha256: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """An image of the index as (channels, height, width) uint8: scaled to cover that size, its centre cut out.

    Raises:
        Fault: as `look`; "changed" where the bytes are no longer those of this hash.
    """
    data = read_bytes(span)
    if hashlib.sha256(data).digest() != sha256:
        raise Fault("changed", "its bytes are no longer those that were indexed")
    channels, height, width = shape
    fitted = fit(picture_of(data), height, width).convert("L" if channels == 1 else "RGB")
    values = np.asarray(fitted)
    return values[None] if channels == 1 else np.ascontiguousarray(values.transpose(2, 0, 1))
