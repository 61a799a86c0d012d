"""Every mode of Pillow has its golden pixels, computed here by other means; bombs are refused before they grow."""

import io
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from ddpm.data.decoding.formats import FORMATS, READ_ERRORS
from ddpm.data.decoding.picture import as_shown, decode

RGB = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]], [[12, 200, 77], [1, 2, 3], [90, 90, 250]]], dtype=np.uint8)
GREY = np.array([[0, 1, 127], [128, 254, 255]], dtype=np.uint8)
ALPHA = np.array([[255, 0, 51], [204, 102, 255]], dtype=np.uint8)
ON_WHITE = (RGB.astype(float) * (ALPHA / 255)[..., None] + 255 * (1 - ALPHA / 255)[..., None]).round()
GREY_ON_WHITE = (GREY * (ALPHA / 255) + 255 * (1 - ALPHA / 255)).round()
WORDS = np.array([[0, 128, 129], [257, 40000, 65535]], dtype=np.uint16)
SCALED = (WORDS / 257).round()


def _saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file


def _png(header, *chunks):
    """A PNG put together by hand: width, height, depth, colour type; then its chunks."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0)), *chunks, (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)


def _tiff(pixels, photometric, bits, extra, order="<"):
    """An uncompressed TIFF put together by hand: pixels (H, W, samples) of uint8 or uint16."""
    height, width, samples = pixels.shape
    data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    tags += [(277, 3, samples), (278, 4, height), (279, 4, len(data))] + (
        [(338, 3, extra)] if extra is not None else []
    )
    count = samples if samples in (3, 4) else 1
    ifd, after = struct.pack(order + "H", len(tags)), b""
    place = 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, kind, value in tags:
        if tag == 258 and count > 2:
            ifd += struct.pack(order + "HHII", tag, 3, count, place)
            after = struct.pack(order + f"{count}H", *[bits] * count)
        else:
            ifd += struct.pack(order + "HHI", tag, kind, 1) + (
                struct.pack(order + "I", value) if kind == 4 else struct.pack(order + "HH", value, 0)
            )
    start = b"II*\0" if order == "<" else b"MM\0*"
    return io.BytesIO(start + struct.pack(order + "I", 8 + len(data)) + data + ifd + b"\0\0\0\0" + after)


def _palette(*alpha):
    image = Image.new("P", (3, 2))
    image.putdata(range(6))
    image.putpalette(RGB.reshape(-1).tolist())
    return _saved(image, "PNG", **({"transparency": bytes(alpha)} if alpha else {}))


def _cmyk(ink):
    """What Pillow's arithmetic makes of ink: (1 - colour)(1 - black), without a profile."""
    light, black = 255 - ink[..., :3].astype(int), 255 - ink[..., 3:].astype(int)
    product = light * black + 128
    return (product + (product >> 8)) >> 8


INK = np.dstack([255 - RGB, np.array([[0, 0, 0], [10, 200, 0]], dtype=np.uint8)])
RGBA = np.dstack([RGB, ALPHA])
PREMULTIPLIED = np.dstack([(RGB * (ALPHA / 255)[..., None]).round().astype(np.uint8), ALPHA])
SIXTEEN = (RGB.astype(np.uint16) * 256 + 199).astype(">u2")

