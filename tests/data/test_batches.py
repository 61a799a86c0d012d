"""Batches are functions of the step: every image equally often, flips only where asked for."""

import pytest
import torch

from ddpm.data.batches import Batches, as_is, horizontal_flip
from ddpm.data.imageset import ImageSet
from ddpm.seeds import generator


def _numbered(count):
    """Image i has the value i everywhere, but for a 0 at the left."""
    images = torch.arange(count, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(count, 1, 2, 3).clone()
    images[..., 0] = 0
    return ImageSet("numbers", images)


def _values(batch):
    return ((batch[:, 0, 0, 1] + 1) * 127.5).round().int().tolist()


@pytest.mark.parametrize("batch_size", [1, 3, 7, 20])
def test_every_image_once_an_epoch(batch_size):
    batches = Batches(_numbered(7), batch_size, seed=3)
    seen = [value for step in range(42) for value in _values(batches[step])]
    for epoch in range(len(seen) // 7):
        assert sorted(seen[7 * epoch : 7 * epoch + 7]) == list(range(7))
    assert seen[:7] != seen[7:14]


def test_a_batch_depends_on_seed_and_step_alone():
    batches = Batches(_numbered(50), 8, 3, horizontal_flip)
    in_order = [batches[step] for step in range(9)]
    assert all(torch.equal(Batches(_numbered(50), 8, 3, horizontal_flip)[s], in_order[s]) for s in (8, 2, 5))
    assert not torch.equal(Batches(_numbered(50), 8, 4, horizontal_flip)[0], in_order[0])


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Batches(_numbered(50), 8, 3, horizontal_flip)[4]
    assert torch.equal(torch.rand(3), expected)


def test_about_half_are_flipped_and_nothing_else_changes():
    images = _numbered(200)
    plain, flipped = Batches(images, 200, 0, as_is)[0], Batches(images, 200, 0, horizontal_flip)[0]
    mirrored = (flipped == plain.flip(-1)).flatten(1).all(1)
    unchanged = (flipped == plain).flatten(1).all(1)
    assert (mirrored | unchanged).all()
    assert 70 < int(mirrored.sum()) < 130
    assert torch.equal(as_is(plain, torch.zeros(200)), plain)


def test_keys_differ_by_every_name():
    numbers = {generator(*names).initial_seed() for names in [(0, "a"), (1, "a"), (0, "b"), (0, "a", 1), ("0", "a")]}
    assert len(numbers) == 5
