"""Random numbers by name and place."""

import torch

from ddpm.seeds import SEGMENT, by_place, normal


def test_a_part_of_a_batch_has_the_numbers_of_the_whole():
    """Cut anywhere, also inside a segment; and each process draws what it needs, at most two segments more."""
    whole = by_place(torch.empty(21, 3, 2), 0, normal, 7, "eps", 5)
    for first, last in ((0, 1), (0, 21), (3, 4), (3, 9), (7, 17), (8, 16), (20, 21)):
        drawn = []

        def counted(rows, random, drawn=drawn):
            drawn.append(len(rows))
            return normal(rows, random)

        part = by_place(torch.empty(last - first, 3, 2), first, counted, 7, "eps", 5)
        assert torch.equal(part, whole[first:last])
        assert sum(drawn) < last - first + 2 * SEGMENT


def test_names_and_places_have_numbers_of_their_own():
    """No two rows of three batches are alike, and all together are standard normal."""
    batches = [
        by_place(torch.empty(64, 50), 0, normal, *names) for names in ((7, "eps", 5), (7, "eps", 6), (8, "eps", 5))
    ]
    rows = torch.cat(batches)
    assert len(rows.unique(dim=0)) == 192
    assert abs(float(rows.mean())) < 4 / rows.numel() ** 0.5
    assert abs(float(rows.std()) - 1) < 4 / (2 * rows.numel()) ** 0.5
    correlation = torch.corrcoef(rows)
    assert float((correlation - torch.eye(192)).abs().max()) < 6 / 50**0.5


def test_of_the_kind_that_is_asked_for():
    like = torch.empty(5, 2, dtype=torch.float64)
    drawn = by_place(like, 2, normal, "x")
    assert (drawn.dtype, drawn.shape) == (like.dtype, like.shape)
