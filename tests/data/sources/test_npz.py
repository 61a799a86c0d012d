"""What arrays in files say beside their pixels, and what is refused."""

import numpy as np
import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.labels import fault_of, matched_labels
from ddpm.data.open import open_source
from ddpm.data.sources.npz import from_array
from ddpm.errors import DataError

PIXELS = np.arange(3 * 8 * 6, dtype=np.uint8).reshape(3, 8, 6)


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
    """A file has them on axis 1, as runs keep their data; an array is refused unless the caller says it."""
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(_read(tmp_path, images=pixels).tensor(), pixels)
    with pytest.raises(DataError, match=r"could be \(N, C, H, W\) and \(N, H, W, C\)"):
        from_array("a", pixels)
    assert np.array_equal(from_array("a", pixels, layout="NCHW").tensor(), pixels)
    assert np.array_equal(from_array("a", pixels, layout="NHWC").tensor(), pixels.transpose(0, 3, 1, 2))


def test_arrays_that_run_backwards_are_read_as_they_stand():
    assert np.array_equal(from_array("a", PIXELS[::-1, :, ::-1]).tensor()[:, 0], PIXELS[::-1, :, ::-1])
    assert from_array("a", PIXELS[:1, :1, :1, None]).shape == (1, 1, 1)


def test_a_label_without_a_name_is_said_to_be_one():
    """It was an IndexError."""
    images = ImageSet("few", torch.zeros(2, 1, 4, 4, dtype=torch.uint8), 256, torch.tensor([0, 2]), classes=("a", "b"))
    with pytest.raises(DataError, match="label 2, but 2 classes have names"):
        matched_labels(images, ("a", "b"))
    assert fault_of(torch.tensor([-1, 0, 1]), ("a", "b")) is None
