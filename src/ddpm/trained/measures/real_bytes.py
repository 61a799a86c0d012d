"""The rate-distortion curve of real files (section 4.3): how far off the first bytes of an image's file are, beside other formats.

The paper's curve is an account of what a code would send (`Bound.rate_distortion`); here the images are coded, their files are cut,
and what each beginning shows is compared with the image. The network is asked once for each image, however often its file is cut.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ddpm.checks import check_whole
from ddpm.codec.codec import Codec
from ddpm.codec.denoiser import Remembering
from ddpm.codec.tables import Whole
from ddpm.data.imageset import ImageSet
from ddpm.errors import UsageError
from ddpm.evaluation.rate import Bound
from ddpm.figures import plots
from ddpm.figures.images import Data
from ddpm.figures.pictures import shown
from ddpm.figures.progress import followed
from ddpm.trained.coded import codec_to_write
from ddpm.trained.cutting import header_size, on_levels, rmse_of, to_cut
from ddpm.trained.evaluate import given_images
from ddpm.trained.measures.other_formats import Format, known, lossless_sizes, lossy_points
from ddpm.trained.model import TrainedModel

OURS = "ddpm"
"""What our files are called beside other formats."""
PARTS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Of the bytes after a file's header: what a filmstrip shows."""
ROWS = 4
"""Images of a filmstrip."""
Sizes = Mapping[str, float]


def lengths(longest: int) -> list[int]:
    """Bytes at which files of at most `longest` are cut: every 4 up to 64, every 16 up to 640, then 15 % more each time."""
    found = [*range(16, 64, 4), *range(64, 641, 16)]
    while found[-1] < longest:
        found.append(int(found[-1] * 1.15))
    return [*(length for length in found if length < longest), longest]


@dataclass(frozen=True)
class Point:
    """What so many bytes show, over all images.

    Args:
        setting: the format's quality; of our files after how many bytes they are cut.
        bytes: of an image's file, in the mean.
        rmse: root of the mean squared error of all pixels, on the scale 0..255.
    """

    setting: int
    bytes: float
    rmse: float


@dataclass(frozen=True, eq=False)
class RealBytes:
    """What files of some images take. Bytes are those of whole files, header included, in the mean over the images.

    Args:
        images: how many.
        dims: numbers of an image.
        curves: by the format's name, `ddpm` first: what ever more bytes show.
        lossless: bytes that give the image back exactly, by the format's name, `ddpm` first.
        per_image: bytes of each image's file, the smallest that is exact.
    """

    images: int
    dims: int
    curves: Mapping[str, Sequence[Point]]
    lossless: Sizes
    per_image: Sequence[int]

    @property
    def bits_per_dim(self) -> float:
        """Of our files that are exact."""
        return self.rate(self.lossless[OURS])

    def rate(self, size: float) -> float:
        """Bits/dim that so many bytes of an image are."""
        return 8 * size / self.dims

    def bytes_at(self, rmse: float, name: str = OURS) -> float | None:
        """Bytes until a format is within an error, on 0..255: on the line between two points; None where it never is.

        Raises:
            UsageError: there is no such format; `curves` names them.
        """
        if name not in self.curves:
            raise UsageError(f"there is no curve of {name!r}: there are {', '.join(self.curves)}")
        return until([(point.bytes, point.rmse) for point in self.curves[name]], rmse)

    def figure(self, bound: Bound | None = None) -> Figure:
        """All curves, and beside them what the bound of the same images accounts for."""
        curves = {name: [(point.bytes, point.rmse) for point in points] for name, points in self.curves.items()}
        account = [] if bound is None else [(rate, rmse) for _, rate, rmse in bound.rate_distortion()]
        return plots.real_bytes(curves, self.lossless, account, self.dims)

    def as_json(self) -> dict[str, Any]:
        """All numbers, for a file."""
        return {
            "images": self.images,
            "dims": self.dims,
            "bits_per_dim": self.bits_per_dim,
            "bytes_per_image": list(self.per_image),
            "lossless_bytes": dict(self.lossless),
            "curves": {
                name: [
                    {
                        "cut_at" if name == OURS else "quality": point.setting,
                        "bytes": point.bytes,
                        "rate_bits_per_dim": self.rate(point.bytes),
                        "distortion_rmse_0_255": point.rmse,
                    }
                    for point in points
                ]
                for name, points in self.curves.items()
            },
        }

    def rows(self) -> list[dict[str, Any]]:
        """The same as lines of a table."""
        return [
            {
                "format": name,
                "setting": setting,
                "bytes": size,
                "rate_bits_per_dim": self.rate(size),
                "distortion_rmse_0_255": rmse,
            }
            for name, setting, size, rmse in (
                *((name, one.setting, one.bytes, one.rmse) for name, points in self.curves.items() for one in points),
                *((name, "lossless", size, 0.0) for name, size in self.lossless.items()),
            )
        ]


