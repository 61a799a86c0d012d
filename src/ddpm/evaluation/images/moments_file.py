"""Mean and covariance of features in a file, as pytorch-fid writes them (`mu`, `sigma`), with what ours add: of which features.

Nothing is unpickled, and no array is larger than its file may say.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ddpm.errors import DataError, Mismatch, NotFound
from ddpm.evaluation.images.features.extractor import Extractor
from ddpm.evaluation.images.moments import Moments
from ddpm.storage import archives
from ddpm.storage.atomic import write_bytes

MOST_FEATURES = 2**13
"""Numbers of an image; a covariance of so many takes half a gigabyte."""
PACKED = 36 * 2**20
"""Bytes by which an archive may unpack to more than it has: the moments of 2,048 features, however well they are packed."""
ROUNDING = 1e-3
"""How far below 0 an eigenvalue may be, beside the largest one: what float32 and an odd estimate leave."""
REAL = (np.dtype("float32"), np.dtype("float64"))


@dataclass(frozen=True, eq=False)
class MomentsFile:
    """What a file holds. `features`, `digest` and `how` say of which extractor it is, where the file says it."""

    moments: Moments
    images: int | None
    features: str | None
    digest: str | None
    how: str | None

    def require(self, extractor: Extractor, name: str) -> None:
        """It is of the features of this extractor, as far as it says.

        Raises:
            Mismatch: it is of others.
        """
        for said, own in ((self.digest, extractor.digest), (self.how, extractor.how)):
            if said is not None and said != own:
                raise Mismatch(
                    f"{name} holds moments of the features {self.features!r}, {said}, and those of {extractor.name!r} are asked "
                    f"for, {own}"
                )


def is_moments(path: Path) -> bool:
    """Whether a file is an npz with `mu` and `sigma`."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"mu.npy", "sigma.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_moments(path: Path) -> MomentsFile:
    """Of a file.

    Raises:
        NotFound: there is none.
        DataError: it is damaged, or holds something else.
    """
    if not path.is_file():
        raise NotFound(f"no such file: {str(path)!r}")
    try:
        _require_small(path)
        with np.load(path, allow_pickle=False) as held:
            mean, covariance = held["mu"], held["sigma"]
            texts = {name: str(held[name].item()) for name in ("features", "digest", "how") if name in held.files}
            images = int(held["images"].item()) if "images" in held.files else None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        OverflowError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"no moments of features in {str(path)!r}: {error}") from error
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)) or {mean.dtype, covariance.dtype} - set(REAL):
        raise DataError(f"no moments of features in {str(path)!r}: mu is {mean.shape}, sigma {covariance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise DataError(f"no moments of features in {str(path)!r}: a number is not finite")
    covariance = torch.from_numpy(covariance).double()
    covariance = (covariance + covariance.T) / 2
    values = torch.linalg.eigvalsh(covariance)
    if len(values) and values[0] < -ROUNDING * values[-1].clamp(min=0):
        raise DataError(
            f"no moments of features in {str(path)!r}: sigma is no covariance, it has the eigenvalue {float(values[0]):.3g}"
        )
    moments = Moments(None, torch.from_numpy(mean).double(), covariance)
    return MomentsFile(moments, images, *(texts.get(name) for name in ("features", "digest", "how")))


def _require_small(path: Path) -> None:
    """Before any array is made: what the archive and the headers say of sizes.

    Raises:
        ValueError: a member is larger than moments are, or says that it holds more than it has.
    """
    with path.open("rb") as file, archives.opened(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size + PACKED:
            raise ValueError("it unpacks to far more than it has")
        for member in archive.infolist():
            if member.file_size > 8 * MOST_FEATURES**2 + 4096:
                raise ValueError(f"{member.filename[:40]!r} has {member.file_size:,} bytes")
            archives.header(archive, member)


def write_moments(path: Path, moments: Moments, extractor: Extractor) -> None:
    """Whole or not at all; others' evaluators read `mu` and `sigma`."""
    data = io.BytesIO()
    mean, covariance, count = moments.mean.numpy(), moments.covariance.numpy(), np.array(moments.count)
    name, digest, how = (np.array(text) for text in (extractor.name, extractor.digest, extractor.how))
    np.savez(data, mu=mean, sigma=covariance, images=count, features=name, digest=digest, how=how)
    write_bytes(path, data.getvalue())
