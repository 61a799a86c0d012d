"""Nested cells: their noise knows nothing of the pixels, their halves add up, and the denoiser's knowledge is counted once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ddpm.codec.cells import Cells, cavity
from ddpm.codec.randomness import whole
from ddpm.codec.tables import ONE


def cells_of(x, log_width, offset, levels=256):
    return Cells((x + offset) >> log_width, log_width, offset, levels)


@pytest.mark.parametrize("log_width", [1, 3, 6])
def test_the_noise_is_uniform_and_knows_nothing_of_the_pixels(log_width):
    """Each of 2^l values is as frequent for dark pixels as for light ones, and its variance is (4^l - 1) / 12."""
    many = 2**16
    x = np.repeat(np.array([3, 77, 200, 254]), many // 4)
    cells = cells_of(x, log_width, whole(1 << 32, 0, many, 2**log_width))
    noise = cells.centre - x
    table = np.stack([np.unique(noise[x == value], return_counts=True)[1] for value in np.unique(x)])
    assert table.shape == (4, 2**log_width)
    assert stats.chisquare(table.sum(0)).pvalue > 1e-4
    assert stats.chi2_contingency(table).pvalue > 1e-4
    assert abs(noise.mean()) < 5 * cells.variance**0.5 / many**0.5
    assert abs(noise.var() / cells.variance - 1) < 0.03


def test_the_variance_is_that_of_so_many_whole_numbers():
    for log_width in range(1, 9):
        values = np.arange(2**log_width)
        assert cells_of(np.zeros(1, dtype=np.int64), log_width, np.zeros(1, dtype=np.int64)).variance == values.var()


def test_a_cavity_takes_out_exactly_the_cell():
    """Bayes' rule the other way: with the observation of the cell put back, the estimate is what it was."""
    rng = np.random.default_rng(1)
    cells = cells_of(rng.integers(0, 256, 500), 5, rng.integers(0, 32, 500))
    deviation = rng.uniform(0.3, 0.9, 500) * cells.variance**0.5
    mean = rng.uniform(0, 255, 500)
    m_c, s_c = cavity(mean, deviation, cells)
    precision = 1 / s_c**2 + 1 / cells.variance
    np.testing.assert_allclose((m_c / s_c**2 + cells.centre / cells.variance) / precision, mean, rtol=1e-10)
    np.testing.assert_allclose(precision**-0.5, deviation, rtol=1e-10)


def test_a_cavity_where_the_denoiser_knows_no_more_than_the_cell():
    """Its variance is kept below the cell's: what is left is wide, and no infinity."""
    cells = cells_of(np.array([100]), 3, np.array([0]))
    m_c, s_c = cavity(np.array([90.0]), np.array([50.0]), cells)
    assert np.isfinite(m_c).all()
    assert 40 * cells.variance < s_c[0] ** 2 < 60 * cells.variance


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([2, 3, 16, 17, 256, 65536]),
    st.integers(0, 7),
    st.floats(-50, 70000),
    st.floats(0.05, 3e4),
    st.data(),
)
def test_masses_of_halves_add_up(levels, width, mean, deviation, data):
    """From all levels down to one: a cell's mass is that of its halves; what can be has some, and what cannot has none."""
    x = np.array([data.draw(st.integers(0, levels - 1))])
    offset = np.array([data.draw(st.integers(0, 2**width - 1))])
    m, s = np.array([mean]), np.array([deviation])
    top = (levels - 1 + 2**width - 1).bit_length()
    cells = Cells(np.zeros(1, dtype=np.int64), top, offset, levels)
    upper, mass = cells.halves(m, s)
    assert mass.tolist() == [ONE]
    while cells.log_width > 0:
        upper, both = cells.halves(m, s)
        bit = ((x + offset) >> (cells.log_width - 1)) & 1
        child = upper if bit else both - upper
        assert 0 < child <= both
        for half, share in ((0, both - upper), (1, upper)):
            part = cells.split(np.array([half]))
            assert (part.last < part.first) == (share == 0)
        cells = cells.split(bit)
        assert cells.first <= x <= cells.last
        if cells.log_width:
            assert cells.halves(m, s)[1] == child
    assert cells.first == cells.last == x


def test_the_mean_within_a_cell_is_that_of_a_normal_distribution_cut_at_its_ends():
    """By numerical integration; the ends of the levels are no ends, and what lies beyond is taken for them."""
    rng = np.random.default_rng(3)
    offset = rng.integers(0, 16, 400)
    cells = Cells((rng.integers(0, 256, 400) + offset) >> 4, 4, offset, 256)
    mean, deviation = cells.centre + rng.normal(0, 12, 400), rng.uniform(0.5, 30, 400)
    found = cells.expected(mean, deviation)
    for i in range(400):
        low = -400 if cells.first[i] == 0 else cells.first[i] - 0.5
        high = 656 if cells.last[i] == 255 else cells.last[i] + 0.5
        x = np.linspace(low, high, 20_001)
        density = np.exp(-(((x - mean[i]) / deviation[i]) ** 2) / 2)
        wanted = (x * density).sum() / density.sum() if density.sum() > 1e-4 else mean[i]
        assert found[i] == pytest.approx(np.clip(wanted, cells.first[i], cells.last[i]), abs=0.05)
    far = Cells(np.array([3]), 4, np.array([0]), 256).expected(np.array([500.0]), np.array([1.0]))
    assert far[0] == 63
