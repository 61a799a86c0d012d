"""How much of a file is kept: what is promised of the error and of the bytes, whichever way an image is coded."""

import numpy as np
import pytest

from ddpm.codec import container
from ddpm.trained.cutting import asked_cut, at_rate, at_rmse, header_size, rmse_of, to_cut
from tests.codec.source import toy


def images():
    """One that the toy model knows, and noise, which is stored as it is."""
    rng = np.random.default_rng(3)
    return [np.rint(rng.normal(127.5, 10, (1, 8, 8))).astype(np.int64), rng.integers(0, 256, (1, 8, 8))]


def test_one_is_coded_and_one_stored():
    whole = toy().compress(images())
    assert [container.unpack(file)[0].coding for file in whole] == [container.PROGRESSIVE, container.STORED]


@pytest.mark.parametrize("bits_per_pixel", [2.5, 4, 7])
def test_at_a_rate_no_other_beginning_shows_more(bits_per_pixel):
    codec, both = toy(), images()
    found, whole = at_rate(bits_per_pixel)(codec, both), codec.compress(both)
    limit = int(bits_per_pixel * 64 / 8)
    assert all(len(file) <= limit for file in found)
    others = [rmse_of(codec, both, [file[:limit] for file in files]) for files in (whole, to_cut(codec, both, whole))]
    assert np.all(rmse_of(codec, both, found) <= np.min(others, axis=0))


@pytest.mark.parametrize("rmse", [0, 1, 9, 40])
def test_within_an_error_there_are_no_fewer_bytes(rmse):
    """One byte less errs more, of the file that is kept and of the image's other one."""
    codec, both = toy(), images()
    found, whole = at_rmse(rmse)(codec, both), codec.compress(both)
    assert max(rmse_of(codec, both, found)) <= rmse
    for files in (whole, to_cut(codec, both, whole)):
        shorter = [file[: max(header_size(file), len(kept) - 1)] for file, kept in zip(files, found, strict=True)]
        cut = [row for row, kept in enumerate(found) if len(kept) > header_size(kept)]
        errors = rmse_of(codec, [both[row] for row in cut], [shorter[row] for row in cut])
        assert all(error > rmse for error in errors)


def test_everything_is_what_was_asked_for_without_a_word():
    codec, both = toy(), images()
    assert asked_cut(None, None)(codec, both) == codec.compress(both)
