"""Shared random numbers, and the tables of the normal distribution: golden values, laws, and margins of every entry."""

import zlib

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ddpm.codec.randomness import normals, order, whole
from ddpm.codec.tables import ONE, below, phi, quantiles

GOLDEN_NORMALS = [
    [0.7495269775390625, 0.06048583984375, 0.772369384765625],
    [0.1337890625, -0.5419158935546875, 1.634185791015625],
]
GOLDEN_WHOLE = [25, 107, 99, 86, 7, 57, 61, 75]
GOLDEN_ORDER = [7, 4, 5, 1, 9, 6, 8, 0, 2, 3]
GOLDEN_CRC = (1911378677, 3834194914)


def test_golden_values():
    """Philox of numpy's key (7, 3), counted from 0: its first words begin these."""
    assert normals(7, 3, 2, 3).tolist() == GOLDEN_NORMALS
    assert whole(1 << 32, 0, 8, 128).tolist() == GOLDEN_WHOLE
    assert order(5, 1, 10).tolist() == GOLDEN_ORDER
    crc = zlib.crc32(normals(1 << 33, 12, 50, 41).tobytes()), zlib.crc32(whole(9, 9, 1000, 2**20).tobytes())
    assert crc == GOLDEN_CRC


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 30), st.integers(1, 70))
def test_a_row_is_a_function_of_its_place(first, rows, width):
    assert np.array_equal(normals(2, 5, first + rows, width)[first:], normals(2, 5, rows, width, first))


def test_other_keys_and_streams_are_other_numbers():
    kinds = [normals(key, stream, 1, 1000)[0] for key in (0, 1, 2) for stream in (0, 1)]
    together = np.corrcoef(kinds) - np.eye(6)
    assert np.abs(together).max() < 5 / 1000**0.5


def test_normal_numbers_are_normal():
    """Of a million: mean within 5 deviations of it, and so the variance; the table's own variance is 1 to 1e-4."""
    found = normals(3, 4, 1000, 1000).astype(np.float64).ravel()
    assert abs(found.mean()) < 5e-3
    assert abs(found.var() - 1) < 5 * 2**0.5 * 1e-3
    assert abs(stats.kurtosis(found)) < 5 * 24**0.5 * 1e-3
    assert abs(quantiles().astype(np.float64).var() - 1) < 1e-4
    assert np.array_equal(quantiles(), -quantiles()[::-1])


def test_whole_numbers_are_uniform():
    counts = np.bincount(whole(1, 2, 2**16, 64), minlength=64)
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("size", [0, 1, 2, 3000])
def test_a_permutation(size):
    found = order(8, 1, size)
    assert sorted(found.tolist()) == list(range(size))
    assert size < 3 or not np.array_equal(found, order(9, 1, size))


@pytest.mark.slow
def test_every_entry_of_the_distribution_has_a_margin():
    """The nearest multiple of 2^-30, and 1e-14 of itself or more away from the middle between two: some 50 times the error."""
    with mpmath.workprec(100):
        for z, entry in zip(range(-4096, 4097), phi().tolist(), strict=True):
            true = mpmath.ncdf(mpmath.mpf(z) / 512)
            assert (mpmath.mpf(1) / 2 - abs(true * ONE - entry)) / (true * ONE) > 1e-14


@pytest.mark.parametrize("near", [0.002, pytest.param(0.5, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_every_quantile_has_a_margin(near):
    """The nearest multiple of 2^-16, and 1e-12 or more away from the middle; the fast tier looks at the nearest to it."""
    p = (np.arange(2**16) + 0.5) / 2**16
    guess = stats.norm.ppf(p)
    places = np.flatnonzero(np.abs(np.mod(guess * 2**16, 1) - 0.5) <= near)
    with mpmath.workprec(100):
        for i in places.tolist():
            middle = (mpmath.floor(mpmath.mpf(guess[i]) * 2**16) + 0.5) / 2**16
            away = (mpmath.ncdf(middle) - mpmath.mpf(p[i])) / mpmath.npdf(middle)  # Newton, from next to it
            assert abs(away) > 1e-12
            nearest = middle - mpmath.sign(away) / 2**17
            assert float(nearest) == quantiles()[i]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([2, 3, 16, 256, 65536]),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
)
def test_the_masses_of_all_levels_add_up_to_one(levels, mean, deviation):
    """And no level is impossible, whatever is predicted."""
    j = np.arange(-1, levels)
    found = np.diff(below(j, np.full(levels + 1, mean), np.full(levels + 1, deviation), levels))
    assert found.sum() == ONE
    assert found.min() >= 1


def test_masses_are_those_of_the_normal_distribution():
    """Against scipy, mixed with a share of 2^-10 that is uniform: within the step of the table."""
    j = np.arange(-1, 256)
    found = np.diff(below(j, np.full(257, 100.3), np.full(257, 7.7), 256)) / ONE
    cdf = stats.norm.cdf((j + 0.5 - 100.3) / 7.7)
    cdf[0], cdf[-1] = 0, 1
    meant = np.diff(cdf) * (1 - 2**-10) + 2**-10 / 256
    assert np.abs(found - meant).max() < 1 / 512
