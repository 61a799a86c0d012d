"""The file: 13 bytes or 14 that say what is in it and for which model, then the coded bits. Read with no trust in any of it.

Nothing is allocated that the shape asks for before it is known to be of sound size. `Header` says what each byte is.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from ddpm.codec.profile import VERSION
from ddpm.codec.tables import Real, Whole
from ddpm.codec.tiles import Shape
from ddpm.errors import DataError, Mismatch

MAGIC = b"\x89DP"
STORED, PROGRESSIVE, CHAIN, ARCHIVE = 0, 1, 2, 4
"""3 was an archive whose first images were coded by the chain; no release wrote one."""
CODINGS = {STORED: "stored", PROGRESSIVE: "progressive", CHAIN: "chain", ARCHIVE: "archive"}
SHAPED = 8
"""Added to a coding where a shape follows, which is not the model's own."""
NAME = 4
"""Bytes of the model's name."""
MOST_NUMBERS = 2**22
"""Of an image: its height times its width times its channels."""
PER_BYTE = 256
"""Numbers that a coded byte can stand for, at most: a short file is not an image that takes hours."""
_HEAD = struct.Struct(">3sB4sI")
SHORTEST = _HEAD.size + 1
"""Bytes of a header."""


@dataclass(frozen=True)
class Header:
    r"""What the first bytes say: `shape` (C, H, W) is None for that of the model.

    3 bytes are 89 44 50 ("\x89DP"); 1 is the version (high four bits) and how it is coded (low four): 0 stored, 1 progressive,
    2 by a chain, 4 an archive, and 8 more if a shape follows; 4 are the head of SHA-256 of weights and profile; 4 CRC-32 of the
    shape and the pixels; then the shape, if it is not the model's own: channels, height and width, each with 7 bits a byte,
    lowest first; and, written alike, how many bytes follow: fewer are a beginning of the file. What an archive says else is
    in `ddpm.codec.archive`.

    `length` is the number of bytes that follow; 0 where the pixels do, as they are, which the shape counts.
    """

    coding: int
    model: bytes
    crc: int
    length: int
    shape: Shape | None = None

    @property
    def plain(self) -> bool:
        """Whether the pixels follow, as they are."""
        return self.coding == STORED and self.length == 0

    def pack(self) -> bytes:
        """As bytes."""
        shape = b"" if self.shape is None else shape_bytes(self.shape)
        kind = self.coding | (SHAPED if shape else 0)
        return _HEAD.pack(MAGIC, VERSION << 4 | kind, self.model[:NAME], self.crc) + shape + varint(self.length)


def unpack(file: bytes) -> tuple[Header, bytes]:
    """The header of a file, and what follows it, which may be cut short.

    Raises:
        DataError: these are not such bytes, or of a later version, or of an image that is too large, or more follow.
    """
    if file[: len(MAGIC)] != MAGIC[: len(file)]:
        raise DataError("not a file of ddpm compress: it begins otherwise")
    if len(file) < SHORTEST:
        raise DataError(f"too short: {len(file)} bytes, and the header alone has {SHORTEST}")
    _, kind, model, crc = _HEAD.unpack_from(file)
    coding, sides, rest = kind & 7, None, _HEAD.size
    if kind >> 4 != VERSION or coding not in CODINGS:
        raise DataError(
            f"of version {kind >> 4}, coding {coding}: this program reads version {VERSION}, codings 0, 1, 2 and 4"
        )
    if kind & SHAPED:
        sides, rest = read_shape(file, rest)
        if sides is None:
            raise DataError("damaged: it says that a shape follows, and none does")
    length, rest = read_varint(file, rest)
    header = Header(coding, model, crc, length, sides)
    if not header.plain:
        require_no_more(len(file) - rest, length)
    return header, file[rest:]