def until(curve: Sequence[tuple[float, float]], rmse: float) -> float | None:
    """The least that leaves at most this error on a curve of (rate, error), ever less of it; between two points on the line."""
    before = None
    for rate, error in sorted(curve):
        if error <= rmse:
            if before is None or error == before[1]:
                return rate
            return before[0] + (rate - before[0]) * (before[1] - rmse) / (before[1] - error)
        if before is None or error < before[1]:
            before = rate, error
    return None


@dataclass(frozen=True, eq=False)
class Traced:
    """An image: bytes of its smallest exact file; (bytes, mean squared error) of its beginnings at `lengths`; and other formats."""

    exact: int
    beginnings: Sequence[tuple[int, float]]
    lossless: Mapping[str, int]
    lossy: Mapping[str, Sequence[tuple[int, float]]]


def traced(
    codec: Codec, images: Sequence[Whole], formats: Mapping[str, Format], batch_size: int
) -> Iterator[list[Traced]]:
    """Images (C, H, W) of whole values, so many at a time: coded, cut and shown, and in other formats.

    Raises:
        Mismatch, DataError: as `Codec.compress`.
    """
    levels = codec.profile.levels
    for first in range(0, len(images), batch_size):
        some = images[first : first + batch_size]
        asked = replace(codec, denoiser=Remembering(codec.denoiser))
        exact = asked.compress(some)
        files = to_cut(asked, some, exact)
        heads, found = [header_size(file) for file in files], [list[tuple[int, float]]() for _ in files]
        for length in lengths(max(map(len, files))):
            rows = [i for i, file in enumerate(files) if not found[i] or found[i][-1][0] < len(file)]
            parts = [files[i][: max(length, heads[i])] for i in rows]
            for i, part, rmse in zip(rows, parts, rmse_of(asked, [some[i] for i in rows], parts), strict=True):
                found[i].append((len(part), rmse**2))
        for image, file, beginnings in zip(some, exact, found, strict=True):
            lossy = {name: lossy_points(image, levels, one) for name, one in formats.items()}
            sizes = lossless_sizes(image, levels, formats)
            yield [Traced(len(file), beginnings, sizes, {name: points for name, points in lossy.items() if points})]


def together(found: Sequence[Traced], dims: int, formats: Mapping[str, Format]) -> RealBytes:
    """The mean over images: those whose file has ended stay as they are."""
    longest = max(one.beginnings[-1][0] for one in found)
    cuts = lengths(longest)
    steps = [[one.beginnings[min(i, len(one.beginnings) - 1)] for one in found] for i in range(len(cuts))]
    curves = {OURS: [_point(cut, step) for cut, step in zip(cuts, steps, strict=True)]}
    for name in found[0].lossy:
        columns = zip(*(one.lossy[name] for one in found), strict=True)
        curves[name] = [_point(at, column) for at, column in zip(formats[name].qualities, columns, strict=True)]
    exact = [one.exact for one in found]
    lossless = {name: float(np.mean([one.lossless[name] for one in found])) for name in found[0].lossless}
    return RealBytes(len(found), dims, curves, {OURS: float(np.mean(exact)), **lossless}, exact)


def _point(setting: int, images: Sequence[tuple[int, float]]) -> Point:
    sizes, squares = zip(*images, strict=True)
    return Point(setting, float(np.mean(sizes)), float(np.sqrt(np.mean(squares))))


def whole_images(images: ImageSet) -> list[Whole]:
    """Images as whole values, (C, H, W) each."""
    return list(images.tensor().numpy().astype(np.int64))


Watch = Callable[[Iterator[Traced], int], Iterator[Traced]]
"""Shows the progress of so many images; gives them."""


def measure(
    codec: Codec, images: ImageSet, batch_size: int, watch: Watch, formats: Mapping[str, Format] | None = None
) -> RealBytes:
    """Real bytes of images of the model's own size, beside other formats: None for all that there are.

    Raises:
        UsageError: there are none.
        Mismatch, DataError: as `Codec.compress`.
    """
    if not len(images):
        raise UsageError("there are no images to code")
    formats, whole = known() if formats is None else formats, whole_images(images)
    parts = (one for batch in traced(codec, whole, formats, batch_size) for one in batch)
    return together(list(watch(parts, len(whole))), whole[0].size, formats)


