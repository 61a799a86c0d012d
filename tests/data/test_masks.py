"""Masks of every kind and size, and where in a photograph they lie."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from ddpm.data.decoding.picture import fit, frame
from ddpm.data.masks import mask_of, read_mask
from ddpm.errors import DataError, Mismatch

HOLE = np.zeros((8, 12), bool)
HOLE[2:5, 3:7] = True
RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (*HOLE.shape, 3), dtype=np.uint8)
BYTES = (255 * HOLE).astype(np.uint8)


def _layer(colours, alpha):
    return Image.fromarray(np.dstack([colours, np.where(alpha, 255, 0)]).astype(np.uint8))


def _palette(*colours):
    image = Image.fromarray(HOLE.astype(np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


WHITE = np.full_like(PHOTO, 255)
MASKS = {
    "bilevel": (lambda: Image.fromarray(HOLE), ""),
    "grey": (lambda: Image.fromarray(BYTES), ""),
    "half white": (lambda: Image.fromarray(np.where(HOLE, 128, 127).astype(np.uint8)), ""),
    "0 and 1": (lambda: Image.fromarray(HOLE.astype(np.uint8)), "0 and 1"),
    "0 and 1 in colour": (lambda: Image.fromarray(np.dstack([HOLE] * 3).astype(np.uint8)), "0 and 1"),
    "0 and 1 of 16 bits": (lambda: Image.fromarray(HOLE.astype(np.uint16)), "0 and 1"),
    "16 bits": (lambda: Image.fromarray(HOLE.astype(np.uint16) * 65535), ""),
    "bytes in 16 bits": (lambda: Image.fromarray(BYTES.astype(np.uint16)), ""),
    "32 bits": (lambda: Image.fromarray(HOLE.astype(np.int32)), "0 and 1"),
    "real numbers": (lambda: Image.fromarray(HOLE.astype(np.float32)), ""),
    "palette": (lambda: _palette((0, 0, 0), (255, 255, 255)), ""),
    "colour": (lambda: Image.fromarray(np.dstack([BYTES] * 3)), ""),
    "opaque layer": (lambda: _layer(np.dstack([BYTES] * 3), np.ones_like(HOLE)), ""),
    "erased from a photograph": (lambda: _layer(PHOTO, ~HOLE), "transparent in parts"),
    "erased from black": (lambda: _layer(0 * PHOTO, ~HOLE), "transparent in parts"),
    "white strokes": (lambda: _layer(WHITE, HOLE), "white strokes"),
}


@pytest.mark.parametrize("name", MASKS)
def test_every_kind_of_mask_means_the_same(name, tmp_path):
    make, note = MASKS[name]
    found = mask_of(make())
    assert (found.drawn == HOLE).all()
    assert [note in line for line in found.notes] == [True] * bool(note)
    path = tmp_path / ("a.tif" if name in ("real numbers", "32 bits") else "a.png")
    make().save(path)
    assert (read_mask(path).drawn == HOLE).all()


@pytest.mark.parametrize("given", [HOLE, BYTES, HOLE[None], HOLE[None, None], HOLE[..., None], 7.0 * HOLE])
def test_arrays_are_drawn_where_they_are_not_zero(given):
    assert (mask_of(given).drawn == HOLE).all()


def test_what_is_no_mask():
    with pytest.raises(Mismatch, match=r"\(8, 12, 3\)"):
        mask_of(PHOTO)
    with pytest.raises(DataError, match="values -1"):
        mask_of(Image.fromarray(np.full((2, 2), -1, np.int32)))
    with pytest.raises(DataError, match="nan"):
        mask_of(Image.fromarray(np.full((2, 2), np.nan, np.float32)))


def test_a_mask_turns_with_its_photograph():
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    Image.fromarray(BYTES).save(file, "PNG", exif=exif)
    assert (mask_of(Image.open(file)).drawn == np.rot90(HOLE, -1)).all()


def test_all_that_the_white_touches_is_drawn():
    """Of the middle 8 x 8 of 12 x 8 pixels a model of 4 x 4 sees squares of 2 x 2."""
    seen = mask_of(HOLE).seen(4, 4)[0, 0].numpy()
    squares = HOLE[:, 2:10].reshape(4, 2, 4, 2).any((1, 3))
    assert (seen == squares).all()
    speck = np.zeros((4000, 4000), bool)
    speck[1700, 900] = True
    assert np.argwhere(mask_of(speck).seen(4, 4)[0, 0].numpy()).tolist() == [[1, 0]]


def test_where_a_mask_lies_in_a_photograph():
    """Of its shape it covers the whole, of the model's shape the part that the model sees, else both are cut alike."""
    small, photo = mask_of(HOLE), (24, 16)
    assert (small.over(photo, 4, 4) == HOLE.repeat(2, 0).repeat(2, 1)).all()
    assert small.said(photo, 4, 4) == ()
    square = mask_of(np.eye(4, dtype=bool))
    assert (square.over(photo, 4, 4)[:, 4:20] == np.eye(4, dtype=bool).repeat(4, 0).repeat(4, 1)).all()
    assert not square.over(photo, 4, 4)[:, :4].any()
    assert square.said(photo, 4, 4) == ()
    tall = mask_of(np.ones((9, 4), bool))
    assert tall.over(photo, 4, 4).sum() == 16 * 16
    assert "the mask is 4x9 pixels, the image 24x16, of another shape" in tall.said(photo, 4, 4)[0]


@pytest.mark.parametrize(
    ("size", "wanted"), [((36, 20), (8, 8)), ((20, 37), (8, 6)), ((7, 5), (16, 9)), ((5, 4), (4, 5))]
)
def test_the_frame_is_what_is_fitted(size, wanted):
    picture = Image.fromarray(RANDOM.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    same = ImageOps.fit(picture, wanted[::-1], Image.Resampling.LANCZOS)
    assert (np.asarray(fit(picture, *wanted)) == np.asarray(same)).all()
    left, top, right, bottom = frame(size, *wanted)
    assert (right - left) / (bottom - top) == pytest.approx(wanted[1] / wanted[0])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.where(HOLE, np.nan, 0), "nan says neither"),
        (torch.from_numpy(np.where(HOLE, 1, np.nan)), "nan says neither"),
        (np.where(HOLE, np.inf, 0), "inf says neither"),
        (np.where(HOLE, "1", "0"), "not <U1"),
    ],
)
def test_a_mask_of_what_is_no_number_is_refused(values, words):
    """NaN is not 0: it was drawn."""
    with pytest.raises(DataError, match=words):
        mask_of(values)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float64])
def test_a_tensor_of_any_kind_is_a_mask(kind):
    assert (mask_of(torch.from_numpy(HOLE).to(kind)).drawn == HOLE).all()
