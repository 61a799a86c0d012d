"""Images as a value: what they hold, how they are indexed and written, and what is taken for images."""

import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.imageset import to_model
from ddpm.data.splits import Options
from ddpm.errors import CannotCreate, DataError, Mismatch, RunWarning, UsageError
from ddpm.figures.images import Images, image_set, images_of, one_image
from ddpm.figures.pictures import text_of

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 5, 3), dtype=np.uint8)
FIVE = torch.arange(5).reshape(5, 1, 1, 1).expand(5, 1, 4, 6) / 2 - 1
"""Five images of 5 levels: image i has the value i."""
LABELS = [0, 1, 0, -1, 1]
IMAGES = Images(
    FIVE,
    5,
    torch.tensor(LABELS),
    ("a", "b"),
    [f'{{"row": {i}}}' for i in range(10, 15)],
    tuple(range(10, 15)),
)


def _rows(images):
    return images.numpy()[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("which", "rows"),
    [
        (0, [0]),
        (-1, [4]),
        (np.int64(2), [2]),
        (np.uint8(2), [2]),
        (torch.tensor(2), [2]),
        (slice(None, None, 2), [0, 2, 4]),
        (slice(None, None, -2), [4, 2, 0]),
        (slice(1, -1), [1, 2, 3]),
        ([3, 0, -1], [3, 0, 4]),
        ((1, 1), [1, 1]),
        (range(2, 4), [2, 3]),
        ([], []),
        (np.array([4, 1]), [4, 1]),
        (np.arange(3)[::-1], [2, 1, 0]),
        (torch.tensor([4, -4]), [4, 1]),
        ([True, False, False, True, False], [0, 3]),
        (np.array([False] * 4 + [True]), [4]),
        (torch.tensor(LABELS) == 0, [0, 2]),
    ],
)
def test_an_index_is_a_number_a_slice_numbers_or_a_mask(which, rows):
    """All that belongs to an image comes along with it."""
    some = IMAGES[which]
    assert _rows(some) == rows
    assert some.labels is not None
    assert some.labels.tolist() == [LABELS[row] for row in rows]
    assert some.texts is not None
    assert some.numbers == tuple(10 + row for row in rows)
    assert list(some.texts) == [f'{{"row": {10 + row}}}' for row in rows]
    assert (some.levels, some.classes) == (5, ("a", "b"))
    assert Images(FIVE, 5)[which].numbers == tuple(rows)


def test_a_few_of_many_images_keep_their_labels():
    """A large label without a name is a number as long as there are as many images; a part of them does not name it anew."""
    many = torch.zeros(1500, 1, 2, 2)
    images = Images(many, 5, torch.arange(1500))
    for some in (images[-2:], images[[1498, 1499]], images[-2:][::1]):
        assert (some.labels.tolist(), some.classes) == ([1498, 1499], ())
    assert images[1400].labels.tolist() == [1400]
    last = image_set(images, "all").take(torch.tensor([1200]))
    assert (images_of(last).labels.tolist(), images_of(last).classes) == ([1200], ())


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("1", "no index '1'"),
        ([1.5], r"no index \[1.5\]"),
        (True, "no index True"),
        (np.zeros((5, 1), bool), "no index"),
        (torch.zeros(2, 2, dtype=torch.int64), "no index"),
        (slice("a"), "no index slice"),
        ([True, False], "each of the 5 images, not for 2"),
    ],
)
def test_what_is_no_index_is_refused(which, words):
    with pytest.raises(UsageError, match=words):
        IMAGES[which]


@pytest.mark.parametrize("which", [5, -6, [0, 5], torch.tensor([-6])])
def test_there_is_no_image_beyond_the_last(which):
    with pytest.raises(IndexError, match="among 5"):
        IMAGES[which]


