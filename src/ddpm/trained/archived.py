"""Archives of a model: many images in one file, as `TrainedModel.archive` and `ddpm compress` make them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby

import numpy as np

from ddpm.codec import archive, container
from ddpm.codec.archive import Archive, Entry, Group
from ddpm.codec.codec import Codec, Found
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.figures.images import Data, Images, tell
from ddpm.figures.progress import followed
from ddpm.trained.agreeing import agreeing
from ddpm.trained.coded import (
    Given,
    codec_to_read,
    codec_to_write,
    decoded,
    images_found,
    images_to_code,
    named_in_errors,
)
from ddpm.trained.loaded import LoadedModel


def archive_entries(
    codec: Codec, given: Iterable[Given], made: list[Group], seen: Callable[[np.ndarray], None] = lambda _image: None
) -> Iterator[Entry]:
    """Code images; gives the entry of each as its group is `made`, and `seen` is told of each image as it is read.

    Images keep their names, but for numbers in their order.

    Raises:
        Mismatch, NotFound, DataError: as `ddpm.trained.coded.coded`.
    """

    def read() -> Iterator[tuple[str, np.ndarray]]:
        for row, one in enumerate(given):
            image = one.read()
            with named_in_errors(one.name):
                codec.check(image)
            seen(image)
            yield "" if one.name == f"{row:06d}" else one.name, image

    for group in archive.coded(codec, read()):
        made.append(group)
        yield from group.entries


def packed(codec: Codec, groups: Iterable[Group]) -> bytes:
    """The file of an archive.

    Raises:
        Mismatch: the images are too many.
    """
    return Archive(codec.named(container.ARCHIVE), tuple(groups)).pack()


def table_of(name: str, file: bytes, *, cut: bool = False) -> Archive:
    """What an archive holds, if it is whole or may be `cut` short. Errors say its `name`.

    Raises:
        DataError: it is damaged, or cut short.
    """
    with named_in_errors(name):
        return archive.unpack(file, cut=cut)


def is_archive(file: bytes) -> bool:
    """Whether a file, of which the head is enough, is an archive.

    Raises:
        DataError: it is no file of ours.
    """
    return container.unpack(file)[0].coding == container.ARCHIVE


def unpacked(name: str, file: bytes, *, cut: bool) -> bytes | Archive:
    """The archive that a file is, which may be `cut` short; or the file of one image as it is. Errors say its `name`.

    Raises:
        DataError: it is no file of ours, or an archive that is damaged.
    """
    with named_in_errors(name):
        return archive.unpack(file, cut=cut) if is_archive(file) else file


def whole_only(first: int | None) -> None:
    """Of an archive no beginning is asked for.

    Raises:
        UsageError: one is.
    """
    if first is not None:
        raise UsageError("an archive is read whole: a number of bytes is for files of one image")


def every_image(
    codec: Codec,
    files: Iterable[tuple[str, bytes | Archive]],
    first: int | None,
    batch_size: int,
    wanted: Collection[int] | None = None,
) -> Iterator[Found]:
    """What files say in their order, or the `first` bytes of each; of an archive all images, or those of the `wanted` numbers.

    An archive may be unpacked already.

    Raises:
        UsageError: of an archive a beginning is asked for.
        DataError, Mismatch: a file is damaged, made with another model, or has no such image.
    """
    opened = (
        (name, unpacked(name, file, cut=wanted is not None) if isinstance(file, bytes) else file)
        for name, file in files
    )
    for archives, some in groupby(opened, lambda pair: isinstance(pair[1], Archive)):
        if archives:
            whole_only(first)
            yield from chain.from_iterable(
                _images_of(codec, name, held, wanted) for name, held in some if isinstance(held, Archive)
            )
        else:
            alone = ((name, file) for name, file in some if isinstance(file, bytes))
            yield from chain.from_iterable(decoded(codec, alone, first, batch_size))


def _images_of(codec: Codec, name: str, held: Archive, wanted: Collection[int] | None) -> Iterator[Found]:
    with named_in_errors(name):
        for _, image in archive.read(codec, held, wanted):
            yield Found(image, exact=True, stage="exact", coding="archive")


def are_sound(codec: Codec, held: Archive) -> Iterator[bool]:
    """Of each group of an archive whether its images are those that were written.

    Raises:
        Mismatch: it was made with another model.
    """
    archive.require_ours(codec, held)
    for group in held.groups:
        try:
            for _ in archive.read(codec, Archive(held.model, (group,))):
                pass
        except (DataError, Mismatch):  # of this model, so its shapes are damaged
            yield False
        else:
            yield True


def archived(trained: LoadedModel, images: Data, split: str, *, progress: bool) -> bytes:
    """An archive of images, in memory."""
    given, made = images_to_code(trained, images, split), list[Group]()
    codec = codec_to_write(trained, chain=True, given=given)
    with followed(archive_entries(codec, given, made), len(given), "compressing", progress) as entries:
        for _ in entries:
            pass
    return packed(codec, made)


def decompressed(
    trained: LoadedModel,
    data: bytes | Sequence[bytes],
    first: int | None,
    batch_size: int,
    *,
    sample: bool,
    seed: int,
    progress: bool,
) -> Images:
    """The images of files, or of their first bytes, and of archives; warns of one that was cut before it came here."""
    files = [data] if isinstance(data, bytes) else list(data)
    if not files or not all(isinstance(file, bytes) for file in files):
        raise UsageError("`data` is the bytes of a file, or of several, as `compress` and `archive` give them")
    names = ["a file"] if len(files) == 1 else [f"file {i}" for i in range(len(files))]
    named = list(zip(names, files, strict=True))
    codec = codec_to_read(trained, named)
    found = every_image(codec, named, first, batch_size)
    if sample:
        found = (agreeing(trained, one, seed, row) for row, one in enumerate(found))
    with followed(found, None, "decompressing", progress) as read:
        every = list(read)
    if not every:
        raise UsageError("the archive holds no images")
    if first is None and (cut := sum(not one.exact for one in every)):
        tell(f"{cut} of {len(files)} files end early: their images are estimates")
    return images_found(every, codec.profile.levels)
