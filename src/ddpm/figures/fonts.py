"""A font that has Korean: matplotlib's own has none, and would draw a box for every syllable."""

from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontEntry, findSystemFonts, fontManager, get_font

KOREAN = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "Nanum Gothic",
    "NanumBarunGothic",
    "Pretendard",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "Source Han Sans KR",
    "Source Han Sans K",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "UnDotum",
    "Baekmuk Dotum",
    "Droid Sans Fallback",
    "Noto Serif CJK KR",
    "Noto Serif CJK JP",
)
"""Known to have it, the best first. (Of a collection of fonts matplotlib may see the first only: Noto's is JP, with all of Korean.)"""
_FILES = (
    "notosanscjk",
    "notosanskr",
    "nanum",
    "malgun",
    "applesdgothicneo",
    "undotum",
    "sourcehansans",
    "notoserifcjk",
)


@cache
def korean_font() -> str | None:
    """The name of a font for Korean that matplotlib can draw with; None where the machine has none."""
    return _known() or (_known() if _look_again() else None)


def _known() -> str | None:
    by_name: dict[str, FontEntry] = {font.name: font for font in fontManager.ttflist}
    return next((name for name in KOREAN if name in by_name and _has_korean(by_name[name].fname)), None)


def _has_korean(path: str) -> bool:
    try:
        return get_font(path).get_char_index(ord("한")) != 0
    except (OSError, RuntimeError):  # its list of fonts is older than what is installed
        return False


def _look_again() -> int:
    """Add what was installed after matplotlib made its list; how many."""
    listed = {font.fname for font in fontManager.ttflist}
    new = [path for path in findSystemFonts() if path not in listed and Path(path).name.lower().startswith(_FILES)]
    for path in new:
        fontManager.addfont(path)
    return len(new)
