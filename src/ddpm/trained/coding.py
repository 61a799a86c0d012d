"""A trained model as a codec: its profile is measured once, and kept beside the weights for whoever reads the files."""

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ddpm.codec.calibrate import Plan, as_it_is, calibrated
from ddpm.codec.chain.calibrate import chained, cheapest
from ddpm.codec.chain.profile import ChainProfile
from ddpm.codec.codec import Codec
from ddpm.codec.container import NAME
from ddpm.codec.denoiser import Denoiser, probe
from ddpm.codec.exact import NotExact, exact
from ddpm.codec.profile import Profile, parsed
from ddpm.codec.tables import Whole
from ddpm.data.imageset import ImageSet
from ddpm.errors import DataError, RunWarning, warn
from ddpm.models.precision import FULL
from ddpm.storage import durable
from ddpm.storage.atomic import atomically, read_json, to_strict_json
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.training_images import training_images

IMAGES = 256
"""On how many images of the training data a profile is measured."""
STEPS = 25
"""Of the chain."""
FEWER = 4
"""On one of so many of the images, its steps are chosen."""
Kind = TypeVar("Kind", Profile, ChainProfile)


def profile_file(trained: LoadedModel, *, chain: bool = False) -> Path:
    """Where the profile of these weights is kept, or that of their chain."""
    kind = "-chain" if chain else ""
    return trained.folder.codecs / f"step-{trained.step:09d}-{trained.weights}{kind}.json"


def codec_of(trained: LoadedModel, *, chain: bool = False) -> Codec:
    """The codec of these weights, with its `chain` if asked. What was not measured before is measured now, on training images.

    Raises:
        DataError: what is kept belongs to other weights, or is damaged.
        NotFound: there is nothing, and no images to measure on.
        StorageError: it cannot be written: what is coded could not be read back.
    """
    trained = trained.in_precision(FULL)  # a codec has an arithmetic of its own, and one profile
    profile = kept_profile(trained) or kept_after(
        profile_file(trained), trained.digest, Profile, lambda: measured_profile(trained)
    )
    network = trained.network
    denoiser = Denoiser(exact(network) if profile.exact else doubled(network), profile, trained.device)
    if not profile.exact and probe(denoiser) != profile.probe:
        raise DataError(
            "this machine's arithmetic gives other numbers than that of the codec's profile",
            "the network has no exact arithmetic: read its files where they were written",
        )
    codec = Codec(denoiser, profile.digest(trained.digest))
    if not chain:
        return codec
    file, belongs = profile_file(trained, chain=True), codec.name.hex()
    found = kept(file, belongs, ChainProfile)
    found = found or kept_after(file, belongs, ChainProfile, lambda: measured_chain(trained, profile))
    return replace(codec, chain=found)


def kept_profile(trained: LoadedModel) -> Profile | None:
    """The profile that was measured before; None if there is none.

    Raises:
        DataError: it is of other weights, or damaged: a new one would not read the files of the old.
    """
    return kept(profile_file(trained), trained.digest, Profile)


def kept_name(trained: LoadedModel, *, chain: bool = False) -> bytes | None:
    """What files of these weights say of their model, or those that their chain codes; None if no profile of that is kept.

    Raises:
        DataError: as `kept_profile`.
    """
    profile = kept_profile(trained)
    if profile is None or not chain:
        return None if profile is None else profile.digest(trained.digest)[:NAME]
    belongs = profile.digest(trained.digest).hex()
    found = kept(profile_file(trained, chain=True), belongs, ChainProfile)
    return None if found is None else found.digest(belongs)[:NAME]


def kept(file: Path, belongs: str, kind: type[Kind]) -> Kind | None:
    """A profile of that kind, which belongs to those weights, or to that codec; None if there is no file.

    Raises:
        DataError: it belongs to others, or is damaged.
    """
    if not file.exists():
        return None
    values = read_json(file)
    if not isinstance(values, dict) or values.get("weights") != belongs:
        raise DataError(f"{str(file)!r} is the codec's profile of other weights", "remove it to make a new one")
    profile = parsed(kind, values.get("profile"))
    if values.get("name") != profile.digest(belongs).hex():
        raise DataError(f"{str(file)!r} is damaged: it is not the codec's profile that was written")
    return profile


def kept_after(file: Path, belongs: str, kind: type[Kind], measured: Callable[[], Kind]) -> Kind:
    """What is measured, once it is written; that the folder takes a file is tried before.

    Of several processes that measure at the same time, what the first one wrote stays: files may have been written with it.

    Raises:
        StorageError: it does not.
    """
    with atomically(file) as temporary:
        temporary.touch()
        temporary.unlink()
        profile = measured()
        values = {"weights": belongs, "name": profile.digest(belongs).hex(), "profile": asdict(profile)}
        durable.write(temporary, [to_strict_json(values).encode() + b"\n"])
        _first_of_all(temporary, file)
    again = kept(file, belongs, kind)
    assert again is not None
    return again


def _first_of_all(temporary: Path, file: Path) -> None:
    """Where another process has written the file by now, `temporary` becomes what it wrote."""
    try:
        os.link(temporary, file)
    except FileExistsError:
        temporary.write_bytes(file.read_bytes())
    except OSError:  # a disk without links
        if file.exists():
            temporary.write_bytes(file.read_bytes())


def measured_profile(trained: LoadedModel) -> Profile:
    """A profile on some of the images that the model was trained on, from anywhere among them.

    Raises:
        NotFound: they are no longer where they were.
    """
    pixels, levels = _measured_on(trained), trained.experiment.levels
    network = trained.network
    profile = calibrated(trained.process, pixels, own_shape(trained), levels, Plan(), exact=can_be_exact(trained))
    if profile.exact:
        return profile
    warn("the network has no exact arithmetic: its files may be refused on another machine", RunWarning)
    return replace(profile, probe=probe(Denoiser(doubled(network), profile, trained.device)))


def measured_chain(trained: LoadedModel, profile: Profile) -> ChainProfile:
    """The chain of a codec, measured on the images that its profile is; not in exact arithmetic, as that.

    Raises:
        NotFound: they are no longer where they were.
    """
    denoiser, images = Denoiser(as_it_is(trained.process), profile, trained.device), _measured_on(trained)
    steps = cheapest(trained.process, denoiser, images[::FEWER], min(STEPS, trained.process.schedule.T))
    return chained(trained.process, denoiser, images, steps)


def _measured_on(trained: LoadedModel) -> Whole:
    images = training_images(trained, "the codec's profile is measured on")
    rows = torch.linspace(0, len(images) - 1, min(IMAGES, len(images))).long()
    return whole_values(images.take(rows))


def can_be_exact(trained: LoadedModel) -> bool:
    """Whether every operation of the network has exact arithmetic."""
    network = trained.network
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


def own_shape(trained: LoadedModel) -> tuple[int, int, int]:
    """Channels, height and width."""
    channels, height, width = trained.experiment.shape
    return channels, height, width


def whole_values(images: ImageSet) -> Whole:
    """Images as whole values, (n, D)."""
    return images.tensor().numpy().astype(np.int64).reshape(len(images), -1)
