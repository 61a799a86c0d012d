"""A trained model as a codec: images to bytes and back, each in a call. What `ddpm compress` and `ddpm decompress` do."""

from collections.abc import Sequence

from ddpm.checks import check_whole
from ddpm.figures.images import Data, Images
from ddpm.trained.archived import archived, decompressed
from ddpm.trained.coded import compressed
from ddpm.trained.cutting import asked_cut
from ddpm.trained.facts import Facts


class Compressor(Facts):
    """A trained model that makes files of images. It needs constriction: ``pip install 'ddpm[codec]'``."""

    def compress(
        self,
        images: Data,
        *,
        bits_per_pixel: float | None = None,
        rmse: float | None = None,
        smallest: bool = False,
        split: str = "all",
        batch_size: int = 64,
        progress: bool = True,
    ) -> list[bytes]:
        """A file of each image, in memory: all of it gives the image back exactly, any beginning an estimate (section 4.3).

        The first call measures the codec's profile on training images and keeps it in RUN/codecs: without that file, and these
        weights, nothing can be read back.

        Args:
            images: as data of `bits_per_dim`; pictures of any size, which are neither scaled nor cut.
            bits_per_pixel: at most so many bits for a pixel (of all its channels), the header among them; None for all.
            rmse: as few bytes as give at most this error, on the scale 0..255; None for all.
            smallest: whether a code by a chain is tried too, and kept where it is smaller: a beginning of it shows nothing.
            split: of a source.
            batch_size: tiles of the model's size at a time; the bytes do not depend on it.
            progress: whether a bar is shown.

        Warns:
            RunWarning: a picture is not stored as it is coded.

        Raises:
            UsageError: constriction is not installed, or there is no such beginning.
            Mismatch: the images have other levels than the model, or channels that it cannot take.
            NotFound, DataError: the images cannot be read; or those that the profile is measured on.

        Example:
            >>> import ddpm
            >>> model, digits = ddpm.load("runs/demo"), ddpm.images("digits")[:2]
            >>> files = model.compress(digits, progress=False)
            >>> bool((model.decompress(files, progress=False).numpy() == digits.numpy()).all())
            True
        """
        cut, batch_size = asked_cut(bits_per_pixel, rmse, smallest=smallest), check_whole("batch_size", batch_size, 1)
        return compressed(self.loaded, images, split, cut, batch_size, chain=smallest, progress=progress)

    def archive(self, images: Data, *, split: str = "all", progress: bool = True) -> bytes:
        """Many images in one file, each in little more bits than its bound: smaller than files of their own, but read whole.

        The first call measures a chain of the model and keeps it in RUN/codecs, as `compress` does the codec's profile.

        Args:
            images: as in `compress`.
            split: of a source.
            progress: whether a bar is shown.

        Warns:
            RunWarning: a picture is not stored as it is coded.

        Raises:
            UsageError, Mismatch, NotFound, DataError: as `compress`.

        Example:
            >>> import ddpm
            >>> model, digits = ddpm.load("runs/demo"), ddpm.images("digits")[:5]
            >>> archive = model.archive(digits, progress=False)
            >>> bool((model.decompress(archive, progress=False).numpy() == digits.numpy()).all())
            True
        """
        return archived(self.loaded, images, split, progress=progress)

    def decompress(
        self,
        data: bytes | Sequence[bytes],
        bytes: int | None = None,
        *,
        sample: bool = False,
        seed: int = 0,
        batch_size: int = 64,
        progress: bool = True,
    ) -> Images:
        """The images of files of `compress`: exact, to the bit, where all of a file is there, else estimates; and of `archive`.

        Args:
            data: one file, or several, of images of one size.
            bytes: how many of each are read; None for all.
            sample: whether the model draws what the bytes leave open, where else the mean of all that could be is shown.
            seed: of what is drawn: image i depends on it and i alone.
            batch_size: tiles of the model's size at a time.
            progress: whether a bar is shown.

        Warns:
            RunWarning: files end early, though all of them was to be read.

        Raises:
            UsageError: constriction is not installed, or these are no bytes.
            DataError: a file is damaged; or an archive is cut short.
            Mismatch: a file was made with another model, or with a profile that RUN/codecs lacks; or the images differ in size.

        Example:
            >>> import ddpm
            >>> model = ddpm.load("runs/demo")
            >>> model.decompress(model.compress(ddpm.images("digits")[:3], progress=False), bytes=20, progress=False)
            Images(3 of 1x8x8, 17 levels)
        """
        first, batch_size = bytes and check_whole("bytes", bytes), check_whole("batch_size", batch_size, 1)
        seed = check_whole("seed", seed)
        return decompressed(self.loaded, data, first, batch_size, sample=sample, seed=seed, progress=progress)