def test_files_have_the_numbers_and_the_texts_of_their_images(tmp_path):
    """A part of a part too; of images that were not drawn here there is no text."""
    found = IMAGES[::2][[2, 0]].save(tmp_path / "some")
    assert [(path.name, text_of(path)) for path in found] == [
        ("000014.png", '{"row": 14}'),
        ("000010.png", '{"row": 10}'),
    ]
    assert [np.array(Image.open(path))[0, 0] for path in found] == [255, 0]
    with pytest.raises(CannotCreate, match=r"000010\.png"):
        IMAGES.save(tmp_path / "some")
    with pytest.raises(UsageError, match="same number, 11"):
        IMAGES[[0, 1, 1]].save(tmp_path / "twice")
    assert not (tmp_path / "twice").exists()
    plain = Images(FIVE, 5)
    assert [path.name for path in plain.save(tmp_path / "plain")] == [f"00000{i}.png" for i in range(5)]
    assert text_of(tmp_path / "plain" / "000000.png") is None
    assert [path.name for path in plain[3:].save(tmp_path / "end")] == ["000003.png", "000004.png"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tensor": FIVE[0]}, r"shape \(1, 4, 6\)"),
        ({"tensor": FIVE[:, :0]}, r"shape \(5, 0, 4, 6\)"),
        ({"tensor": FIVE.to(torch.uint8)}, "not torch.uint8"),
        ({"levels": 1}, "2..65536, not 1"),
        ({"levels": 65537}, "2..65536"),
        ({"levels": True}, "2..65536, not True"),
        ({"labels": torch.zeros(4, dtype=torch.int64)}, r"\(5,\), not \(4,\)"),
        ({"labels": torch.zeros(5)}, "whole numbers, not torch.float32"),
        ({"labels": torch.tensor([0, 0, 0, 0, -2])}, "label -2"),
        ({"labels": torch.arange(5), "classes": ("a", "b")}, "label 4, but 2 classes"),
        ({"classes": ("a", "b", "a")}, "two classes have the name 'a'"),
        ({"texts": ["{}"]}, "1 texts for 5 images"),
        ({"numbers": (1, 2)}, "2 numbers for 5 images"),
    ],
)
def test_images_that_cannot_be_are_refused_when_they_are_made(given, words):
    with pytest.raises(UsageError, match=words):
        Images(**{"tensor": FIVE, "levels": 5} | given)


def test_images_are_float32_on_the_cpu_without_a_gradient():
    made = Images(FIVE.double().requires_grad_() * 1, 5, torch.zeros(5, dtype=torch.int32))
    assert (made.tensor.dtype, made.tensor.requires_grad) == (torch.float32, False)
    assert made.labels is not None
    assert made.labels.dtype == torch.int64
    assert Images(FIVE.bfloat16(), 5).tensor.dtype == torch.float32


