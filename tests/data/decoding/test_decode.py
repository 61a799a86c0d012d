"""Every Pillow mode becomes the picture that a person sees: golden pixels."""

import numpy as np
import pytest
from PIL import Image

from ddpm.data.decoding.formats import READ_ERRORS
from ddpm.data.decoding.picture import decode, fit
from ddpm.data.inputs import read_photo
from ddpm.errors import DataError, NotFound

RAMP = np.arange(0, 256, 17, dtype=np.uint8).reshape(4, 4)


def _pixels(tmp_path, image, name="image.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    found = decode(path)
    return found.mode, np.asarray(found)


def test_grey_and_bilevel(tmp_path):
    mode, pixels = _pixels(tmp_path, Image.fromarray(RAMP))
    assert mode == "L"
    assert (pixels == RAMP).all()
    mode, pixels = _pixels(tmp_path, Image.fromarray(RAMP > 100))
    assert mode == "L"
    assert (pixels == 255 * (RAMP > 100)).all()


@pytest.mark.parametrize("name", ["sixteen.png", "sixteen.tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, name):
    values = np.array([[0, 128, 129, 257], [32768, 40000, 65534, 65535]], dtype=np.uint16)
    mode, pixels = _pixels(tmp_path, Image.fromarray(values), name)
    assert mode == "L"
    assert pixels.tolist() == [[0, 0, 1, 1], [128, 156, 255, 255]]


def test_rgb_and_palette(tmp_path):
    rgb = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=2)
    mode, pixels = _pixels(tmp_path, Image.fromarray(rgb))
    assert mode == "RGB"
    assert (pixels == rgb).all()
    palette = Image.fromarray(rgb).quantize(16)
    mode, pixels = _pixels(tmp_path, palette)
    assert mode == "RGB"
    assert (pixels == np.asarray(palette.convert("RGB"))).all()


def test_transparency_lies_on_white(tmp_path):
    """Red, half transparent: halfway to white; fully transparent: white, whatever its colour."""
    rgba = np.array([[[255, 0, 0, 255], [255, 0, 0, 128], [255, 0, 0, 0]]], dtype=np.uint8)
    mode, pixels = _pixels(tmp_path, Image.fromarray(rgba))
    assert mode == "RGB"
    assert pixels.tolist() == [[[255, 0, 0], [255, 127, 127], [255, 255, 255]]]
    grey = np.array([[[0, 255], [0, 51], [100, 0]]], dtype=np.uint8)
    mode, pixels = _pixels(tmp_path, Image.fromarray(grey))
    assert mode == "L"
    assert pixels.tolist() == [[0, 204, 255]]


def test_a_transparent_palette_entry_is_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    mode, pixels = _pixels(tmp_path, image, transparency=1)
    assert mode == "RGB"
    assert pixels.tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_cmyk_and_ycbcr(tmp_path):
    cmyk = Image.new("CMYK", (2, 2), (0, 255, 255, 0))
    _, pixels = _pixels(tmp_path, cmyk, "image.tif")
    assert pixels.tolist() == [[[255, 0, 0]] * 2] * 2
    _, pixels = _pixels(tmp_path, Image.new("RGB", (8, 8), (200, 30, 60)).convert("YCbCr"), "image.jpg", quality=95)
    assert np.abs(pixels.astype(int) - [200, 30, 60]).max() <= 3


def test_lab(tmp_path):
    """L = 100 % is white; L = 54, a = 81, b = 70 is the red of sRGB."""
    _, white = _pixels(tmp_path, Image.new("LAB", (1, 1), (255, 128, 128)), "white.tif")
    _, red = _pixels(tmp_path, Image.new("LAB", (1, 1), (138, 209, 198)), "red.tif")
    assert white.min() >= 254
    assert np.abs(red[0, 0].astype(int) - [255, 0, 0]).max() <= 12


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    image = Image.new("RGB", (8, 4), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    _, pixels = _pixels(tmp_path, image, "photo.jpg", exif=exif, quality=100)
    assert pixels.shape == (8, 4, 3)
    assert pixels[:3].min() > 200
    assert pixels[5:].max() < 50


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    _, pixels = _pixels(tmp_path, frames[0], "moving.gif", save_all=True, append_images=frames[1:])
    assert (pixels == [255, 0, 0]).all()


def test_floating_point_is_refused(tmp_path):
    with pytest.raises(ValueError, match="floating point"):
        _pixels(tmp_path, Image.fromarray(np.ones((2, 2), dtype=np.float32)), "image.tif")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken", b"<html></html>"])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(READ_ERRORS):
        decode(path)


def test_a_cut_off_file_is_refused(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(READ_ERRORS):
        decode(path)


def test_a_decompression_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (30_000, 3_000)).save(path)
    with pytest.raises(READ_ERRORS, match="pixels"):
        decode(path)


def test_fit_covers_and_cuts_without_squashing():
    """A circle in a wide picture stays a circle."""
    wide = Image.new("L", (120, 60), 0)
    y, x = np.mgrid[0:60, 0:120]
    wide = Image.fromarray(np.where((x - 60) ** 2 + (y - 30) ** 2 < 20**2, 255, 0).astype(np.uint8))
    small = np.asarray(fit(wide, 30, 30))
    assert small.shape == (30, 30)
    bright = small > 127
    assert abs(int(bright.any(0).sum()) - int(bright.any(1).sum())) <= 1
    assert 18 <= bright.any(0).sum() <= 22


def test_read_image_for_a_model(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(RAMP).save(path)
    x = read_photo(path).seen((1, 4, 4), 16)
    assert x.shape == (1, 1, 4, 4)
    assert np.allclose((x.numpy() + 1) * 7.5, np.arange(16).reshape(1, 1, 4, 4), atol=1e-5)
    assert read_photo(path).seen((3, 2, 2), 256).shape == (1, 3, 2, 2)
    with pytest.raises(NotFound):
        read_photo(tmp_path / "none.png").seen((1, 4, 4), 16)
    path.write_bytes(b"no")
    with pytest.raises(DataError, match="cannot read"):
        read_photo(path).seen((1, 4, 4), 16)
