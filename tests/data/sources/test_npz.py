"""What arrays in files say beside their pixels, and what is refused."""

import numpy as np
import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import fault_of, matched_labels
from ddpm.data.open import open_source
from ddpm.data.sources.npz import from_array
from ddpm.data.splits import Options
from ddpm.errors import DataError
from ddpm.figures.images import image_set

PIXELS = np.arange(3 * 8 * 4, dtype=np.uint8).reshape(3, 8, 4)


def _read(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return open_source(str(tmp_path / "a.npz"), "all")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"levels": "many"}, "\"levels\".* whole number, 2..65536, not 'many'"),
        ({"levels": [256, 256]}, '"levels".*an array'),
        ({"levels": 1}, '"levels".*not 1'),
        ({"levels": 255.5}, '"levels".*not 255.5'),
        ({"levels": np.nan}, '"levels".*not nan'),
        ({"levels": 65537}, '"levels".*not 65537'),
        ({"classes": "cat"}, '"classes".*a list of texts'),
        ({"classes": [1, 2]}, '"classes".*a list of texts'),
        ({"classes": [["a", "b"]]}, '"classes".*a list of texts'),
        ({"classes": ["a", "b", "a"]}, "two classes have the name 'a'"),
        ({"classes": ["a"], "labels": [0, 1, 0]}, r"label 1, but 1 classes have names \(0..0\)"),
        ({"labels": [0, -2, 0]}, "label -2"),
        ({"labels": [0, 2**20, 0], "classes": ["a"]}, "label 1048576"),
        ({"labels": [0, 0.5, 1]}, "whole numbers, not 0.5"),
        ({"labels": [0, np.nan, 1]}, "whole numbers, not nan"),
        ({"labels": [0, -np.inf, 1]}, "whole numbers, not -inf"),
        ({"labels": [1j, 0, 0]}, "whole numbers or texts, not complex128"),
        ({"labels": ["a", "", "c"]}, "a label without a name"),
        ({"labels": ["a", "b", "c"], "classes": ["c", "a"]}, "a label 'b' that is not among its classes"),
        ({"labels": [b"a", b"\xff", b"c"]}, "no text"),
        ({"labels": np.eye(3)}, r"\(3, 3\) labels for 3 images"),
        ({"labels": [0, 1]}, r"\(2,\) labels for 3 images"),
    ],
)
def test_what_a_file_says_wrongly_is_refused(tmp_path, more, words):
    with pytest.raises(DataError, match=words) as refused:
        _read(tmp_path, images=PIXELS, **more)
    assert "a.npz" in str(refused.value)


def test_what_a_file_says(tmp_path):
    found = _read(tmp_path, images=PIXELS, levels=256.0, labels=[1.0, -1.0, 0.0], classes=["a", "b"])
    assert (found.levels, found.labels.tolist(), found.classes) == (256, [1, -1, 0], ("a", "b"))
    assert _read(tmp_path, images=PIXELS, classes=[]).classes == ()


