"""The images that a model was trained on, where they still are."""

from pathlib import Path

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import DataError, Failure, NotFound
from ddpm.interop.foreign import UNKNOWN
from ddpm.trained.loaded import LoadedModel

ELSEWHERE = "`data.source=SOURCE` says where they are now"


def training_images(trained: LoadedModel, needed: str) -> ImageSet:
    """All of them, without what was held out.

    Args:
        trained: the model.
        needed: what they are needed for, to go before "the training data".

    Raises:
        NotFound: they are no longer where they were; or, of a model of another library, nothing says which they are.
        DataError: they are not what they were.
    """
    data, kept = trained.experiment.data, trained.folder.data
    if data.source == UNKNOWN:
        raise NotFound(f"{needed} the training data: this model does not say what it was trained on", ELSEWHERE)
    moved = kept.exists() and not Path(data.source).exists()  # images that were handed over in memory go with the run
    source = str(kept) if moved else data.source
    try:
        images = open_source(source, "train", data.options())
    except Failure as error:
        raise NotFound(f"{needed} the training data: {error}", ELSEWHERE) from error
    if images.shape != data.shape or images.levels != data.levels:
        raise DataError(f"not the training data: {images.shape} of {images.levels} levels in {data.source!r}")
    return images
