"""Draws of t."""

import pytest
import torch

from ddpm.evaluation.proposal import broad, systematic

F64 = torch.float64


@pytest.mark.parametrize(("images", "draws"), [(1, 1), (7, 3), (40, 4)])
def test_t_is_spread_evenly(images, draws):
    """Every image gets one t in each part of q, and every t its share of all images, less or more by fewer than one."""
    q = broad(50)
    assert float(q.sum()) == pytest.approx(1)
    t = systematic(q, images, draws, torch.Generator().manual_seed(3))
    counts = torch.bincount(t.flatten(), minlength=51)
    assert ((counts - images * draws * q).abs() < 1 + 1e-9).all()
    place = q.cumsum(0)
    for j in range(draws):
        assert (place[t[:, j]] >= j / draws).all()
        assert (place[t[:, j] - 1] <= (j + 1) / draws).all()


@pytest.mark.parametrize("q", [[0.0, 0.5, 0.3, 0.2], [0.0, 1.0], [0.0, 1e-3, 0.999]])
def test_each_image_draws_from_q(q):
    """Over the shifts, image 0 sees t as often as q says (five standard deviations)."""
    q, random = torch.tensor(q, dtype=F64), torch.Generator().manual_seed(0)
    t = torch.cat([systematic(q, 5, 2, random)[0] for _ in range(1000)])
    counts = torch.bincount(t, minlength=len(q)).double() / len(t)
    assert ((counts - q).abs() < 5 * (q / len(t)).sqrt() + 1e-12).all()