FILES = {
    "1": (lambda: _saved(Image.fromarray(GREY > 127), "PNG"), "L", 255 * (GREY > 127)),
    "1 of a fax": (lambda: _saved(Image.fromarray(GREY > 127), "TIFF"), "L", 255 * (GREY > 127)),
    "L": (lambda: _saved(Image.fromarray(GREY), "PNG"), "L", GREY),
    "L of 2 bits": (lambda: _png((3, 1, 2, 0), (b"IDAT", zlib.compress(b"\0\x1c"))), "L", [[0, 85, 255]]),
    "LA": (lambda: _saved(Image.fromarray(np.dstack([GREY, ALPHA])), "PNG"), "L", GREY_ON_WHITE),
    "L with a transparent grey": (
        lambda: _saved(Image.fromarray(GREY), "PNG", transparency=1),
        "L",
        np.where(GREY == 1, 255, GREY),
    ),
    "P": (_palette, "RGB", RGB),
    "P with tRNS": (lambda: _palette(*ALPHA.reshape(-1)), "RGB", ON_WHITE),
    "P of a GIF": (lambda: _saved(Image.fromarray(RGB).quantize(8), "GIF"), "RGB", RGB),
    "RGB": (lambda: _saved(Image.fromarray(RGB), "PNG"), "RGB", RGB),
    "RGB of a BMP": (lambda: _saved(Image.fromarray(RGB), "BMP"), "RGB", RGB),
    "RGB of a WEBP": (lambda: _saved(Image.fromarray(RGB), "WEBP", lossless=True), "RGB", RGB),
    "RGB of a PPM": (lambda: _saved(Image.fromarray(RGB), "PPM"), "RGB", RGB),
    "RGB of 16 bits": (
        lambda: _png((3, 2, 16, 2), (b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in SIXTEEN)))),
        "RGB",
        SIXTEEN >> 8,
    ),
    "RGB with a transparent colour": (
        lambda: _saved(Image.fromarray(RGB), "PNG", transparency=(255, 0, 0)),
        "RGB",
        np.where((RGB == [255, 0, 0]).all(-1, keepdims=True), 255, RGB),
    ),
    "RGBA": (lambda: _saved(Image.fromarray(RGBA), "PNG"), "RGB", ON_WHITE),
    "RGBa": (lambda: _tiff(PREMULTIPLIED, 2, 8, 1), "RGB", ON_WHITE),
    "RGBX": (lambda: _tiff(RGBA, 2, 8, 0), "RGB", RGB),
    "CMYK": (lambda: _saved(Image.fromarray(INK, "CMYK"), "TIFF"), "RGB", _cmyk(INK)),
    "I;16": (lambda: _saved(Image.fromarray(WORDS), "PNG"), "L", SCALED),
    "I;16 of a TIFF": (lambda: _tiff(WORDS[..., None], 1, 16, None), "L", SCALED),
    "I;16B": (lambda: _tiff(WORDS[..., None], 1, 16, None, ">"), "L", SCALED),
    "I": (lambda: _saved(Image.fromarray(WORDS.astype(np.int32)), "TIFF"), "L", SCALED),
    "I of a PGM": (lambda: io.BytesIO(b"P5 3 2 65535 " + WORDS.astype(">u2").tobytes()), "L", SCALED),
}


@pytest.mark.parametrize("name", FILES)
def test_golden_pixels(name):
    make, mode, expected = FILES[name]
    found = decode(make())
    assert found.mode == mode
    error = np.abs(np.asarray(found).astype(int) - np.asarray(expected).astype(int)).max()
    assert error <= (1 if name == "RGBa" else 0)  # premultiplied pixels have lost the last bit


def test_modes_that_no_file_has():
    """Pillow makes them in memory only; they come out right all the same."""
    grey = np.dstack([GREY, ALPHA])
    made = Image.merge("LA", [Image.fromarray(grey[..., i]) for i in range(2)]).convert("La")
    assert np.abs(np.asarray(as_shown(made)).astype(int) - GREY_ON_WHITE).max() <= 1
    palette = decode(_palette())
    assert (np.asarray(palette) == RGB).all()
    both = Image.merge("PA", [Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)), Image.fromarray(ALPHA)])
    both.putpalette(RGB.reshape(-1).tolist())
    assert (np.asarray(as_shown(both)) == ON_WHITE).all()
    assert np.asarray(as_shown(Image.new("HSV", (1, 1), (0, 255, 255)))).tolist() == [[[255, 0, 0]]]
    assert np.asarray(as_shown(Image.new("YCbCr", (1, 1), (255, 128, 128)))).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    "values", [np.array([[-1]], np.int32), np.array([[70000]], np.int32), np.ones((1, 1), np.float32)]
)
def test_what_has_no_known_range_is_refused(values):
    with pytest.raises(ValueError, match=r"16-bit|floating point"):
        decode(_saved(Image.fromarray(values), "TIFF"))


