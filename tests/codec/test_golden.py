"""Files that were written once are read for ever, to the bit, and written again as they were."""

import numpy as np
import pytest

from tests.codec import golden


@pytest.mark.parametrize("name", golden.pictures())
def test_a_file_of_version_1_is_read(name):
    (found,) = golden.codec().decompress([(golden.FOLDER / f"{name}.ddpm").read_bytes()])
    assert found.exact
    assert np.array_equal(found.pixels, golden.pictures()[name])
    assert found.coding == ("stored" if name == "noise" else "progressive")


def test_the_same_bytes_are_written():
    """But for what is stored, where another zlib may be."""
    images = golden.pictures()
    for name, file in zip(images, golden.codec().compress(list(images.values())), strict=True):
        assert file == (golden.FOLDER / f"{name}.ddpm").read_bytes(), name


def test_any_beginning_shows_a_picture():
    """Of golden files too: of the right shape, better with more bytes."""
    file, image = (golden.FOLDER / "tiles.ddpm").read_bytes(), golden.pictures()["tiles"]
    found = [golden.codec().decompress([file], limit=end)[0] for end in range(20, len(file) + 1, 12)]
    errors = [np.sqrt(np.mean((one.pixels - image) ** 2)) for one in found]
    assert all(one.pixels.shape == image.shape for one in found)
    assert errors[-1] < 0.5 * errors[0]