def test_a_grid_says_what_it_cannot_be(tmp_path):
    for columns in (0, -1):
        with pytest.raises(UsageError, match=f"at least 1 column, not {columns}"):
            IMAGES.grid(columns=columns)
    with pytest.raises(UsageError, match="no images"):
        IMAGES[[]].grid()
    assert IMAGES[[]]._repr_png_() is None
    for name in ("a.xyz", "a"):
        with pytest.raises(UsageError, match=r"ends in \.png"):
            IMAGES.grid(tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()
    IMAGES.grid(tmp_path / "new" / "deep" / "A.PNG", columns=2)
    with Image.open(tmp_path / "new" / "deep" / "A.PNG") as image:
        assert image.size == IMAGES.grid(columns=2).size


@pytest.mark.parametrize(("height", "width"), [*itertools.product((1, 2, 3, 4), (1, 3, 5)), (5, 1), (5, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_small_pictures_are_what_they_show(height, width, mode):
    """A row of 3 pixels is no channel."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, height, width, len(mode)), dtype=np.uint8)
    found = image_set([Image.fromarray(one.squeeze(2) if mode == "L" else one, mode) for one in pixels], "all")
    assert np.array_equal(found.tensor(), pixels.transpose(0, 3, 1, 2))


def test_arrays_are_refused_where_their_channels_could_be_on_two_axes():
    """A uint8 tensor has them on axis 1, as all tensors of PyTorch."""
    small = np.ascontiguousarray(PIXELS[:, :3])
    with pytest.raises(DataError, match=r"could be \(N, C, H, W\) and \(N, H, W, C\)"):
        image_set(small, "all")
    assert image_set(torch.from_numpy(small), "all").shape == (3, 5, 3)
    assert image_set(torch.from_numpy(PIXELS), "all").shape == (3, 8, 5)


def test_arrays_that_run_backwards_and_short_floats_are_taken():
    real = FIVE.numpy()
    for given in (real[::-1, :, ::-1], real[::-1].astype(np.float16), FIVE.flip(0).bfloat16(), FIVE.flip(0).half()):
        assert torch.equal(image_set(given, "all", levels=5).scaled(), FIVE.flip(0))
    back = PIXELS[:, ::-1]
    assert np.array_equal(images_of(image_set(back, "all")).numpy(), back)


def test_a_size_and_channels_are_those_of_all_data():
    """They were heeded of sources alone."""
    small, real = (
        Options(resolution=(4, 4), channels=1),
        torch.from_numpy(to_model(torch.from_numpy(PIXELS)).numpy()).movedim(3, 1),
    )
    pictures = [Image.fromarray(one) for one in PIXELS]
    given = [PIXELS, real, pictures, Images(real), torch.from_numpy(PIXELS).movedim(3, 1)]
    found = [image_set(data, "all", small) for data in given]
    assert all(one.shape == (1, 4, 4) for one in found)
    assert all(torch.equal(one.tensor(), found[0].tensor()) for one in found)


def test_pictures_are_brought_to_the_levels_of_a_model():
    """As one picture is by `one_image`, and as a file is."""
    grey = [Image.fromarray(one[:, :, 0]) for one in PIXELS]
    found = image_set(grey, "all", levels=17)
    assert found.levels == 17
    assert torch.equal(found.scaled(), torch.cat([one_image(one, (1, 8, 5), 17) for one in grey]))
    digits = Images(FIVE, 5)
    assert torch.equal(image_set(digits.pil(), "all", levels=5).scaled(), FIVE)


KINDS = ["(H, W, C)", "(C, H, W)", "(1, H, W, C)", "(1, C, H, W)"]


@pytest.mark.parametrize("of", ["bytes", "real", "byte tensor", "tensor"])
@pytest.mark.parametrize(
    ("kind", "shape"), [("(H, W)", (1, 4, 6)), *itertools.product(KINDS, [(1, 4, 6), (3, 4, 3), (3, 8, 5)])]
)
def test_one_image_is_taken_in_every_shape(kind, of, shape):
    """The wanted shape says where the channels are."""
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
    values = x if "byte" in of else to_model(x)
    one = values.movedim(0, 2) if "H, W, C" in kind else values[0] if kind == "(H, W)" else values
    one = one[None] if kind.startswith("(1") else one
    assert torch.equal(one_image(one if "tensor" in of else one.numpy(), shape, 256), to_model(x)[None])


def test_one_image_of_another_shape_is_refused():
    with pytest.raises(Mismatch, match=r"array of the shape \(9, 6\)"):
        one_image(np.zeros((9, 6), np.uint8), (1, 4, 6), 256)
    with pytest.raises(UsageError, match="one image is needed, not 2"):
        one_image(torch.zeros(2, 1, 4, 6), (1, 4, 6), 256)


UNIT = np.full((8, 8, 3), 0.5)
UNIT[0], UNIT[1] = 0, 1
"""A picture of 0..1."""


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
def test_numbers_of_0_to_1_are_not_taken_for_those_of_a_model(of):
    """They were read as a pale picture, without a word."""
    for levels in (256, 1024, 8):
        with pytest.raises(UsageError, match=f"{levels} levels have the values 2k/{levels - 1} - 1") as refused:
            one_image(of(UNIT), (3, 8, 8), levels)
        assert "of numbers in 0..1 take 2 x - 1" in refused.value.hints[0]
    with pytest.raises(UsageError, match="got nan"):
        one_image(of(UNIT * np.nan), (3, 8, 8), 256)
    bytes_of_it = np.array([0, 128, 255], np.uint8)[(2 * UNIT).astype(int)]
    real = bytes_of_it / 127.5 - 1
    for levels in (256, 17):
        found = one_image(of(real), (3, 8, 8), levels)
        assert torch.equal(found, one_image(Image.fromarray(bytes_of_it), (3, 8, 8), levels))
        assert torch.equal(found, one_image(found, (3, 8, 8), levels))
    sample = 0.9 * (2 * UNIT - 1)
    assert torch.equal(one_image(of(sample), (3, 8, 8), 3), one_image(of(2 * UNIT - 1), (3, 8, 8), 3))


def test_where_bytes_are_wanted_images_are_what_their_file_is(tmp_path):
    """So `colour` and `super_resolve` take what `sample` gave; a model of other levels refuses them."""
    colours = Images(FIVE.repeat(1, 3, 1, 1) * torch.tensor([1, 0.5, 0]).reshape(1, 3, 1, 1), 5)
    for number, (images, shape) in enumerate([(IMAGES, (1, 4, 6)), (colours, (3, 4, 6)), (colours, (1, 4, 6))]):
        for row in range(5):
            (path,) = images[row].save(tmp_path / str(number))
            assert torch.equal(one_image(images[row], shape, 256), one_image(path, shape, 256))
    with pytest.raises(Mismatch, match="17 levels"):
        one_image(IMAGES[0], (1, 4, 6), 17)
    with pytest.warns(RunWarning, match="6x4 pixels, not 7x4.*scaled and cut"):
        assert one_image(IMAGES[0], (1, 4, 7), 256).shape == (1, 1, 4, 7)
