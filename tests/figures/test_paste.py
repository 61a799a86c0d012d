"""Images written back into the photograph: what is taken for one, and that colours leave its brightness alone."""

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.imageset import to_model
from ddpm.errors import Mismatch, UsageError
from ddpm.figures.images import Images
from ddpm.figures.paste import coloured

RANDOM = np.random.default_rng(0)
DRAWN = torch.from_numpy(RANDOM.integers(0, 256, (2, 3, 6, 6), dtype=np.uint8))
IMAGES = Images(to_model(DRAWN))
PHOTO = RANDOM.integers(0, 256, (6, 6, 3), dtype=np.uint8)
HOLE = np.zeros((6, 6), bool)
HOLE[1:3, 2:5] = True


@pytest.mark.parametrize(
    "given",
    [
        PHOTO,
        PHOTO.transpose(2, 0, 1),
        PHOTO / 127.5 - 1,
        torch.from_numpy(PHOTO),
        torch.from_numpy(PHOTO).movedim(2, 0)[None],
        Images(to_model(torch.from_numpy(PHOTO).movedim(2, 0)[None])),
        [Image.fromarray(PHOTO)],
    ],
)
def test_a_photograph_is_given_as_to_the_edit(given):
    """An array was an AttributeError."""
    for what in ("all", "colour"):
        hole = HOLE if what == "all" else None
        wanted = IMAGES.paste(Image.fromarray(PHOTO), hole, what=what)
        found = IMAGES.paste(given, hole, what=what)
        assert [np.array_equal(a, b) for a, b in zip(found, wanted, strict=True)] == [True, True]


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
def test_what_was_coloured_is_grey(of):
    grey = PHOTO[..., 0].copy()
    found, wanted = IMAGES.paste(of(grey), what="colour"), IMAGES.paste(Image.fromarray(grey), what="colour")
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_what_is_no_photograph_is_refused():
    with pytest.raises(UsageError, match="no images: "):
        IMAGES.paste([])
    with pytest.raises(UsageError, match="one image is needed, not 2"):
        IMAGES.paste(IMAGES)
    with pytest.raises(UsageError, match="256 levels have the values"):
        IMAGES.paste(PHOTO / 255)
    with pytest.raises(Mismatch, match="an array of the shape"):
        IMAGES.paste(np.zeros((9, 6, 3), np.uint8))


@pytest.mark.parametrize("grey", [0, 1, 40, 128, 250, 255])
def test_the_brightness_of_the_photograph_stays(grey):
    """Where the whole colour does not fit it is paler: black stays black, white stays white. It was off by up to 44."""
    every = np.array([0, 64, 128, 255], np.uint8)
    colours = np.stack(np.meshgrid(every, every, every), -1).reshape(8, 8, 3)
    photo = Image.new("L", (8, 8), grey)
    found = coloured(photo, Image.fromarray(colours), None)
    assert np.abs(np.asarray(found.convert("L")).astype(int) - grey).max() <= 1
    spread = np.ptp(np.asarray(found).astype(int), axis=2)
    assert (spread.max() > 0) == (0 < grey < 255)
    tones = np.asarray(Image.fromarray(colours).convert("L"))
    same = [(row, column) for row, column in zip(*np.nonzero(tones == grey), strict=True)]
    for place in same:
        assert np.abs(np.asarray(found)[place].astype(int) - colours[place]).max() <= 1


def test_only_what_the_model_saw_has_colours():
    found = np.asarray(coloured(Image.new("L", (12, 6), 99), Image.fromarray(PHOTO), None))
    assert (found[:, :3] == 99).all()
    assert (found[:, 9:] == 99).all()
    assert np.ptp(found[:, 3:9], axis=2).max() > 0
