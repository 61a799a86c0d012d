"""A JPEG that its decoder makes smaller: nearly the pixels of the full decoding, and the same verdict on every damage."""

import io
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from ddpm.data.decoding.image_file import picture_of
from ddpm.data.decoding.picture import decode, fit
from ddpm.data.decoding.scaled import BY, DECODINGS, FULL, MARGIN, SCALED, for_the_index, not_at_all, read, to_cover
from ddpm.data.decoding.span import Fault
from tests.harness.photos import photo

REAL = {"hopper": files("matplotlib").joinpath("mpl-data", "sample_data", "grace_hopper.jpg")}


def _saved(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file


def _apart(one, other):
    """The root of the mean square of what two pictures differ by, in grey levels."""
    one, other = (np.asarray(each).astype(float) for each in (one, other))
    assert one.shape == other.shape
    return float(np.sqrt(((one - other) ** 2).mean()))


@pytest.mark.parametrize("side", [24, 32, 48, 64])
@pytest.mark.parametrize("name", [*REAL, "made"])
def test_less_than_one_grey_level_from_the_full_decoding(name, side):
    data = REAL[name].read_bytes() if name in REAL else photo(1, 640)
    small = read(io.BytesIO(data), to_cover(side, side))
    assert small.by > 1
    apart = _apart(small.fitted(side, side), fit(decode(io.BytesIO(data)), side, side))
    assert 0 < apart < 1


def test_how_small():
    """As small as leaves three times of what is wanted of the part that is shown."""
    assert MARGIN == 3
    for by in (1, *BY):
        for height, width in ((10, 10), (10, 40)):
            shrink = to_cover(height, width)
            assert shrink((width * 3 * by, height * 3 * by + 500)) == by
            assert shrink((width * 3 * by + 500, height * 3 * by)) == by
            smaller = shrink((width * 3 * by - 1, height * 3 * by + 500))
            assert smaller == max((other for other in (1, *BY) if other < by), default=1)
    assert [for_the_index(size) for size in ((256, 256), (255, 3000), (3000, 4000))] == [8, 1, 8]
    assert DECODINGS[FULL].index((4000, 3000)) == DECODINGS[FULL].pixels(8, 8)((4000, 3000)) == 1
    assert DECODINGS[SCALED].pixels(8, 8) is not not_at_all


KINDS = {
    "colour": lambda image: (image, {}),
    "grey": lambda image: (image.convert("L"), {}),
    "CMYK": lambda image: (image.convert("CMYK"), {}),
    "progressive": lambda image: (image, {"progressive": True}),
    "all of the colours": lambda image: (image, {"subsampling": 0}),
    "YCbCr": lambda image: (image.convert("YCbCr"), {}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(203, 301), (256, 200), (241, 247)])
def test_modes_and_odd_sides(kind, size):
    """By the same frame: a pixel of the small picture is where it is in the large one, at every side of a block."""
    image, options = KINDS[kind](Image.open(io.BytesIO(photo(2, 320))).crop((0, 0, *size)))
    file = _saved(image, quality=92, **options)
    whole = decode(file)
    for by in BY:
        small = read(file, lambda _size, by=by: by)
        assert (small.by, small.size, small.picture.mode) == (by, size, whole.mode)
        assert small.picture.size == tuple(-(-side // by) for side in size)
        assert _apart(small.fitted(6, 5), fit(whole, 6, 5)) < 1.5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_whichever_way_a_file_lies(orientation):
    """A file whose sides are no multiples of 8 has its part of a pixel at another end."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(photo(3, 320))).crop((0, 0, 257, 298))
    file = _saved(image, quality=92, exif=exif)
    whole = decode(file)
    small = read(file, lambda _size: 8)
    assert small.size == whole.size == ((298, 257) if orientation > 4 else (257, 298))
    assert _apart(small.fitted(9, 11), fit(whole, 9, 11)) < 2
    assert _apart(fit(small.picture, 9, 11), fit(whole, 9, 11)) > 5


def test_the_part_of_a_pixel_counts():
    """Where the last block of a file is one pixel wide, the small picture's frame ends in its last pixel, not behind it."""
    ramp = np.repeat(np.linspace(0, 255, 129)[None], 128, axis=0).astype(np.uint8)
    exif = Image.Exif()
    for orientation in (1, 2):
        exif[0x0112] = orientation
        file = _saved(Image.fromarray(ramp), quality=100, exif=exif)
        found, wanted = read(file, lambda _size: 8), fit(decode(file), 4, 4)
        assert _apart(found.fitted(4, 4), wanted) < 3
        assert _apart(fit(found.picture, 4, 4), wanted) > 5


def test_other_formats_are_decoded_in_full():
    image = Image.open(io.BytesIO(photo(4, 300)))
    for kind in ("PNG", "BMP", "TIFF"):
        file = _saved(image, kind)
        found = read(file, to_cover(8, 8))
        assert (found.by, found.size) == (1, (300, 300))
        assert (np.asarray(found.fitted(8, 8)) == np.asarray(fit(image, 8, 8))).all()
        assert found.is_as(to_cover(8, 8))


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_is_damage_to_both(progressive):
    """Cut off anywhere, or with bytes that are others: the same verdict, in the same words."""
    whole = _saved(Image.open(io.BytesIO(photo(5, 264))), quality=80, progressive=progressive).getvalue()
    verdicts = set()
    random = np.random.RandomState(0)
    for place in [*range(0, len(whole), len(whole) // 40), len(whole) - 3, len(whole) - 2, len(whole) - 1]:
        for bad in (whole[:place], whole[:place] + random.bytes(4) + whole[place + 4 :]):
            said = [_verdict(bad, shrink) for shrink in (not_at_all, lambda _size: 8)]
            assert said[0] == said[1]
            verdicts.add(said[0])
    assert len(verdicts) > 2


def _verdict(data, shrink):
    try:
        return picture_of(data, shrink).size
    except Fault as fault:
        return fault.kind, str(fault)
