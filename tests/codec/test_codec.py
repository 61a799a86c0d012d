"""Files and back: any image, of any size and number of levels; no file is much larger than its pixels, or says another image."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ddpm.codec import codec as codec_file
from ddpm.codec import container
from ddpm.codec.calibrate import Plan
from ddpm.codec.codec import Codec, in_batches
from ddpm.codec.container import Header
from ddpm.codec.profile import Profile
from ddpm.codec.tiles import cut, join, number_of_tiles
from ddpm.errors import DataError, Mismatch
from tests.codec.source import codec_of, toy

SHAPES = [(1, 4, 4), (1, 1, 1), (1, 7, 5), (1, 3, 90), (3, 4, 4), (3, 9, 2)]


def pictures(shape, levels):
    """Noise, constants, a checkerboard, and what the model is for."""
    rng = np.random.default_rng(4)
    full = np.full(shape, levels - 1)
    board = np.indices(shape).sum(0) % 2 * (levels - 1)
    usual = np.rint(rng.normal(0.5, 0.04, shape) * (levels - 1)).clip(0, levels - 1).astype(np.int64)
    return {"noise": rng.integers(0, levels, shape), "black": 0 * full, "white": full, "board": board, "usual": usual}


@pytest.mark.parametrize("own", [(1, 4, 4), (3, 4, 4)])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_image_comes_back(own, shape):
    """Grey through a colour model and the other way, sizes that are no multiple of the model's, and all that it never saw."""
    codec, images = toy(own), list(pictures(shape, 256).values())
    files = codec.compress(images)
    for file, found, image in zip(files, codec.decompress(files), images, strict=True):
        assert found.exact
        assert np.array_equal(found.pixels, image)
        assert found.coding == container.CODINGS[file[3] & 7]
        assert len(file) <= image.size + 16


@pytest.mark.parametrize("levels", [2, 3, 16, 17, 256, 257, 65536])
def test_any_number_of_levels(levels):
    codec, images = toy((1, 4, 4), levels), list(pictures((1, 4, 4), levels).values())
    files = codec.compress(images)
    for file, found, image in zip(files, codec.decompress(files), images, strict=True):
        assert found.exact
        assert np.array_equal(found.pixels, image)
        assert len(file) <= image.size * (1 if levels <= 256 else 2) + 16


def test_what_the_model_is_for_is_coded_by_it():
    """Or nothing here tries more than storing."""
    files = toy().compress([pictures((1, 4, 4), 256)["usual"], pictures((1, 40, 40), 256)["usual"]])
    assert [file[3] & 7 for file in files] == [container.PROGRESSIVE] * 2
    assert len(files[1]) < 0.85 * 1600


@pytest.mark.parametrize("size", [1, 15, 1000])
def test_pixels_that_do_not_shrink_are_kept_as_they_are(size):
    noise = np.random.default_rng(5).integers(0, 256, (1, 1, size))
    assert container.store(noise, 256) == container.pixel_bytes(noise, 256)
    constant = np.full((1, 1, size), 7)
    assert len(container.store(constant, 256)) <= min(size, 20)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((1, 4, 4), dtype=np.int64) - 1, "0..255"),
        (np.full((1, 4, 4), 256), "0..255"),
        (np.zeros((1, 0, 4), dtype=np.int64), "can be coded"),
        (np.zeros((1, 2**11, 2**11 + 1), dtype=np.int64), "can be coded"),
    ],
)
def test_what_is_no_image_of_the_model_is_refused(image, said):
    with pytest.raises(Mismatch, match=said):
        toy().compress([image])


def test_channels_that_fit_no_tile_are_refused():
    with pytest.raises(Mismatch, match="3 channels"):
        toy((3, 4, 4)).compress([np.zeros((2, 4, 4), dtype=np.int64)])


def test_an_image_that_fills_its_tiles_badly_is_stored(monkeypatch):
    """A line of tiles of which most is filling: more work than an image may be, so the network is not asked."""
    monkeypatch.setattr(container, "MOST_NUMBERS", 1000)
    coded, encode = [], codec_file.progressive.encode
    monkeypatch.setattr(codec_file.progressive, "encode", lambda x, *more: coded.extend(x) or encode(x, *more))
    line = pictures((1, 1, 900), 256)["usual"]
    (file,) = toy().compress([line])
    assert file[3] & 7 == container.STORED
    assert not coded
    assert np.array_equal(toy().decompress([file])[0].pixels, line)