def require_made_with(header: Header, ours: bytes) -> None:
    """A file's model is the one of this name.

    Raises:
        Mismatch: it is another.
    """
    if header.model != ours:
        raise Mismatch(
            f"made with another model or codec profile: {header.model.hex()}, not {ours.hex()}",
            "name the model that wrote it",
        )


def require_no_more(follow: int, length: int) -> None:
    """No more bytes than a header speaks of.

    Raises:
        DataError: there are.
    """
    if follow > length:
        raise DataError(f"{follow:,} bytes follow its header, and it says {length:,}")


def shape_bytes(shape: Shape | None) -> bytes:
    """A shape (C, H, W), or None for the model's own."""
    return b"\0" if shape is None else b"".join(map(varint, shape))


def read_shape(file: bytes, at: int) -> tuple[Shape | None, int]:
    """A shape that begins there, and where the next thing does.

    Raises:
        DataError: there is none, or it is that of no image, or of one that is too large.
    """
    sides = []
    for _ in range(3):
        side, at = read_varint(file, at)
        if not sides and side == 0:
            return None, at
        sides.append(side)
    channels, height, width = sides
    if min(sides) < 1 or channels * height * width > MOST_NUMBERS:
        raise DataError(f"an image of {' x '.join(map(str, sides))}: none, or more than {MOST_NUMBERS:,} numbers")
    return (channels, height, width), at


def varint(number: int) -> bytes:
    """A number below 2^28 with seven bits a byte, the lowest first."""
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes(found) + bytes([number])


def read_varint(file: bytes, at: int) -> tuple[int, int]:
    """A number that begins there, and where the next thing does.

    Raises:
        DataError: there is none.
    """
    number = 0
    for place in range(4):
        if at + place >= len(file):
            raise DataError("cut short within its header")
        number |= (file[at + place] & 127) << (7 * place)
        if file[at + place] < 128:
            return number, at + place + 1
    raise DataError("its header names a number of more than 28 bits")


def store(pixels: Whole, levels: int) -> bytes:
    """The pixels without a model, as small as zlib makes them; or as they are, if it does not."""
    raw, packer = pixel_bytes(pixels, levels), zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = packer.compress(raw) + packer.flush()
    return min(raw, packed, key=len)


def unstore(payload: bytes, length: int, size: int, levels: int) -> Whole:
    """What was stored, (size,), or what a beginning of its `length` bytes says; as many as the pixels have are these.

    Raises:
        DataError: it is damaged, or holds another number of pixels.
    """
    width, packer = _width(levels), zlib.decompressobj(-zlib.MAX_WBITS)
    plain = length == size * width
    try:
        raw = payload if plain else packer.decompress(payload, size * width + 1)
    except zlib.error as error:
        raise DataError(f"the stored pixels are damaged: {error}") from error
    ends = plain or (packer.eof and not packer.unused_data)
    if len(raw) > size * width or (len(payload) == length and (len(raw) < size * width or not ends)):
        raise DataError("the stored pixels are damaged: there are more or fewer than the image has")
    found = np.frombuffer(raw[: len(raw) // width * width], dtype=f"<u{width}").astype(np.int64)
    if len(found) and found.max() >= levels:
        raise DataError(f"the stored pixels are damaged: one is {found.max()} of {levels} levels")
    return found


def pixel_bytes(pixels: Whole | Real, levels: int) -> bytes:
    """One byte a number, or two, lowest first."""
    return pixels.astype(f"<u{_width(levels)}").tobytes()


def raw_size(numbers: int, levels: int) -> int:
    """How many bytes so many numbers have as they are."""
    return numbers * _width(levels)


def crc_of(pixels: Whole, levels: int) -> int:
    """CRC-32 of an image's shape (C, H, W) and pixels."""
    return zlib.crc32(pixel_bytes(pixels, levels), zlib.crc32(struct.pack("<3I", *pixels.shape)))


def _width(levels: int) -> int:
    """Bytes of a pixel."""
    return 1 if levels <= 256 else 2
