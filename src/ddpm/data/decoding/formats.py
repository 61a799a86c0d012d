"""Which files are pictures that are read here, and the one door by which they are opened.

While a source is looked through, a suffix of `SUFFIXES` is believed; when a file is opened, its first bytes alone count. Only
formats that browsers and cameras write are read: Pillow's many others are a risk. AVIF is read where Pillow was built with it,
and HEIF (.heic), which phones write, where the extra `heif` is installed.
"""

import io
import re
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

HEAD = 64
"""So many first bytes of a file are enough."""
AVIF, HEIF = "AVIF", "HEIF"
ALWAYS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
FORMATS = (*ALWAYS, AVIF) if features.check("avif") else ALWAYS
"""What Pillow opens here by itself, as it names them."""
SIGNATURES = {
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF....WEBP",
    "BMP": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
    "GIF": rb"GIF8[79]a",
    "TIFF": rb"II[\x2a\x2b]\0|MM\0[\x2a\x2b]",
    "PPM": rb"P[1-6][ \t\r\n#]",
    AVIF: rb"....ftyp(?:avi[fs]|.{4}.{4}(?:.{4})*?avi[fs])",
    HEIF: rb"....ftyp(?:he[icv][cfimsx]|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
    "JPEG 2000": rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "Photoshop": rb"8BPS\0[\x01\x02]",
    "OpenEXR": rb"v/1\x01",
    "SVG": rb"\s*<svg[\s>]",
}
"""How the files of each format begin. A HEIF container that also holds AVIF is read as that."""
_PATTERNS = {name: re.compile(pattern, re.DOTALL) for name, pattern in SIGNATURES.items()}
SUFFIXES = frozenset(
    [
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".webp",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".pbm",
        ".pgm",
        ".ppm",
        ".pnm",
    ]
)
SUFFIXES |= {".avif"} if AVIF in FORMATS else set()
"""Files whose names end so are taken for pictures without a look at them."""
SUFFIXES_OF_HEIF = frozenset({".heic", ".heif", ".hif"})
MAX_PIXELS = 64_000_000
READ_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises for a file that it cannot read."""
HOW = {
    HEIF: "a HEIF picture (.heic): pip install 'ddpm[heif]' reads it",
    AVIF: "an AVIF picture: pip install --upgrade pillow reads it",
}


def format_of(head: bytes) -> str | None:
    """The format of a picture that begins so; None if it is no picture that is known here."""
    return next((name for name, pattern in _PATTERNS.items() if pattern.match(head[:HEAD])), None)


@cache
def reads_heif() -> bool:
    """Whether the extra is installed that reads HEIF."""
    return find_spec("pillow_heif") is not None


def is_read(name: str) -> bool:
    """Whether pictures of a format are read here."""
    return name in FORMATS or (name == HEIF and reads_heif())


def not_read(name: str) -> str:
    """A line that says why pictures of a format are not read, and what would read them."""
    return HOW.get(name, f"a {name} picture, which is not read: save it as PNG or JPEG")


def opened(file: Path | io.BytesIO, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The header of an image file, and the file open behind it: nothing is decoded yet.

    Of the `formats`, HEIF is opened where all of `FORMATS` are allowed and the extra is installed.

    Raises:
        One of `READ_ERRORS`.
    """
    known = format_of(_head(file)) if formats == FORMATS else None
    if known is not None and not is_read(known):
        raise UnidentifiedImageError(not_read(known))
    if known == HEIF:
        _learn_heif()
        formats = (*formats, HEIF)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


def _head(file: Path | io.BytesIO) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getbuffer()[:HEAD].tobytes()
    with file.open("rb") as opened_file:
        return opened_file.read(HEAD)


@cache
def _learn_heif() -> None:
    """Pillow reads HEIF from here on, where the extra is installed: only once there is such a picture, as it takes a while."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    register_heif_opener()
