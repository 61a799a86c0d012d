"""Images to files of a model and back, as `TrainedModel.compress` and `ddpm compress` do it. The coder itself is an extra."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ddpm.codec import container
from ddpm.codec.codec import Codec, Found, in_batches, require_codable
from ddpm.codec.denoiser import Remembering
from ddpm.codec.tables import Whole
from ddpm.codec.tiles import Shape, number_of_tiles
from ddpm.data.decoding.formats import SUFFIXES
from ddpm.data.imageset import ImageSet, to_model
from ddpm.data.inputs import Photo, photo_of, raw_picture, read_photo
from ddpm.data.splits import SizesDiffer
from ddpm.errors import DataError, Failure, Mismatch, NotFound, UsageError
from ddpm.figures.images import Data, Images, image_set, tell
from ddpm.figures.progress import followed
from ddpm.language import Text
from ddpm.trained.coding import codec_of, kept_name, own_shape, profile_file
from ddpm.trained.cutting import Cut, header_size, on_levels, pixels_of, rmse_of, without
from ddpm.trained.loaded import LoadedModel

ENDING = ".ddpm"
"""Of the name of a file."""
HEAD = 64
"""Bytes that hold any header."""


def codec_to_write(
    trained: LoadedModel,
    tell: Callable[[str], None] = lambda _line: None,
    *,
    chain: bool = False,
    given: Sequence["Given"] = (),
) -> Codec:
    """The codec of a model, with its `chain` if asked; `tell` is told where it is measured first.

    That takes long: before, each of the `given` images is read, and refused if it cannot be coded.

    Raises:
        UsageError: constriction is not installed.
        Mismatch: an image cannot be coded.
        DataError, NotFound, StorageError: as `ddpm.trained.coding.codec_of`; or an image cannot be read.
    """
    _require_coder()
    kept = [profile_file(trained, chain=one).exists() for one in (False, True)[: 1 + chain]]
    if not all(kept):
        for one in given:
            image = one.read()
            with named_in_errors(one.name):
                require_codable(image, own_shape(trained), trained.experiment.levels)
    if not kept[0]:
        _measures(tell, "the codec's profile of these weights", profile_file(trained))
    if chain and not kept[1]:
        _measures(tell, "the chain of these weights, for archives,", profile_file(trained, chain=True))
    return codec_of(trained, chain=chain)


def _measures(tell: Callable[[str], None], what: str, kept: Path) -> None:
    tell(f"{what} is measured, once, and kept: files are read with it alone: {str(kept)!r}")


def codec_to_read(trained: LoadedModel, files: Iterable[tuple[str, bytes]]) -> Codec:
    """The codec of a model that wrote these files, each with its name; of a file the head is enough.

    Whether it wrote them is known before the codec is made. Nothing is measured: a new profile might be another than theirs.

    Raises:
        UsageError: constriction is not installed.
        Mismatch: a file was made with another model, or these weights have no profile.
        DataError: as `ddpm.trained.coding.codec_of`.
    """
    _require_coder()
    ours: dict[bool, bytes | None] = {}
    for name, file in files:
        with named_in_errors(name):
            header, _ = container.unpack(file)
            chain = header.coding in (container.CHAIN, container.ARCHIVE)
            if chain not in ours:
                ours[chain] = kept_name(trained, chain=chain)
            if (our := ours[chain]) is None:
                raise Mismatch(
                    f"made with another model or codec profile: {header.model.hex()}, and the weights {trained.digest[:8]} "
                    f"have none: {str(profile_file(trained, chain=chain))!r}",
                    "name the model that wrote it; if these weights did, copy it from the run that wrote the files",
                )
            container.require_made_with(header, our)
    return codec_of(trained, chain=True in ours)


NOT_INSTALLED = Text(
    "Real bytes are not shown, as the coder is not installed: pip install 'ddpm[codec]' gets it.",
    "부호기가 설치되어 있지 않아 실제 바이트는 보이지 않는다. pip install 'ddpm[codec]'로 설치한다.",
)
NO_RUN = Text(
    "Real bytes are those of a run: a network of your own is read with what a run keeps beside its weights.",
    "실제 바이트는 run에서만 잰다. 코덱은 run이 가중치 곁에 두는 것으로 읽기 때문이다.",
)
NO_CODEC = Text(
    "Real bytes are not shown, as this run's codec cannot be opened: ddpm compress RUN FILE -o OUT says why.",
    "이 run의 코덱을 열 수 없어 실제 바이트는 보이지 않는다. ddpm compress RUN FILE -o OUT이 까닭을 알려 준다.",
)


def codec_or_why(trained: LoadedModel) -> Codec | Text:
    """The codec of a model, measured and kept where it has none yet, for whoever can do without; else why there is none."""
    if trained.called is not None:
        return NO_RUN
    if not is_installed():
        return NOT_INSTALLED
    try:
        return codec_of(trained)
    except Failure:
        return NO_CODEC


def is_installed() -> bool:
    """Whether there is the coder."""
    return find_spec("constriction") is not None


def _require_coder() -> None:
    if not is_installed():
        raise UsageError("the codec needs constriction, which is not installed", "pip install 'ddpm[codec]'")


@dataclass(frozen=True, eq=False)
class Given:
    """An image to code: what it is called, and a way to its whole values (C, H, W), which are read when they are needed."""

    name: str
    read: Callable[[], Whole]


def images_to_code(
    trained: LoadedModel, data: Data, split: str = "all", tell: Callable[[str], None] = tell
) -> list[Given]:
    """Images as they are, of any size, neither scaled nor cut.

    Args:
        trained: the model.
        data: as elsewhere. A picture is called as its file is, without the ending; other images by their numbers: 000000, ...
        split: of a source.
        tell: is told of a picture that is not stored as it is coded; once, however often it is read.

    Raises:
        Mismatch: they have other levels than the model.
        NotFound, DataError, UsageError: they cannot be read, or are no images.
    """
    levels, once = trained.experiment.levels, cache(tell)
    path = Path(data).expanduser() if isinstance(data, str | Path) else None
    if path is not None and path.suffix.lower() in SUFFIXES and path.is_file():
        return [Given(path.stem, lambda: _of_file(path, levels, once))]
    pictures = [data] if isinstance(data, Image.Image) else data
    if isinstance(pictures, list | tuple) and pictures and all(isinstance(one, Image.Image) for one in pictures):
        return [Given(f"{i:06d}", lambda one=one: _of_photo(photo_of(one), levels)) for i, one in enumerate(pictures)]
    own = trained.experiment.data.options()
    options = replace(own, resolution=None, channels=None, layout=own.layout if path else None)
    try:
        found = image_set(data, split, options, levels)
    except SizesDiffer as error:
        raise SizesDiffer(str(error), "give the files themselves: each is coded as large as it is") from error
    _require_levels(levels, found.levels, found.name)
    return [Given(f"{row:06d}", lambda row=row: _row(found, row)) for row in range(len(found))]


def _row(found: ImageSet, row: int) -> Whole:
    return found.images[torch.tensor([row])][0].numpy().astype(np.int64)


def _of_file(path: Path, levels: int, tell: Callable[[str], None]) -> Whole:
    photo = read_photo(path)
    values = _of_photo(photo, levels)
    if photo.exact is None:
        stored = raw_picture(path)
        plain = stored.mode in ("1", "L", "P", "RGB") and not stored.has_transparency_data
        if not plain or not np.array_equal(np.asarray(stored.convert(photo.picture.mode)), np.asarray(photo.picture)):
            tell(f"coded as it is shown, not as it is stored: upright, 8 bits, in sRGB, on white: {str(path)!r}")
    return values


def _of_photo(photo: Photo, levels: int) -> Whole:
    _require_levels(levels, photo.levels, photo.name)
    if photo.exact is not None:
        return photo.exact.numpy().astype(np.int64)
    return np.moveaxis(np.atleast_3d(np.asarray(photo.picture)), 2, 0).astype(np.int64)


def _require_levels(own: int, levels: int, name: str) -> None:
    if levels != own:
        raise Mismatch(f"the model is for images of {own} levels, not {levels}: {name}")


@dataclass(frozen=True, eq=False)
class Coded:
    """An image's file, or the beginning of it: `rmse` is its error on the scale 0..255, 0 where it is `whole`."""

    name: str
    image: Whole
    file: bytes
    whole: bool
    rmse: float

    @property
    def bits_per_pixel(self) -> float:
        """The header among them."""
        return 8 * len(self.file) / pixels_of(self.image.shape)


