"""Labels in Korean: from one figure both languages, and never a box for a syllable."""

import re

import numpy as np
import pytest
from PIL import Image

from ddpm.figures import fonts, korean, style


@pytest.fixture
def figure():
    found, (axis, other) = style.panels(2)
    axis.barh(["σ² = optimal", "N(0, 1)"], [1, 2], label="data")
    axis.set(title="Signal over noise, linear, T = 50", xlabel="t", ylabel="step")
    axis.legend()
    other.set_yticks(range(2), ["L(T): the prior", "L(0): the pixels"])
    return found


def _words(drawing):
    return {re.sub(r"<[^>]*>", "", text).strip() for text in re.findall(r"<text.*?</text>", drawing, re.DOTALL)}


def test_both_languages_from_one_figure(figure):
    english = style.svg(figure)
    in_korean = style.svg(figure, "ko")
    assert {"신호 대 잡음비, linear, T = 50", "스텝", "데이터", "σ² = 최적", "L(T): 사전분포", "t"} <= _words(in_korean)
    assert {"Signal over noise, linear, T = 50", "step", "data", "σ² = optimal", "L(T): the prior"} <= _words(english)
    assert style.svg(figure) == english
    assert style.svg(figure, "ko") == in_korean
    assert "DejaVu" not in in_korean
    assert "CJK" not in in_korean


def test_an_entry_stands_for_all_its_values():
    assert korean.in_korean("Two points seen at t = 5, cosine, T = 50") == "t = 5에서 본 두 점, cosine, T = 50"
    assert korean.in_korean("half of q(x(t−1) | x(t) = 0, x(0) = -1)") == "q(x(t−1) | x(t) = 0, x(0) = -1)의 절반"
    assert korean.in_korean("12 steps") == "12스텝"
    assert korean.in_korean("no entry") == "no entry"


def test_a_page_is_korean_without_a_font_too(figure, monkeypatch):
    """The reader's browser has one."""
    monkeypatch.setattr(style, "korean_font", lambda: None)
    assert "데이터" in _words(style.svg(figure, "ko"))


def test_a_file_stays_english_without_a_font(figure, monkeypatch):
    english = style.png(figure)
    monkeypatch.setattr(style, "korean_font", lambda: None)
    assert style.png(figure, "ko") == english


def test_where_no_font_is_known_there_is_none(monkeypatch):
    monkeypatch.setattr(fonts, "KOREAN", ("DejaVu Sans", "Not There"))  # the one has no Korean, the other is not there
    assert fonts.korean_font.__wrapped__() is None


def test_what_was_installed_since_is_found(monkeypatch):
    here = next((path for path in fonts.findSystemFonts() if "NotoSansCJK-Regular" in path), None)
    if here is None:
        pytest.skip("no font for Korean on this machine")
    old = [font for font in fonts.fontManager.ttflist if "CJK" not in font.fname]
    monkeypatch.setattr(fonts.fontManager, "ttflist", old)
    assert fonts.korean_font.__wrapped__().startswith("Noto Sans CJK")


@pytest.mark.skipif(fonts.korean_font() is None, reason="no font for Korean on this machine")
def test_a_file_has_no_boxes(tmp_path):
    """Every box is the same; syllables are not."""
    drawn = []
    for word in ("학습", "잡음"):
        figure, (axis,) = style.panels(1)
        axis.set_axis_off()
        axis.text(0.5, 0.5, word)
        (tmp_path / "a.png").write_bytes(style.png(figure, "ko"))
        with Image.open(tmp_path / "a.png") as image:
            drawn.append(np.asarray(image.convert("L")))
    assert (drawn[0] != drawn[1]).any()
