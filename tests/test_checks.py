"""What is no image, step or label is refused at the door in one sentence; what is one passes untouched."""

import math

import numpy as np
import pytest
import torch

from ddpm.checks import check_images, check_labels, check_t
from ddpm.errors import UsageError

LEVELS = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16)
GREY = torch.full((2, 1, 4, 4), 0.25)


def _with(value):
    x = GREY.clone()
    x[1, 0, 2, 3] = value
    return x


@pytest.mark.parametrize("x", [GREY, GREY.double(), torch.ones(1, 2), _with(1 + 5e-7), -torch.ones(3, 3, 5, 7)])
def test_images(x):
    check_images(x)


@pytest.mark.parametrize("make", [lambda k: k / 127.5 - 1, lambda k: k / 255 * 2 - 1, lambda k: (2 * k - 255) / 255])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_are_on_256_levels_however_they_were_scaled(make, dtype):
    check_images(make(LEVELS.to(dtype)), levels=256)


@pytest.mark.parametrize("levels", [2, 17, 65536])
def test_other_levels(levels):
    k = torch.linspace(0, levels - 1, min(levels, 1000), dtype=torch.float64).round()
    check_images((2 * k / (levels - 1) - 1).float()[None], levels=levels)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (LEVELS.byte(), r"images are real numbers in \[-1, 1\], got torch.uint8: divide .* or use ddpm.images"),
        (LEVELS.long(), r"got torch.int64: divide"),
        (LEVELS > 3, r"got torch.bool: divide"),
        (LEVELS, r"images are real numbers in \[-1, 1\], got 2.0: divide"),
        (_with(-1.5), r"got -1.5: divide"),
        (_with(1 + 2e-6), r"got 1.00000"),
        (_with(math.nan), r"got nan"),
        (_with(math.inf), r"got inf"),
        (GREY.half(), r"float32 or float64, got torch.float16"),
        (GREY[0, 0, 0], r"batch \(batch, channels, height, width\), got the shape \(4,\)"),
        (GREY[:0], r"got the shape \(0, 1, 4, 4\)"),
        (np.zeros((1, 3, 4, 4), np.float32), r"must be a torch tensor .* got ndarray"),
        ("photo.png", r"got str 'photo.png'"),
        (None, r"got NoneType"),
    ],
)
def test_what_is_no_image(x, match):
    with pytest.raises(UsageError, match=match) as caught:
        check_images(x)
    assert "\n" not in str(caught.value)


def test_between_two_levels():
    """The first value that is off is named; 256 levels are not 17."""
    x = LEVELS / 127.5 - 1
    x[0, 0, 3, 4] += 1e-3
    with pytest.raises(UsageError, match=r"256 levels have the values 2k/255 - 1, k = 0..255, got -0.59"):
        check_images(x, levels=256)
    check_images(x)
    with pytest.raises(UsageError, match="17 levels"):
        check_images(LEVELS / 127.5 - 1, levels=17)
    with pytest.raises(UsageError, match="at least 2 levels, got 1"):
        check_images(GREY, levels=1)


@pytest.mark.parametrize("t", [1, 50, torch.tensor([1, 50]), torch.tensor([2, 3], dtype=torch.int32)])
def test_steps(t):
    check_t(t, 50)
    check_t(t, 50, batch=2)


@pytest.mark.parametrize(
    ("t", "match"),
    [
        (0, r"t must be in 1..50, got 0"),
        (51, "got 51"),
        (-1, "got -1"),
        (1.0, r"an int in 1..50, .* got float 1.0"),
        (True, "got bool True"),
        ("3", "got str '3'"),
        (None, "got NoneType"),
        (torch.tensor([1.0, 2.0]), r"whole numbers .* got torch.float32"),
        (torch.tensor([True]), "got torch.bool"),
        (torch.tensor([1, 0]), "got 0"),
        (torch.tensor([1, 51]), "got 51"),
        (torch.tensor(3), r"\(2,\), got the shape \(\)"),
        (torch.tensor([1, 2, 3]), r"\(2,\), got the shape \(3,\)"),
        (torch.tensor([[1, 2]]), r"got the shape \(1, 2\)"),
    ],
)
def test_what_is_no_step(t, match):
    with pytest.raises(UsageError, match=match):
        check_t(t, 50, batch=2)


@pytest.mark.parametrize("labels", [0, 9, -1, [0, 9], (3, -1), torch.tensor([1, 2]), torch.tensor(4)])
def test_labels(labels):
    check_labels(labels, 10)
    check_labels(labels, 10, batch=2)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (10, r"in 0..9 \(or -1 to say nothing\), got 10"),
        (-2, "got -2"),
        ([0, 10], "got 10"),
        (torch.tensor([0, 10]), "got 10"),
        (1.0, "an int in 0..9, got float 1.0"),
        ("cat", "got str 'cat'"),
        (True, "got bool True"),
        (None, "got NoneType"),
        ([1.5, 2], "got float 1.5"),
        (torch.tensor([0.5, 1.0]), "whole numbers"),
        (torch.tensor([[1, 2]]), "whole numbers"),
        ([1, 2, 3], "one for each of the 2 images, got 3"),
    ],
)
def test_what_is_no_label(labels, match):
    with pytest.raises(UsageError, match=match):
        check_labels(labels, 10, batch=2)


def test_a_network_without_classes_is_told_none():
    with pytest.raises(UsageError, match="trained without labels"):
        check_labels(0, 0)