def coded(codec: Codec, given: Iterable[Given], cut: Cut, batch_size: int) -> Iterator[list[Coded]]:
    """The files, some images at a time, in their order.

    Raises:
        Mismatch: an image has channels that the model does not know, or is too large.
        NotFound, DataError: it cannot be read.
        UsageError: it has no such part as is to be kept.
    """
    read = ((one.name, one.read()) for one in given)
    for batch in in_batches(read, lambda pair: _tiles(codec, *pair), batch_size):
        names, images = zip(*batch, strict=True)
        asked = replace(codec, denoiser=Remembering(codec.denoiser))
        files = cut(asked, images)
        whole = [len(file) == codec.whole_length(file) for file in files]
        errors = iter(rmse_of(asked, *without(images, files, whole)))
        each = zip(names, images, files, whole, strict=True)
        yield [Coded(*one, 0.0 if one[-1] else next(errors)) for one in each]


def _tiles(codec: Codec, name: str, image: Whole) -> int:
    channels, height, width = image.shape
    with named_in_errors(name):
        return number_of_tiles((channels, height, width), codec.profile.shape)


@contextmanager
def named_in_errors(name: str) -> Iterator[None]:
    """Errors of an image, or of a file, name it."""
    try:
        yield
    except (DataError, Mismatch) as error:
        raise type(error)(f"{error}: {name}", *error.hints) from error


