"""Dropout as a function of key, layer and place: of 16 bits a value, in any batch, unbiased."""

import pytest
import torch

from ddpm.models.dropout import CHANCES, Dropout, chances, kept, place


def _where(*names):
    return torch.tensor(names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 2, 2), (5,)])
def test_a_part_of_a_batch_has_the_masks_of_the_whole(dtype, shape):
    """Cut anywhere, also where an image has no multiple of four values."""
    whole = kept(torch.empty(21, *shape, dtype=dtype), _where(7, 2, 0), 20_000)
    assert (whole.dtype, whole.shape) == (dtype, (21, *shape))
    assert set(whole.unique().tolist()) == {0, 1}
    for first, last in ((0, 1), (3, 9), (7, 17), (20, 21)):
        part = kept(torch.empty(last - first, *shape, dtype=dtype), _where(7, 2, first), 20_000)
        assert torch.equal(part, whole[first:last])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_values_are_dropped_as_often_as_asked(p):
    """Each of the four values that come out of one draw, within 5 standard errors."""
    mask = kept(torch.empty(64, 2**14), _where(1, 2, 0), chances(p)).view(-1, 4)
    assert ((mask.mean(0) - (1 - p)).abs() < 5 * (p * (1 - p) / len(mask)) ** 0.5).all()
    assert (torch.corrcoef(mask.T) - torch.eye(4)).abs().max() < 5 / len(mask) ** 0.5


def test_steps_layers_and_places_have_masks_of_their_own():
    rows = [
        kept(torch.empty(16, 400), _where(*names), CHANCES // 2)
        for names in ((1, 0, 0), (1, 1, 0), (2, 0, 0), (1, 0, 16))
    ]
    assert (torch.corrcoef(torch.cat(rows)) - torch.eye(64)).abs().max() < 6 / 400**0.5


@pytest.mark.parametrize(("p", "cases"), [(0.1, 6554), (0.5, 32768), (1e-6, 0), (1 - 1e-9, 65535)])
def test_a_probability_is_a_multiple_of_two_to_the_minus_sixteen(p, cases):
    """What stays is scaled by that probability, not by the one that was asked for: the mean is right, and so is the gradient's."""
    layer = Dropout(p).train()
    place(layer, 5, 0)
    x = torch.ones(9, 11, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    scale = torch.tensor(CHANCES / (CHANCES - cases), dtype=torch.float32)
    assert chances(p) == cases
    assert ((y == 0) | (y == scale)).all()
    assert torch.equal(x.grad, y.detach())


def test_the_scale_of_sixteen_bits_is_not_rounded():
    """In bfloat16 1 / 0.9 would be 1.1094: each product is rounded instead, and errs in both directions."""
    layer = Dropout(0.1).train()
    place(layer, 5, 0)
    x = torch.linspace(1, 2, 2**16).view(64, -1).bfloat16()
    y = layer(x)
    stays = y != 0
    ratio = (y[stays].double().sum() / x[stays].double().sum()) * (CHANCES - 6554) / CHANCES
    assert float(ratio) == pytest.approx(1, abs=2e-4)