def real_bytes(
    model: TrainedModel,
    data: Data,
    *,
    split: str = "test",
    num_images: int | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> RealBytes:
    """What files of a model take, and what their beginnings show: `ddpm rate-distortion --real-bytes`.

    The images are coded as `TrainedModel.compress` codes them, their files are cut after ever more bytes, and what each beginning
    shows is compared with the image. Beside them stand the same images as PNG, WebP and JPEG, and as JPEG XL where
    pillow-jxl-plugin is installed, each image a file of its own.

    Args:
        model: of a run.
        data: as in `TrainedModel.bits_per_dim`.
        split: of a source.
        num_images: the first ones; None for all.
        batch_size: images at a time; it changes no number.
        progress: whether a bar is shown.

    Raises:
        UsageError: constriction is not installed, or there are no images.
        Mismatch: the model is for other images.
        NotFound, DataError: the images cannot be read; or those that the codec's profile is measured on.

    Example:
        >>> import ddpm
        >>> found = ddpm.real_bytes(ddpm.load("runs/demo"), "digits", num_images=2, progress=False)
        >>> found.curves["ddpm"][-1].rmse
        0.0
    """
    batch_size, images = check_whole("batch_size", batch_size, 1), given_images(model.loaded, data, split)
    if num_images is not None:
        images = images.take(torch.arange(min(check_whole("num_images", num_images, 1), len(images))))

    def watch(parts: Iterator[Traced], count: int) -> Iterator[Traced]:
        with followed(parts, count, "compressing", progress) as each:
            yield from each

    return measure(codec_to_write(model.loaded), images, batch_size, watch)


@dataclass(frozen=True, eq=False)
class Moment:
    """What the first `bytes` of an image's file show: a picture (C, H, W) uint8 with 1 or 3 channels."""

    bytes: int
    picture: np.ndarray


def moments(codec: Codec, images: Sequence[Whole], parts: Sequence[float] = PARTS) -> list[list[Moment]]:
    """Of each image what parts of its file show, the header and at least a byte more."""
    levels, asked = codec.profile.levels, replace(codec, denoiser=Remembering(codec.denoiser))
    files = to_cut(asked, images, asked.compress(images))
    strips = [list[Moment]() for _ in images]
    for part in parts:
        heads = [header_size(file) for file in files]
        begun = [
            file[: head + max(1, round(part * (len(file) - head)))] for file, head in zip(files, heads, strict=True)
        ]
        for strip, file, found in zip(strips, begun, asked.decompress(begun), strict=True):
            picture = shown(torch.from_numpy(on_levels(found.pixels, levels))[None], levels)[0].numpy()
            strip.append(Moment(len(file), picture))
    return strips


def filmstrip_of(codec: Codec, images: ImageSet, parts: Sequence[float] = PARTS) -> Figure:
    """The first images at parts of their bytes, a row each."""
    strips = moments(codec, whole_images(images)[:ROWS], parts)
    rows = [[(moment.picture, moment.bytes) for moment in strip] for strip in strips]
    return plots.filmstrip(rows, [f"{100 * part:g} %" for part in parts])


def filmstrip(model: TrainedModel, data: Data, *, split: str = "test", parts: Sequence[float] = PARTS) -> Figure:
    """The first four images at 1, 3, 10, 30 and 100 % of the bytes of their files, as a figure of matplotlib.

    The parts are of the bytes that follow a file's header; below each picture stand all bytes that were read for it.

    Args:
        model: of a run.
        data: as in `TrainedModel.bits_per_dim`.
        split: of a source.
        parts: of each file, above 0 up to 1.

    Raises:
        UsageError: there is no such part; and what `real_bytes` raises.

    Example:
        >>> import ddpm
        >>> figure = ddpm.filmstrip(ddpm.load("runs/demo"), ddpm.images("digits")[:2])
        >>> len(figure.axes)
        10
    """
    if not parts or not all(0 < part <= 1 for part in parts):
        raise UsageError(f"parts of a file are above 0 and at most 1, not {list(parts)}")
    images = given_images(model.loaded, data, split)
    if not len(images):
        raise UsageError("there are no images to code")
    return filmstrip_of(codec_to_write(model.loaded), images.take(torch.arange(min(ROWS, len(images)))), parts)