def test_inverted_ink_of_adobe():
    """Adobe's JPEG of CMYK holds 255 - ink, and says so; both kinds look the same."""
    ink = np.full((8, 8, 4), [0, 255, 255, 0], dtype=np.uint8)
    file = _saved(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in file.getvalue()[:64]
    assert np.abs(np.asarray(decode(file)).astype(int) - [255, 0, 0]).max() <= 2


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation(turn):
    """The eight of EXIF: how the stored picture has to be turned to stand upright."""
    upright = RGB
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    file = _saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)
    assert (np.asarray(decode(file)) == upright).all()


def test_the_colours_of_a_profile():
    """A profile that swaps nothing but the curve: linear light 0.2140 is 127.5 of sRGB. sRGB itself moves no pixel."""
    linear = linear_profile()
    grey = Image.new("RGB", (2, 2), (55, 55, 55))
    shown = np.asarray(decode(_saved(grey, "PNG", icc_profile=linear)))
    light = 55 / 255
    assert np.abs(shown - 255 * (1.055 * light ** (1 / 2.4) - 0.055)).max() <= 1.5
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", linear[:200]):
        assert (np.asarray(decode(_saved(Image.fromarray(RGB), "PNG", icc_profile=profile))) == RGB).all()


def linear_profile(space=b"RGB "):
    """sRGB's primaries (as ICC has them, adapted to D50), or grey, with a straight curve: a minimal profile of version 2."""

    def xyz(*values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    line = b"curv\0\0\0\0" + struct.pack(">I", 0)
    name = b"desc\0\0\0\0" + struct.pack(">I", 7) + b"linear\0" + bytes(78)
    tags = {
        b"desc": name,
        b"wtpt": xyz(0.9642, 1, 0.8249),
        b"rXYZ": xyz(0.4360, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": line,
        b"gTRC": line,
        b"bTRC": line,
    }
    if space == b"GRAY":
        tags = {name: tags[name] for name in (b"desc", b"wtpt")} | {b"kTRC": line}
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _giant_png(side):
    return _png((side, side, 8, 2), (b"IDAT", zlib.compress(b"\0" * 1000))).getvalue()


def _giant_tiff():
    """A directory of 60,000 x 60,000, and one whose entry claims 2^31 values."""
    tags = [(256, 4, 1, 60_000), (257, 4, 1, 60_000), (258, 3, 2**31 - 1, 8), (262, 3, 1, 1), (273, 4, 2**31 - 1, 8)]
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


BOMBS = {
    "png": lambda: _giant_png(60_000),
    "largest png": lambda: _giant_png(2**31 - 1),
    "just a warning to pillow": lambda: _giant_png(9_000),
    "gif": lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x08\1\1\0;",
    "tiff": _giant_tiff,
    "bmp": lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 60, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "ppm": lambda: b"P6 60000 60000 255 " + bytes(100),
    "text": lambda: _png(
        (3, 1, 8, 0), (b"zTXt", b"a\0\0" + zlib.compress(bytes(200 * 2**20), 9)), (b"IDAT", zlib.compress(b"\0" * 4))
    ).getvalue(),
    "postscript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
}

MEASURE = """
import resource, sys
from pathlib import Path
from ddpm.data.decoding.formats import READ_ERRORS
from ddpm.data.decoding.picture import decode
import PIL.PngImagePlugin, PIL.TiffImagePlugin, PIL.GifImagePlugin, PIL.BmpImagePlugin, PIL.PpmImagePlugin
used = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + 64 * 2**20,) * 2)
try:
    decode(Path(sys.argv[1]))
except MemoryError:
    print("out of memory")
except READ_ERRORS as error:
    print("refused")
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_64_megabytes(tmp_path, name):
    """The process that decodes it may take no more; to run out of them is no refusal."""
    (tmp_path / "bomb.png").write_bytes(BOMBS[name]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "bomb.png")], capture_output=True, text=True, check=False
    )
    assert done.stdout == "refused\n", done.stderr[-500:]


def test_only_known_formats_are_tried(tmp_path):
    assert set(FORMATS) - {"AVIF"} == {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"}
    for form in ("ICO", "TGA", "PCX"):
        with pytest.raises(READ_ERRORS):
            decode(_saved(Image.fromarray(RGB), form))
    assert resource.RLIMIT_AS