def test_a_codec_that_reads_something_else_writes_nothing(monkeypatch):
    """Each file is read again before it is given."""
    wrong = codec_file.progressive.decode

    def other(*given):
        return [replace(known, pixels=known.pixels + 1) for known in wrong(*given)]

    monkeypatch.setattr(codec_file.progressive, "decode", other)
    with pytest.raises(DataError, match="not read back"):
        toy().compress([pictures((1, 4, 4), 256)["usual"]])


def test_many_images_are_coded_in_parts(monkeypatch):
    sizes = [4, 4, 3, 90, 1, 1, 8]
    assert list(in_batches(sizes, int, 10)) == [[4, 4], [3], [90], [1, 1, 8]]
    assert list(in_batches(sizes, int, 1000, many=3)) == [[4, 4, 3], [90, 1, 1], [8]]
    assert list(in_batches([], int, 10)) == []
    monkeypatch.setattr(codec_file, "AT_ONCE", 10)
    images = [pictures((1, 4, 4), 256)["usual"]] * 3
    assert len(set(toy().compress(images))) == 1


@pytest.mark.parametrize("own", [(1, 4, 4), (3, 4, 4), (3, 5, 2)])
@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_are_all_of_an_image(own, shape):
    image = np.arange(np.prod(shape)).reshape(shape)
    tiles = cut(image, own)
    assert tiles.shape == (number_of_tiles(shape, own), *own)
    assert np.array_equal(join(tiles, shape), image)
    assert set(tiles.ravel()) == set(image.ravel())


def test_another_model_is_refused():
    (file,) = toy().compress([pictures((1, 4, 4), 256)["usual"]])
    other = Codec(toy().denoiser, b"another name")
    with pytest.raises(Mismatch, match="another model"):
        other.decompress([file])


def test_a_profile_is_what_its_json_says():
    """And names another model as soon as one number is another."""
    profile = toy().profile
    again = Profile.parse(json.loads(profile.json()))
    assert again == profile
    assert again.digest("w") == profile.digest("w") != profile.digest("v")
    assert replace(profile, chunk=4.5).digest("w") != profile.digest("w")


LEVEL = toy().profile.noisy[1]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"average": (1.0,)},
        {"average": (float("nan"),) * 16},
        {"places": (0,) * 9},
        {"places": (1,) * 3},
        {"candidates": 40, "places": (1,) * 41},
        {"width": 60},
        {"width": 0},
        {"levels": 1},
        {"levels": 2**17},
        {"chunk": 0.0},
        {"noisy": (LEVEL,)},
        {"noisy": (LEVEL, LEVEL)},
        {"noisy": (replace(LEVEL, alpha_bar=0.0), replace(LEVEL, deviation=(0.0,) * 10))},
        {"noisy": (replace(LEVEL, alpha_bar=0.0), replace(LEVEL, alpha_bar=1.0))},
        {"noisy": (replace(LEVEL, alpha_bar=0.0), replace(LEVEL, of_output=float("inf")))},
        {"fine": (replace(LEVEL, alpha_bar=0.0),)},
    ],
)
def test_numbers_of_no_profile_are_refused(change):
    with pytest.raises(ValueError, match="do not fit"):
        replace(toy().profile, **change)


def test_a_header_is_read_as_it_was_written():
    for shape in (None, (1, 1, 1), (3, 127, 128), (1, 2**20, 1)):
        for length in (0, 127, 128, 2**28 - 1):
            header = Header(container.PROGRESSIVE, b"name", 2**32 - 1, length, shape)
            assert container.unpack(header.pack()) == (header, b"")


def test_a_network_without_limits_is_read_as_it_was_written():
    """Of 65,536 levels, with estimates far from any level: what verified a file and what reads it hold the same numbers."""
    images = np.random.default_rng(1).integers(28000, 38000, (30, 1, 4, 4))
    wild = codec_of(lambda x_t, _timestep: 9.0 * x_t.double(), images, 65536, Plan((4.0, 1.0, 0.39), 4.0, 8))
    files = wild.progressive(list(images[:4]))
    for found, image in zip(wild.decompress(files), images, strict=False):
        assert found.exact
        assert np.array_equal(found.pixels, image)


def test_a_file_of_pixels_as_they_are_is_whole():
    """Its header counts no bytes: the shape does."""
    (file,) = toy().compress([np.random.default_rng(6).integers(0, 256, (1, 4, 4))])
    assert container.unpack(file)[0].length == 0
    assert toy().whole_length(file) == len(file)
    assert toy().whole_length(file[:-3]) == len(file)
