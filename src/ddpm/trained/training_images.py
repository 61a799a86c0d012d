"""The images that a model was trained on, where they still are, and whether what lies there is them."""

from pathlib import Path

import torch

from ddpm.checkpoints import Checkpoint
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_again, open_source
from ddpm.errors import DataError, Failure, Mismatch, NotFound
from ddpm.interop.foreign import UNKNOWN
from ddpm.run.data_identity import fingerprint_of, snapshot_in
from ddpm.trained.loaded import LoadedModel

ELSEWHERE = "`data.source=SOURCE` says where they are now"
OWN_DATA = "ddpm.model(p, shape, data=SOURCE) says it"


def training_images(trained: LoadedModel, needed: str) -> ImageSet:
    """All images of their kind that lie where they lay, without what was held out; `are_same` says whether they are the same.

    Args:
        trained: the model.
        needed: what they are needed for, to go before "the training data".

    Raises:
        NotFound: they are no longer where they were; or, of a model of another library, nothing says which they are.
        DataError: they are of another kind.
    """
    source = source_of(trained, needed)
    try:
        images = open_source(source, "train", trained.experiment.data.options())
    except Failure as error:
        raise NotFound(f"{needed} the training data: {error}", _how_said(trained)) from error
    return _of_its_kind(trained, images)


def are_same(trained: LoadedModel, images: ImageSet) -> bool:
    """Whether the model was trained on exactly these images, with these labels; of a model that does not say on which, yes.

    Raises:
        Mismatch: they have no labels, or others than the model.
    """
    return trained.trained_on in (None, images.digest(trained.experiment.labels(images)))


def same_images(trained: LoadedModel, needed: str) -> ImageSet:
    """The images that the model was trained on, but for a few that may be gone since, as training itself goes on with them.

    Raises:
        NotFound, DataError: as `training_images`.
        Mismatch: others lie there now.
    """
    if trained.trained_on is None:
        return training_images(trained, needed)
    source, snapshot = source_of(trained, needed), snapshot_in(trained.folder)
    try:
        opened = open_again(source, trained.experiment.data.options(), snapshot.parts)
    except Failure as error:
        raise NotFound(f"{needed} the training data: {error}", _how_said(trained)) from error
    images = _of_its_kind(trained, opened.train)
    try:
        fingerprint_of(
            trained.experiment, opened, images.lost, snapshot, Checkpoint({}, {"images": trained.trained_on})
        )
    except Mismatch as error:
        raise Mismatch(str(error), ELSEWHERE) from error
    return (
        images.take(torch.tensor([row for row in range(len(images)) if row not in images.lost]))
        if images.lost
        else images
    )


def source_of(trained: LoadedModel, needed: str) -> str:
    """Where the images of the run are, those that it held out among them.

    Raises:
        NotFound: nothing says it; `needed` as in `training_images`.
    """
    data, kept = trained.experiment.data, trained.folder.data
    if data.source == UNKNOWN:
        raise NotFound(
            f"{needed} the training data: this model does not say what it was trained on", _how_said(trained)
        )
    moved = kept.exists() and not Path(data.source).exists()  # images that were handed over in memory go with the run
    return str(kept) if moved else data.source


def _how_said(trained: LoadedModel) -> str:
    """In what way a model is told where its training images are: one that was made of a network of one's own by what made it."""
    return ELSEWHERE if trained.called is None else OWN_DATA


def _of_its_kind(trained: LoadedModel, images: ImageSet) -> ImageSet:
    data = trained.experiment.data
    if images.shape != data.shape or images.levels != data.levels:
        raise DataError(f"not the training data: {images.shape} of {images.levels} levels in {data.source!r}")
    return images
