"""The table of `docs/reference/pictures.rst`: one picture in every mode, with every property, has the same pixels.

The PNGs are put together by hand; what their pixels must be is computed here from the formulas of sRGB.
"""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ddpm.data.decoding.picture import decode
from tests.data.decoding.test_modes import _png, _saved, linear_profile

GREY = np.arange(0, 256, 17, dtype=np.uint8).reshape(4, 4)
RGB = np.dstack([GREY, GREY, GREY])
WIDE = GREY.astype(np.uint16) * 257
OPAQUE = np.full_like(GREY, 255)
LINEAR, GREY_LINEAR = linear_profile(), linear_profile(b"GRAY")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _bright(values):
    """What sRGB shows for 0..255 of linear light."""
    light = values / 255
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _rows(pixels):
    """Unfiltered rows of a PNG: 16 bits with the upper byte first."""
    pixels = np.atleast_3d(pixels)
    pixels = pixels.astype(">u2") if pixels.dtype == np.uint16 else pixels
    return (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)))


def _with_alpha(pixels, alpha):
    scale = 257 if pixels.dtype == np.uint16 else 1
    return np.dstack([pixels, alpha.astype(pixels.dtype) * scale])


PALETTE = (b"PLTE", RGB.reshape(-1).tobytes())
INDICES = np.arange(16, dtype=np.uint8).reshape(4, 4)
PACKED = (INDICES[:, ::2] << 4) | INDICES[:, 1::2]

MODES = {
    "grey of 4 bits": (4, 0, lambda _alpha: [_rows(PACKED)]),
    "grey": (8, 0, lambda _alpha: [_rows(GREY)]),
    "grey of 16 bits": (16, 0, lambda _alpha: [_rows(WIDE)]),
    "grey with alpha": (8, 4, lambda alpha: [_rows(_with_alpha(GREY, alpha))]),
    "grey of 16 bits with alpha": (16, 4, lambda alpha: [_rows(_with_alpha(WIDE, alpha))]),
    "palette of 4 bits": (4, 3, lambda _alpha: [PALETTE, _rows(PACKED)]),
    "palette": (8, 3, lambda _alpha: [PALETTE, _rows(INDICES)]),
    "palette with alpha": (8, 3, lambda alpha: [PALETTE, (b"tRNS", alpha.tobytes()), _rows(INDICES)]),
    "RGB": (8, 2, lambda _alpha: [_rows(RGB)]),
    "RGB of 16 bits": (16, 2, lambda _alpha: [_rows(np.dstack([WIDE] * 3))]),
    "RGB with alpha": (8, 6, lambda alpha: [_rows(_with_alpha(RGB, alpha))]),
    "RGB of 16 bits with alpha": (16, 6, lambda alpha: [_rows(_with_alpha(np.dstack([WIDE] * 3), alpha))]),
}
TRANSPARENT = [name for name in MODES if "alpha" in name]


def _gamma(value):
    return (b"gAMA", struct.pack(">I", round(100_000 * value)))


def _profile(data):
    return (b"iCCP", b"a\0\0" + zlib.compress(data))


SAYS_SRGB = (b"sRGB", b"\0")
PROPERTIES = {
    "nothing": ([], False),
    "a profile": ([_profile(LINEAR)], True),
    "the profile of sRGB": ([_profile(SRGB)], False),
    "a gamma": ([_gamma(1.0)], True),
    "the gamma of sRGB": ([_gamma(0.45455)], False),
    "a gamma near that of sRGB": ([_gamma(0.46)], False),
    "a gamma that is none": ([_gamma(0.00001)], False),
    "a note of sRGB and a gamma": ([SAYS_SRGB, _gamma(1.0)], False),
    "the profile of sRGB and a gamma": ([_profile(SRGB), _gamma(1.0)], False),
    "a profile and a gamma of sRGB": ([_profile(LINEAR), _gamma(0.45455)], True),
    "a damaged profile": ([_profile(LINEAR[:200])], False),
    "a damaged profile and a gamma": ([_profile(LINEAR[:200]), _gamma(1.0)], True),
    "a profile of ink": ([_profile(LINEAR.replace(b"RGB ", b"CMYK"))], False),
}


