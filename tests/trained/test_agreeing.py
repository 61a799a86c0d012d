"""Samples that agree with the beginning of a file: drawn by seed and number, within what was read, exact where all was."""

import shutil

import numpy as np
import pytest
import torch

import ddpm as library
from ddpm.codec.tiles import join
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.trained.agreeing import agreeing, drawn
from ddpm.trained.coding import codec_of
from ddpm.trained.loaded import load_run
from tests.codec.source import SCHEDULE, Source


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    return load_run(str(shutil.copytree(trained, tmp_path_factory.mktemp("own") / "run")), "ema", torch.device("cpu"))


@pytest.fixture(scope="module")
def files(model):
    """Of two digits and of one that has tiles, and their whole values."""
    digits = library.images("digits")[:6].tensor.double().numpy()
    whole = np.rint((digits + 1) * 8).astype(np.int64)
    images = [whole[0], whole[1], whole[2:6].reshape(1, 32, 8)[:, :13]]
    codec = codec_of(model)
    return codec, images, codec.progressive(images)


@pytest.mark.parametrize("share", [0.35, 0.5, 0.6, 0.7, 0.85])
def test_a_sample_is_of_what_was_read(model, files, share):
    """In the cells of each pixel, where the true image is too; other seeds and numbers give other images."""
    codec, images, made = files
    cut = [file[: int(share * len(file))] for file in made]
    found = codec.decompress(cut)
    one = [agreeing(model, each, 1, row) for row, each in enumerate(found)]
    again = [agreeing(model, each, 1, row) for row, each in enumerate(found)]
    other = [agreeing(model, each, 2, row) for row, each in enumerate(found)]
    for before, sample, same, another, image in zip(found, one, again, other, images, strict=True):
        assert sample.pixels.shape == image.shape
        assert np.array_equal(sample.pixels, same.pixels)
        assert not np.array_equal(sample.pixels, another.pixels)
        assert np.array_equal(sample.pixels, np.rint(sample.pixels))
        ends = before.seen.first, before.seen.last
        first, last = (join(end.reshape(-1, 1, 8, 8), image.shape) for end in ends)
        assert np.all((first <= sample.pixels) & (sample.pixels <= last))
        assert np.all((first <= image) & (image <= last))
    assert not np.array_equal(one[0].pixels, agreeing(model, found[0], 1, 7).pixels)


def test_with_nothing_read_it_is_a_sample_of_the_model(model, files):
    codec, _, made = files
    (found,) = codec.decompress([made[0]], limit=13)
    assert found.seen is None
    assert agreeing(model, found, 0, 0).pixels.std() > 1.2 * found.pixels.std()


def test_what_is_exact_stays(model, files):
    codec, images, made = files
    for row, (found, image) in enumerate(zip(codec.decompress(made), images, strict=True)):
        assert agreeing(model, found, 3, row) is found
        assert np.array_equal(found.pixels, image)


def test_a_sample_errs_as_the_posterior_does():
    """For a denoiser that is right, the square of its error is twice that of the mean (E|x - x'|^2 = 2 Var)."""
    source = Source((1, 8, 8), contrast=40.0, grain=6.0)
    images, codec = list(source.images(24, seed=5)), source.codec
    p = ReverseProcess(source.network, SCHEDULE, X0(), limit=unlimited)
    found = codec.decompress(codec.progressive(images), limit=30)
    own, cpu = (source.shape, source.levels), torch.device("cpu")
    samples = [drawn(p, one, own, (0, row), cpu) for row, one in enumerate(found)]
    of_mean, of_sample = (
        np.mean([np.square(one.pixels - image).mean() for one, image in zip(some, images, strict=True)])
        for some in (found, samples)
    )
    assert of_sample / of_mean == pytest.approx(2, rel=0.25)
