"""How much of an image's file is kept: all, so many bits for a pixel, or as many as an error asks for."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ddpm.codec import container
from ddpm.codec.codec import Codec
from ddpm.codec.tables import Real, Whole
from ddpm.errors import UsageError

Cut = Callable[[Codec, Sequence[Whole]], list[bytes]]
"""Which part of each image's file is kept."""


def all_of_it(codec: Codec, images: Sequence[Whole]) -> list[bytes]:
    """Whole files."""
    return codec.compress(images)


def smallest_of_two(codec: Codec, images: Sequence[Whole]) -> list[bytes]:
    """Whole files, each the smaller of the progressive one and of that by a chain."""
    ways = codec.compress(images), codec.compress(images, container.CHAIN)
    return [min(pair, key=len) for pair in zip(*ways, strict=True)]


def asked_cut(bits_per_pixel: float | None, rmse: float | None, *, smallest: bool = False) -> Cut:
    """What was asked for: nothing is everything.

    Raises:
        UsageError: two of them, or such a number that there is no such part.
    """
    if (bits_per_pixel is not None) + (rmse is not None) + smallest > 1:
        raise UsageError("only one of `bits_per_pixel`, `rmse` and `smallest` can be asked for")
    if smallest:
        return smallest_of_two
    if bits_per_pixel is not None:
        if not 0 < bits_per_pixel < math.inf:
            raise UsageError(f"`bits_per_pixel` is a number above 0, not {bits_per_pixel}")
        return at_rate(bits_per_pixel)
    if rmse is not None:
        if not 0 <= rmse < math.inf:
            raise UsageError(f"`rmse` is a number of at least 0, not {rmse}")
        return at_rmse(rmse)
    return all_of_it


def at_rate(bits_per_pixel: float) -> Cut:
    """At most so many bits for a pixel, the header among them."""

    def cut(codec: Codec, images: Sequence[Whole]) -> list[bytes]:
        most = [int(bits_per_pixel * pixels_of(image.shape) / 8) for image in images]
        files = codec.compress(images)
        for file, image, limit in zip(files, images, most, strict=True):
            if limit < (least := header_size(file)):
                needed = math.ceil(800 * least / pixels_of(image.shape)) / 100
                raise UsageError(
                    f"{bits_per_pixel:g} bits per pixel are {limit:,} bytes of an image, and the header alone has {least}",
                    f"`bits_per_pixel={needed:g}` holds it",
                )
        whole = [len(file) <= limit for file, limit in zip(files, most, strict=True)]
        kept = {row: file for row, file in enumerate(files) if whole[row]}
        some = [row for row in range(len(files)) if not whole[row]]
        ways = [(some[row], way[: most[some[row]]]) for row, way in _ways(codec, *without(images, files, whole))]
        errors = rmse_of(codec, [images[row] for row, _ in ways], [way for _, way in ways])
        for _, (row, way) in sorted(zip(errors, ways, strict=True), key=lambda pair: pair[0]):
            kept.setdefault(row, way)
        return [kept[row] for row in range(len(files))]

    return cut


def at_rmse(rmse: float) -> Cut:
    """As few bytes as give an error of at most `rmse`, on the scale 0..255; one byte less gives more."""

    def cut(codec: Codec, images: Sequence[Whole]) -> list[bytes]:
        ways = _ways(codec, images, codec.compress(images))
        found = _fewest(codec, [images[row] for row, _ in ways], [way for _, way in ways], rmse)
        kept: dict[int, bytes] = {}
        for (row, _), file in sorted(zip(ways, found, strict=True), key=lambda pair: len(pair[1])):
            kept.setdefault(row, file)
        return [kept[row] for row in range(len(images))]

    return cut


def _fewest(codec: Codec, images: Sequence[Whole], files: Sequence[bytes], rmse: float) -> list[bytes]:
    """Beginnings of files that err no more; found by halving."""
    low, high = [header_size(file) - 1 for file in files], [len(file) for file in files]
    while rows := [i for i in range(len(files)) if high[i] - low[i] > 1]:
        middle = [(low[i] + high[i]) // 2 for i in rows]
        errors = rmse_of(
            codec, [images[i] for i in rows], [files[i][:end] for i, end in zip(rows, middle, strict=True)]
        )
        for i, end, error in zip(rows, middle, errors, strict=True):
            (high if error <= rmse else low)[i] = end
    return [file[:end] for file, end in zip(files, high, strict=True)]


def _ways(codec: Codec, images: Sequence[Whole], files: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Each file that may be cut, with its image's row: those of the images, then those coded progressively that are others."""
    others = enumerate(zip(files, to_cut(codec, images, files), strict=True))
    return [*enumerate(files), *((row, other) for row, (file, other) in others if other is not file)]


def without(images: Sequence[Whole], files: Sequence[bytes], done: Sequence[bool]) -> tuple[list[Whole], list[bytes]]:
    """The images and files that are not `done`."""
    rows = [i for i, all_ in enumerate(done) if not all_]
    return [images[i] for i in rows], [files[i] for i in rows]


def to_cut(codec: Codec, images: Sequence[Whole], files: Sequence[bytes]) -> list[bytes]:
    """The images' files of which a beginning shows the image: others where only the pixels were stored."""
    stored = [container.unpack(file)[0].coding == container.STORED for file in files]
    others = iter(codec.progressive([image for image, is_ in zip(images, stored, strict=True) if is_]))
    return [next(others) if is_ else file for file, is_ in zip(files, stored, strict=True)]


def header_size(file: bytes) -> int:
    """Bytes of a file's header."""
    return len(file) - len(container.unpack(file)[1])


def pixels_of(shape: Sequence[int]) -> int:
    """Of an image (C, H, W): each has all its channels."""
    return shape[1] * shape[2]


def rmse_of(codec: Codec, images: Sequence[Whole], files: Sequence[bytes]) -> list[float]:
    """The errors of what files, or beginnings of them, say of these images, as they are written; on the scale 0..255."""
    levels = codec.profile.levels
    found = codec.decompress(files)
    squares = [np.square(on_levels(one.pixels, levels) - image) for one, image in zip(found, images, strict=True)]
    return [float(np.sqrt(each.mean())) * 255 / (levels - 1) for each in squares]


def on_levels(pixels: Whole | Real, levels: int) -> Whole:
    """Estimated values as whole ones."""
    return np.clip(np.rint(pixels), 0, levels - 1).astype(np.int64)
