"""The progressive code of a source whose entropy is known: exact, near the entropy in real bytes, better with every byte."""

import itertools

import numpy as np
import pytest

from ddpm.codec import progressive
from ddpm.codec.denoiser import Denoiser, Remembering, probe
from ddpm.codec.progressive import _Step
from ddpm.errors import DataError
from tests.codec.source import Source, toy


@pytest.mark.slow
@pytest.mark.parametrize(("side", "most"), [(16, 1.13), pytest.param(32, 1.10, marks=pytest.mark.long)])
def test_a_whole_file_is_little_more_than_the_entropy(side, most, record_property):
    """3 x 16 x 16 and 3 x 32 x 32, header and all; and exact."""
    source = Source((3, side, side))
    images = source.images(16, seed=1)
    files = source.codec.compress(list(images))
    bits = 8 * sum(map(len, files)) / images.size
    record_property(
        "figures", f"{bits:.3f} bits for a number, of {source.entropy:.3f}: {bits / source.entropy - 1:+.1%}"
    )
    assert all(file[3] & 7 == 1 for file in files)
    assert bits < most * source.entropy
    for found, image in zip(source.codec.decompress(files), images, strict=True):
        assert found.exact
        assert np.array_equal(found.pixels, image)


@pytest.mark.slow
@pytest.mark.parametrize("many", [25, pytest.param(100, marks=pytest.mark.long)])
def test_more_bytes_are_a_better_image(many, record_property):
    """Of many images, at every 16 bytes: the mean RMSE does not rise, and falls from that of nothing to 0."""
    source = Source((1, 16, 16))
    images = source.images(many, seed=2)
    files = source.codec.compress(list(images))
    curve = []
    for end in range(16, max(map(len, files)) + 16, 16):
        found = source.codec.decompress(files, limit=end)
        errors = [np.sqrt(np.mean((one.pixels - x) ** 2)) for one, x in zip(found, images, strict=True)]
        assert all(one.exact == (len(file) <= end) or one.exact for one, file in zip(found, files, strict=True))
        assert all(error == 0 for one, error in zip(found, errors, strict=True) if one.exact)
        curve.append(np.mean(errors))
    record_property("figures", "RMSE at every 16 bytes: " + " ".join(f"{error:.1f}" for error in curve))
    assert all(b <= a + 0.01 for a, b in itertools.pairwise(curve))
    assert curve[0] > 20
    assert curve[-1] == 0


def test_several_together_are_as_each_alone():
    """What other images share a call of the network changes no byte."""
    codec, images = toy(), _images(5)
    together = codec.compress(images)
    assert together == [codec.compress([image])[0] for image in images]
    found = codec.decompress(together)
    assert all(np.array_equal(one.pixels, image) for one, image in zip(found, images, strict=True))


def _images(many, shape=(1, 4, 4), seed=3):
    rng = np.random.default_rng(seed)
    return list(np.rint(rng.normal(127.5, 10, size=(many, *shape))).clip(0, 255).astype(np.int64))


def test_the_channel_s_noise_is_that_of_the_chain():
    """c_0 x_0 + c_t x_t + sigma eps of a step has the marginal of the next level (Eq. 7 between levels apart)."""
    for level, following in zip(toy().profile.noisy[1:-1], toy().profile.noisy[2:], strict=True):
        step = _Step(level, following)
        signal = step.c_0 + step.c_t * np.sqrt(level.alpha_bar)
        variance = step.c_t**2 * (1 - level.alpha_bar) + step.sigma**2
        assert signal == pytest.approx(np.sqrt(following.alpha_bar), rel=1e-12)
        assert variance == pytest.approx(1 - following.alpha_bar, rel=1e-12)


def test_the_first_step_begins_with_nothing():
    first, second = toy().profile.noisy[:2]
    step = _Step(first, second)
    assert (step.c_t, step.c_0) == (0, pytest.approx(np.sqrt(second.alpha_bar)))
    assert step.sigma == pytest.approx(np.sqrt(1 - second.alpha_bar))


def test_what_was_asked_is_not_asked_again():
    """Reading back what was coded costs no call of the network."""
    calls, codec = [], toy()

    def counted(x_t, timestep):
        calls.append(len(x_t))
        return codec.denoiser.network(x_t, timestep)

    asked = Remembering(Denoiser(counted, codec.profile))
    x = [image.ravel() for image in _images(3)]
    streams = progressive.encode(x, codec.profile, asked)
    levels = len(codec.profile.noisy) - 1 + len(codec.profile.fine)
    assert len(calls) == levels
    assert max(calls) == 3
    back = progressive.decode(streams, [16] * 3, [True] * 3, codec.profile, asked)
    assert len(calls) == levels
    assert all(np.array_equal(one.pixels, image) for one, image in zip(back, x, strict=True))


def test_a_beginning_lies_within_what_was_read():
    """Stages are named in their order, and no pixel of an estimate in cells leaves its cell's range of values."""
    codec, (image,) = toy(), _images(1)
    (file,) = codec.compress([image])
    stages = [codec.decompress([file[:end]])[0].stage for end in range(13, len(file) + 1)]
    order = list(dict.fromkeys(stages))
    assert order[0] == "nothing"
    assert order[-1] == "exact"
    assert any(stage.startswith("cells of") for stage in order)
    assert [stage for stage in stages if stage == order[1]]


def test_a_network_that_gives_no_numbers_is_refused():
    profile = toy().profile
    broken = Denoiser(lambda x_t, timestep: x_t * float("nan"), profile)
    with pytest.raises(DataError, match="not finite"):
        broken([np.zeros(16)], profile.noisy[1])


def test_the_probe_changes_with_the_network():
    profile = toy().profile
    same = probe(Denoiser(toy().denoiser.network, profile))
    assert same == probe(toy().denoiser)
    assert same != probe(Denoiser(lambda x_t, timestep: toy().denoiser.network(x_t, timestep) + 1e-3, profile))
