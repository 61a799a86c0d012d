"""A trained model as a codec: its profile is measured once, and kept beside the weights for whoever reads the files."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddpm.codec.calibrate import Plan, calibrated
from ddpm.codec.codec import Codec
from ddpm.codec.denoiser import Denoiser, probe
from ddpm.codec.exact import NotExact, exact
from ddpm.codec.profile import Profile
from ddpm.codec.tables import Whole
from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError, RunWarning, warn
from ddpm.storage import durable
from ddpm.storage.atomic import atomically, read_json, to_strict_json
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.training_images import training_images

IMAGES = 256
"""On how many images of the training data a profile is measured."""


def profile_file(trained: LoadedModel) -> Path:
    """Where the profile of these weights is kept."""
    return trained.folder.codecs / f"step-{trained.step:09d}-{trained.weights}.json"


def codec_of(trained: LoadedModel) -> Codec:
    """The codec of these weights; its profile is measured where there is none, which takes K calls of the network on 256 images.

    Raises:
        DataError: the profile that is kept belongs to other weights, or is damaged.
        NotFound: there is none, and no images to measure one on.
        StorageError: it cannot be written: what is coded could not be read back.
    """
    profile = kept_profile(trained)
    if profile is None:
        keep_profile(trained, lambda: measured_profile(trained))
        profile = kept_profile(trained)
    assert profile is not None
    network = trained.process.network
    assert isinstance(network, nn.Module)
    denoiser = Denoiser(exact(network) if profile.exact else doubled(network), profile, trained.device)
    if not profile.exact and probe(denoiser) != profile.probe:
        raise DataError(
            "this machine's arithmetic gives other numbers than that of the codec's profile",
            "the network has no exact arithmetic: read its files where they were written",
        )
    return Codec(denoiser, profile.digest(trained.digest))


def keep_profile(trained: LoadedModel, measured: Callable[[], Profile]) -> None:
    """Write what is measured; that the folder takes a file is tried before.

    Raises:
        StorageError: it does not.
    """
    with atomically(profile_file(trained)) as temporary:
        temporary.touch()
        temporary.unlink()
        profile = measured()
        durable.write(temporary, [to_strict_json(_as_kept(trained, profile)).encode() + b"\n"])


def _as_kept(trained: LoadedModel, profile: Profile) -> dict[str, Any]:
    """With its own name, by which damage is found."""
    named = profile.digest(trained.digest).hex()
    return {"weights": trained.digest, "name": named, "profile": asdict(profile)}


def kept_profile(trained: LoadedModel) -> Profile | None:
    """The profile that was measured before; None if there is none.

    Raises:
        DataError: it is of other weights, or damaged: a new one would not read the files of the old.
    """
    file = profile_file(trained)
    if not file.exists():
        return None
    values = read_json(file)
    if not isinstance(values, dict) or values.get("weights") != trained.digest:
        raise DataError(f"{str(file)!r} is the codec's profile of other weights", "remove it to make a new one")
    profile = Profile.parse(values.get("profile"))
    if values.get("name") != profile.digest(trained.digest).hex():
        raise DataError(f"{str(file)!r} is damaged: it is not the codec's profile that was written")
    return profile


def measured_profile(trained: LoadedModel) -> Profile:
    """A profile on some of the images that the model was trained on, from anywhere among them.

    Raises:
        NotFound: they are no longer where they were.
    """
    images = training_images(trained, "the codec's profile is measured on")
    network, levels = trained.process.network, trained.experiment.levels
    assert isinstance(network, nn.Module)
    rows = torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()
    pixels = whole_values(images.take(rows))
    profile = calibrated(trained.process, pixels, shape_of(trained), levels, Plan(), exact=can_be_exact(trained))
    if profile.exact:
        return profile
    warn("the network has no exact arithmetic: its files may be refused on another machine", RunWarning)
    return replace(profile, probe=probe(Denoiser(doubled(network), profile, trained.device)))


def can_be_exact(trained: LoadedModel) -> bool:
    """Whether every operation of the network has exact arithmetic."""
    network = trained.process.network
    assert isinstance(network, nn.Module)
    x_t = torch.zeros(1, *trained.experiment.shape, device=trained.device)
    try:
        exact(network)(x_t, trained.process.timestep(1, x_t))
    except NotExact:
        return False
    return True


def doubled(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The network in float64."""
    copied = deepcopy(network).double().eval()

    def run(x_t: Tensor, timestep: Tensor) -> Tensor:
        with torch.no_grad():
            return copied(x_t, timestep)

    return run


def shape_of(trained: LoadedModel) -> tuple[int, int, int]:
    """Channels, height and width."""
    channels, height, width = trained.experiment.shape
    return channels, height, width


def whole_values(images: ImageSet) -> Whole:
    """Images as whole values, (n, D)."""
    return images.tensor().numpy().astype(np.int64).reshape(len(images), -1)