def _read(mode, *chunks, alpha=OPAQUE):
    depth, kind, rest = MODES[mode]
    found = decode(_png((4, 4, depth, kind), *chunks, *rest(alpha)))
    assert found.mode == ("L" if mode.startswith("grey") else "RGB")
    return np.asarray(found.convert("RGB")).astype(int)


def _apart(found, expected):
    return float(np.abs(found - np.asarray(expected)[..., None]).max())


@pytest.mark.parametrize("said", PROPERTIES)
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_is_the_same_in_every_mode(mode, said):
    chunks, moves = PROPERTIES[said]
    assert _apart(_read(mode, *chunks), _bright(GREY) if moves else GREY) <= (1.5 if moves else 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_profile_of_grey_counts_for_grey_pictures_alone(mode):
    grey = mode.startswith("grey")
    assert _apart(_read(mode, _profile(GREY_LINEAR)), _bright(GREY) if grey else GREY) <= (1.5 if grey else 0)


@pytest.mark.parametrize("chunks", [[], [_profile(LINEAR)], [_gamma(1.0)]])
@pytest.mark.parametrize("mode", TRANSPARENT)
def test_colours_are_converted_before_they_lie_on_white(mode, chunks):
    """White is that of sRGB, whatever the profile; so half transparent means halfway between what is seen and white."""
    alpha = np.array([[255, 0, 128, 51]] * 4, dtype=np.uint8)
    seen = _bright(GREY) if chunks else GREY
    assert _apart(_read(mode, *chunks, alpha=alpha), seen * (alpha / 255) + 255 * (1 - alpha / 255)) <= 1.6


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_stands_upright(mode):
    """Turned by 180 degrees, with a profile: both count."""
    turned = (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0")
    assert _apart(_read(mode, turned, _profile(LINEAR)), _bright(GREY)[::-1, ::-1]) <= 1.5


@pytest.mark.parametrize(
    "made",
    [
        lambda profile: _saved(Image.fromarray(GREY), "JPEG", quality=100, icc_profile=profile),
        lambda profile: _saved(Image.fromarray(RGB), "JPEG", quality=100, subsampling=0, icc_profile=profile),
        lambda profile: _saved(Image.fromarray(RGB), "WEBP", lossless=True, icc_profile=profile),
        lambda profile: _saved(Image.fromarray(_with_alpha(RGB, OPAQUE)), "WEBP", lossless=True, icc_profile=profile),
        lambda profile: _saved(Image.fromarray(GREY), "TIFF", icc_profile=profile),
        lambda profile: _saved(Image.fromarray(WIDE), "TIFF", icc_profile=profile),
        lambda profile: _saved(Image.fromarray(RGB).convert("YCbCr"), "TIFF", icc_profile=profile),
        lambda profile: _saved(Image.fromarray(_with_alpha(RGB, OPAQUE)), "TIFF", icc_profile=profile),
        lambda profile: _saved(Image.fromarray(RGB).quantize(16), "TIFF", icc_profile=profile),
    ],
)
def test_other_formats_have_profiles_too(made):
    assert _apart(np.asarray(decode(made(LINEAR)).convert("RGB")).astype(int), _bright(GREY)) <= 12
    assert _apart(np.asarray(decode(made(b"")).convert("RGB")).astype(int), GREY) <= 2


def test_a_profile_is_not_believed_by_its_name():
    """GIMP calls one "linear sRGB"."""
    named = LINEAR.replace(b"linear\0", b"a sRGB\0")
    assert _apart(_read("RGB", _profile(named)), _bright(GREY)) <= 1.5


def test_one_grey_of_sixteen_bits_may_be_transparent():
    """And one colour of sixteen bits, of whose values Pillow keeps the upper half."""
    one = struct.pack(">H", 0x2222)
    found = _read("grey of 16 bits", (b"tRNS", one))
    assert _apart(found, np.where(GREY == 0x22, 255, GREY)) == 0
    wide = np.dstack([np.where(WIDE < 65535, WIDE + 1, WIDE)] * 3).astype(np.uint16)
    chunks = [(b"tRNS", struct.pack(">3H", *[0x2223] * 3)), _rows(wide)]
    found = np.asarray(decode(_png((4, 4, 16, 2), *chunks))).astype(int)
    assert _apart(found, np.where(GREY == 0x22, 255, GREY)) == 0