def read_file(path: Path) -> bytes:
    """A file of ours, no more of it than its header says.

    Raises:
        NotFound, DataError: there is none, or it is something else.
    """
    head = head_of(path)
    header, payload = container.unpack(head)
    follow = header.length or container.raw_size(container.MOST_NUMBERS, 2**16)
    with path.open("rb") as file:
        return file.read(len(head) - len(payload) + follow + 1)


def head_of(path: Path) -> bytes:
    """The beginning of a file of ours: all of its header.

    Raises:
        NotFound, DataError: there is none, or it is something else.
    """
    if path.is_dir():
        raise NotFound(f"a folder, not a file: {str(path)!r}", "name the files in it")
    if not path.is_file():
        raise NotFound(f"no such file: {str(path)!r}")
    with path.open("rb") as file, named_in_errors(repr(str(path))):
        head = file.read(HEAD)
        container.unpack(head)
        return head


def decoded(
    codec: Codec, files: Iterable[tuple[str, bytes]], first: int | None, batch_size: int
) -> Iterator[list[Found]]:
    """What files say, or the `first` bytes of each, some at a time; each file comes with its name.

    Raises:
        DataError, Mismatch: a file is damaged, or made with another model.
    """

    def tiles(pair: tuple[str, bytes]) -> int:
        name, file = pair
        with named_in_errors(name):
            return number_of_tiles(shape_of(codec, file), codec.profile.shape)

    for batch in in_batches(files, tiles, batch_size):
        try:
            yield codec.decompress([file for _, file in batch], first)
        except (DataError, Mismatch):
            for name, file in batch:  # which one it is
                with named_in_errors(name):
                    codec.decompress([file], first)
            raise


def shape_of(codec: Codec, file: bytes) -> Shape:
    """Of the image in a file."""
    return container.unpack(file)[0].shape or codec.profile.shape


def images_found(found: Sequence[Found], levels: int) -> Images:
    """What files say as images, on [-1, 1]; estimates lie between the levels.

    Raises:
        Mismatch: they differ in size.
    """
    shapes = {one.pixels.shape for one in found}
    if len(shapes) > 1:
        sizes = ", ".join("x".join(map(str, shape)) for shape in sorted(shapes)[:3])
        raise Mismatch(f"the images differ in size: {sizes}", "decompress those of each size alone")
    values = torch.from_numpy(np.stack([np.asarray(one.pixels, dtype=np.float64) for one in found]))
    return Images(to_model(values, levels, torch.float64).float(), levels)


def compressed(
    trained: LoadedModel, images: Data, split: str, cut: Cut, batch_size: int, *, chain: bool, progress: bool
) -> list[bytes]:
    """A file of each image, in memory."""
    given = images_to_code(trained, images, split)
    codec = codec_to_write(trained, chain=chain, given=given)
    files = (one.file for batch in coded(codec, given, cut, batch_size) for one in batch)
    with followed(files, len(given), "compressing", progress) as made:
        return list(made)


@dataclass(frozen=True)
class Stage:
    """How far so many bytes of a file go: `rmse` on the scale 0..255, from what all of the file says."""

    name: str
    bytes: int
    rmse: float


def stages(codec: Codec, name: str, file: bytes) -> tuple[Found, list[Stage]]:
    """What a file says, and where in it each stage begins, found by halving.

    Of a file that is coded by a chain, at its end; of one that is stored, how far each sixteenth of it comes.

    Raises:
        DataError, Mismatch: as `decoded`.
    """
    asked = replace(codec, denoiser=Remembering(codec.denoiser))
    ((found,),) = decoded(asked, [(name, file)], None, 1)
    known = {len(file): found}

    def look(low: int, high: int) -> None:
        """Every length between two at which another stage begins."""
        if high - low > 1 and known[low].stage != known[high].stage:
            middle = (low + high) // 2
            known[middle] = asked.decompress([file], middle)[0]
            look(low, middle)
            look(middle, high)

    header, coding = header_size(file), container.unpack(file)[0].coding
    if coding == container.PROGRESSIVE:
        known[header] = asked.decompress([file], header)[0]
        look(header, len(file))
    if coding == container.STORED:  # every byte is a stage there: some are enough
        for sixteenth in range(16):
            length = header + (len(file) - header) * sixteenth // 16
            known[length] = asked.decompress([file], length)[0]
    levels, begins = codec.profile.levels, list[Stage]()
    last = on_levels(found.pixels, levels)
    for length in sorted(known):
        if not begins or known[length].stage != begins[-1].name:
            apart = np.square(on_levels(known[length].pixels, levels) - last).mean()
            begins.append(Stage(known[length].stage, length, float(np.sqrt(apart)) * 255 / (levels - 1)))
    return found, begins
