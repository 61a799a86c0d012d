"""A set of images does the same whether its pixels are in memory or in files; and a fingerprint stays what it was."""

from dataclasses import replace

import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.data.pixels import InMemory, Lost, Pixels
from ddpm.data.splits import Options
from tests.harness.pictures import fill

CPU = torch.device("cpu")


@pytest.fixture
def both(tmp_path):
    """The same images in memory and in files."""
    fill(tmp_path / "data", 7)
    sets = [open_source(str(tmp_path / "data"), "all", Options(in_memory=most, workers=0)) for most in (2**30, 0)]
    return tmp_path / "data", *sets


def test_both_kinds_of_pixels_do_the_same(both):
    _, memory, files = both
    assert isinstance(memory.images, InMemory)
    assert not isinstance(files.images, InMemory)
    rows = torch.tensor([3, 0, 5])
    for images in (memory, files):
        pixels = images.images
        assert isinstance(pixels, Pixels)
        assert (len(pixels), pixels.shape, pixels.nbytes, pixels.device, pixels.ahead) == (7, (7, 3, 5, 6), 630, CPU, 0)
        pixels.prefetch(rows)
        for found, wanted in (
            (pixels[rows], memory.tensor()[rows]),
            (pixels[slice(1, 3)], memory.tensor()[1:3]),
            (pixels.take(rows).tensor(), memory.tensor()[rows]),
            (pixels.moved_to(CPU, 0).tensor(), memory.tensor()),
            (images.load_readable().tensor(), memory.tensor()),
            (images.in_memory().tensor(), memory.tensor()),
        ):
            assert torch.equal(found, wanted)
        assert images.has_fingerprint
        images.close()


def test_what_can_no_longer_be_read_is_lost(both):
    """Files go, with what was in memory unharmed. Without a file's pixels there is no fingerprint of pixels."""
    root, memory, files = both
    (root / files.names[2]).unlink()
    with pytest.raises(Lost, match=files.names[2]) as found:
        files.tensor()
    assert list(found.value.rows) == [2]
    left = files.load_readable()
    assert left.lost == found.value.rows
    assert torch.equal(left.tensor()[2], torch.zeros(3, 5, 6))
    assert torch.equal(left.tensor()[3:], memory.tensor()[3:])
    assert files.take(torch.tensor([4, 2])).load_readable().lost == {1: left.lost[2]}
    assert not left.has_fingerprint
    assert replace(files, lost=left.lost).has_fingerprint
    assert left.load_readable().lost == left.lost


def test_a_fingerprint_is_the_one_that_old_checkpoints_have():
    """Of 5,000 images: more than one part is digested."""
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60000, (5000, 2, 3, 4), generator=random).to(torch.int32)
    images = ImageSet("x", pixels, 65536, torch.arange(5000))
    assert images.digest() == "17c4d04a335f9fef9c88c2ed672f3271"
    assert images.digest(images.labels) == "dd5854a31e12a236d5ab5f71675de0db"
    assert images.take(torch.arange(0, 5000, 7)).digest() == "584bd412f99a45abae7dea5a288b9f03"