@pytest.mark.parametrize("shape", [(5, 3, 8, 3), (5, 1, 8, 3), (5, 4, 4, 1), (5, 1, 2, 1)])
def test_channels_that_could_be_on_two_axes(tmp_path, shape):
    """A file and an array are refused unless it is said; the data of runs that said it not yet are (N, C, H, W)."""
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(_read(tmp_path, images=pixels, levels=256).tensor(), pixels)
    assert np.array_equal(_read(tmp_path, images=pixels, layout="NHWC").tensor(), pixels.transpose(0, 3, 1, 2))
    with pytest.raises(DataError, match=r"a\.npz.* could be \(N, C, H, W\) and \(N, H, W, C\)") as refused:
        _read(tmp_path, images=pixels)
    assert "data.layout=NCHW" in str(refused.value.hints)
    for layout, tensor in (("NCHW", pixels), ("NHWC", pixels.transpose(0, 3, 1, 2))):
        assert np.array_equal(open_source(str(tmp_path / "a.npz"), "all", Options(layout=layout)).tensor(), tensor)
    with pytest.raises(DataError, match=r"could be \(N, C, H, W\) and \(N, H, W, C\)"):
        from_array("a", pixels)
    assert np.array_equal(from_array("a", pixels, layout="NCHW").tensor(), pixels)
    assert np.array_equal(from_array("a", pixels, layout="NHWC").tensor(), pixels.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((32, 32, 3), r"could be \(N, H, W\) and one image \(H, W, C\)"),
        ((6, 32, 32, 8), r"could be \(N, C, H, W\) and \(N, H, W, C\)"),
    ],
)
def test_other_shapes_that_say_two_things(tmp_path, shape, words):
    """One colour picture was read as 32 grey ones, and 8 channels behind as 32 channels."""
    pixels = np.zeros(shape, np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(DataError, match=words):
        open_source(str(tmp_path / "a.npy"), "all")
    layout = "NHW" if len(shape) == 3 else "NHWC"
    found = open_source(str(tmp_path / "a.npy"), "all", Options(layout=layout))
    assert found.shape == ((1, 32, 3) if len(shape) == 3 else (8, 32, 32))
    with pytest.raises(DataError, match="which is not N"):
        open_source(str(tmp_path / "a.npy"), "all", Options(layout="NHWC" if layout == "NHW" else "NHW"))


@pytest.mark.parametrize(
    ("more", "options", "words"),
    [
        ({"layout": "HWC"}, {}, "\"layout\".*one of NHW, NCHW, NHWC, not 'HWC'"),
        ({"layout": ["NHW", "NHW"]}, {}, '"layout".*an array'),
        ({"layout": "NHW"}, {"layout": "NCHW"}, 'says "layout" NHW, not NCHW'),
        ({"levels": 1024}, {}, "uint8, which has at most 256 levels, not 1024"),
    ],
)
def test_a_file_that_contradicts_itself_or_the_caller_is_refused(tmp_path, more, options, words):
    np.savez(tmp_path / "a.npz", images=PIXELS, **more)
    with pytest.raises(DataError, match=words):
        open_source(str(tmp_path / "a.npz"), "all", Options(**options))


def test_the_word_of_a_file_counts_for_more_than_that_of_the_caller(tmp_path):
    """Whoever compares with a model then sees the difference; bytes never have 1,024 levels."""
    np.savez(tmp_path / "a.npz", images=PIXELS.astype(np.uint16), levels=300)
    np.save(tmp_path / "b.npy", PIXELS)
    assert open_source(str(tmp_path / "a.npz"), "all", Options(levels=1024)).levels == 300
    assert open_source(str(tmp_path / "b.npy"), "all", Options(levels=1024)).levels == 256
    assert open_source(str(tmp_path / "b.npy"), "all", Options(levels=200)).levels == 200


def test_arrays_that_run_backwards_are_read_as_they_stand():
    assert np.array_equal(from_array("a", PIXELS[::-1, :, ::-1]).tensor()[:, 0], PIXELS[::-1, :, ::-1])
    assert from_array("a", PIXELS[:1, :1, :1, None]).shape == (1, 1, 1)


def test_a_label_without_a_name_is_said_to_be_one():
    """It was an IndexError."""
    images = ImageSet("few", torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 256, torch.tensor([0, 2]), classes=("a", "b"))
    with pytest.raises(DataError, match="label 2, but 2 classes have names"):
        matched_labels(images, ("a", "b"))
    assert fault_of(torch.tensor([-1, 0, 1]), ("a", "b")) is None


@pytest.mark.parametrize("shape", [(3, 32, 32), (4, 8, 6)])
def test_one_colour_picture_with_its_channels_first_is_not_read_as_grey_ones(tmp_path, shape):
    """Labels, a layout, or another number of rows say what it is; the hints do, too."""
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    np.save(tmp_path / "b.npy", pixels)
    for call in (
        lambda: from_array("a", pixels),
        lambda: open_source(str(tmp_path / "b.npy"), "all"),
        lambda: image_set(torch.from_numpy(pixels), "all"),
        lambda: image_set(pixels, "all"),
    ):
        with pytest.raises(DataError, match=r"could be \(N, H, W\) and one image \(C, H, W\)") as refused:
            call()
        assert "data.layout=NHW" in refused.value.hints[0]
        assert "array[None] is one image, array[:, None] are grey images" in refused.value.hints[1]
    assert open_source(str(tmp_path / "b.npy"), "all", Options(layout="NHW")).shape == (1, *shape[1:])
    assert image_set(pixels[None], "all").shape == shape
    assert image_set(pixels[:, None], "all").shape == (1, *shape[1:])
    assert len(_read(tmp_path, images=pixels, labels=np.arange(len(pixels)))) == len(pixels)
    for others in (pixels[:2], pixels[:1], np.repeat(pixels, 2, 0)):
        assert len(from_array("a", others)) == len(others)


def test_either_order_of_bytes_is_read():
    values = np.array([0, 1, 256, 65535], np.uint16).reshape(1, 1, 2, 2)
    for order in "<>":
        assert np.array_equal(from_array("a", values.astype(f"{order}u2"), layout="NCHW").tensor(), values)


@pytest.mark.parametrize(
    ("kind", "most", "way"),
    [(bool, 1, "uint8"), (np.int64, 255, "uint8"), (np.int32, 256, "uint16"), (np.uint32, 65535, "uint16")],
)
def test_of_whole_numbers_of_another_type_the_way_is_named(kind, most, way):
    values = np.array([0, most] * 2).astype(kind).reshape(1, 2, 2, 1)
    with pytest.raises(DataError, match="must be uint8 or uint16") as refused:
        from_array("a", values)
    assert refused.value.hints[-1] == f"array.astype(numpy.{way}) has the same values"
    assert np.array_equal(from_array("a", values.astype(way), layout="NHWC").tensor()[0, 0], values[0, :, :, 0])
    for beyond in (values.astype(np.int64) - 1, values.astype(np.int64) + 65535, values / 2):
        with pytest.raises(DataError, match="must be uint8 or uint16") as refused:
            from_array("a", beyond)
        assert len(refused.value.hints) == 1
