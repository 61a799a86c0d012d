"""Pictures to the pixel, and a page that needs nothing but itself."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.diffusion.schedule import SCHEDULES, linear
from ddpm.evaluation.rate import Bound
from ddpm.figures import plots, style
from ddpm.figures.pictures import (
    BACKGROUND,
    GAP,
    save_animation,
    save_each,
    save_npz,
    square,
    tile,
    to_pictures,
    whole_rows,
)
from ddpm.language import LANGUAGES, Text, machine_language
from ddpm.report import run_page
from ddpm.report.page import Fact, Figure, page
from ddpm.report.typeset import typeset


def test_tiles_lie_where_they_should():
    pictures = torch.arange(3, dtype=torch.uint8).reshape(3, 1, 1, 1).expand(3, 1, 60, 50) * 100
    sheet = np.asarray(tile(pictures, 2))
    assert sheet.shape == (120 + GAP, 100 + GAP)
    assert (sheet[:60, :50] == 0).all()
    assert (sheet[:60, 50 + GAP :] == 100).all()
    assert (sheet[60 + GAP :, :50] == 200).all()
    assert (sheet[60 : 60 + GAP] == BACKGROUND).all()
    assert (sheet[60 + GAP :, 50:] == BACKGROUND).all()


def test_small_pictures_are_enlarged_pixel_by_pixel():
    sheet = np.asarray(tile(torch.tensor([[[[10, 20]]]], dtype=torch.uint8), 1))
    assert sheet.shape == (24, 48)
    assert (sheet[:, :24] == 10).all()
    assert (sheet[:, 24:] == 20).all()
    assert square(torch.zeros(5, 3, 64, 64, dtype=torch.uint8)).size == (3 * 64 + 2 * GAP, 2 * 64 + GAP)


@pytest.mark.parametrize("period", [1, 2, 3, 10, 100])
@pytest.mark.parametrize("count", [1, 2, 5, 7, 16, 60, 64])
def test_whole_rows(count, period):
    """No row of a preview ends before the others; a period has its columns where it fits."""
    most = whole_rows(count, period)
    sheet = np.asarray(square(torch.zeros(most, 1, 48, 48, dtype=torch.uint8), period))
    assert 0 < most <= count
    assert (sheet[24 :: 48 + GAP, 24 :: 48 + GAP] == 0).all()
    if period <= most:
        assert (sheet.shape[1] + GAP) // (48 + GAP) % period == 0


def test_previews_of_the_presets_are_as_large_as_before():
    assert (whole_rows(64), whole_rows(16), whole_rows(64, 10)) == (64, 16, 60)


def test_a_preview_names_its_classes():
    figure = run_page.preview(Image.new("L", (8, 8)), ["cat", "<dog>"])
    assert "in this order and again: cat, &lt;dog&gt;." in figure.caption
    assert "column" not in run_page.preview(Image.new("L", (8, 8))).caption


def test_values_are_rounded():
    """B17 of other systems: truncation darkens by half a level and loses 63 of 256 levels."""
    levels = torch.arange(256).float().reshape(1, 1, 16, 16)
    assert torch.equal(to_pictures(levels / 127.5 - 1, 256).float(), levels)
    assert torch.equal(to_pictures((levels + 0.4) / 127.5 - 1, 256).float()[..., :-1], levels[..., :-1])
    assert to_pictures(torch.zeros(1, 2, 4, 4), 256).shape == (1, 1, 4, 4)
    assert to_pictures(torch.zeros(1, 4, 4, 4), 256).shape == (1, 3, 4, 4)


def test_files(tmp_path):
    pictures = torch.randint(0, 256, (3, 3, 4, 5), dtype=torch.uint8)
    paths = save_each(pictures, tmp_path)
    with Image.open(paths[2]) as image:
        assert (np.asarray(image) == pictures[2].movedim(0, 2).numpy()).all()
    save_npz(pictures, tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as archive:
        assert (archive["arr_0"] == pictures.movedim(1, 3).numpy()).all()
    frames = [Image.new("L", (8, 8), value) for value in (0, 100, 200)]
    for name in ("a.gif", "a.webp"):
        save_animation(frames, tmp_path / name)
        with Image.open(tmp_path / name) as moving:
            assert moving.n_frames == 3
            moving.seek(2)
            assert abs(int(np.asarray(moving.convert("L"))[0, 0]) - 200) <= 1


class _Reader(HTMLParser):
    """Every reference to something outside, and the balance of tags."""

    def __init__(self):
        super().__init__()
        self.outside, self.open, self.classes = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "path", "use", "rect", "line", "image", "br"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not value.startswith(("data:", "#")):
                self.outside.append(value)
            if name == "class":
                self.classes.append(value)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


@pytest.fixture(scope="module")
def bound():
    by_t = torch.linspace(0.01, 0.1, 21, dtype=torch.float64)
    return Bound(7, 64, float(by_t.sum()), 0.01, by_t, by_t, by_t, torch.full((7,), float(by_t.sum())))


ENGLISH = re.compile(r"[A-Za-z]{3,}")
NAMES = set(
    [
        "Denoising",
        "learned",
        "snr",
        "Diffusion",
        "Probabilistic",
        "Models",
        "Jain",
        "Abbeel",
        "ddpm",
        "evaluate",
        "RUN",
        "data",
        "SOURCE",
        "digits",
        "linear",
        "fixed",
        "large",
        "DDIM",
        "bits",
        "dim",
        "nats",
        "log",
        "SNR",
        "RMSE",
    ]
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_and_needs_no_network(bound, tmp_path, language):
    rows = [
        {"step": s, "seconds": s, "loss": 1 / s, "bits_per_dim": 2.0, "bits_per_dim_stderr": 0.1} for s in (1, 2, 3)
    ]
    frames = [Image.new("L", (8, 8), 0), Image.new("L", (8, 8), 255)]
    save_animation(frames, tmp_path / "a.webp")
    from ddpm.experiment.presets import digits

    drawn = torch.zeros(4, 1, 8, 8)
    strip = run_page.Filmstrip([2, 0], [drawn, drawn], [drawn, drawn])
    sections = [
        run_page.preview(frames[0], (), language),
        run_page.samples(drawn, tmp_path / "a.webp", 17, language),
        run_page.film(strip, 17, language),
        run_page.learning(digits(), rows, language),
        *run_page.bits(bound, language),
        run_page.schedule(linear(), "linear", language),
    ]
    bits = run_page.exact_bits(bound, language)
    html = run_page.run_page(digits(), 1_002_018, rows, bits, sections, language)
    reader = _Reader()
    reader.feed(html)
    assert not reader.outside
    assert not reader.open
    assert reader.classes.count("formula") == len(sections)
    assert html.count("<section id=") == len(sections)
    assert "1,002,018" in html
    assert style.INK not in html
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)
    assert f'<html lang="{language}">' in html
    read = re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    assert (set(ENGLISH.findall(read)) <= NAMES) == (language == "ko"), set(ENGLISH.findall(read)) - NAMES


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LANG": "kok_IN", "LC_ALL": ""}, "en"),
    ],
)
def test_the_language_of_the_machine(environment, language):
    assert machine_language(environment) == language


def test_particles_follow_values_that_are_filled_in():
    said = Text("{x} and {y}", "{x}을(를) {y}(으)로")
    assert said.with_values("ko", x="0.1", y="KL") == "0.1을 KL로"
    assert said.with_values("en", x=1, y=2) == "1 and 2"


def test_untrusted_names_are_escaped():
    html = page("<b>", "&", [Fact("<i>", '"')], [Figure("title", "<svg></svg>", "text")], "<s>")
    for tag in ("<i>", "<s>"):
        assert tag not in html
    assert "<h1>&lt;b&gt;</h1>" in html


def test_a_long_page_lists_its_figures():
    figures_ = [Figure(f"figure {i}", "<svg></svg>", "text") for i in range(1, 10)]
    html = page("title", "", [], figures_, "")
    assert '<a href="#figure-2">figure 2</a>' in html
    assert '<section id="figure-2">' in html
    assert "<nav>" not in page("title", "", [], figures_[:8], "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("x_{t-1} and alpha_bar_t", "x<sub>t−1</sub> and ᾱ<sub>t</sub>"),
        ("sqrt(1 - alpha_bar_{t-1}) <= 1", "√(1 - ᾱ<sub>t−1</sub>) ≤ 1"),
        ("beta-tilde/sigma_t^2, eps_theta", "β̃/σ<sub>t</sub><sup>2</sup>, ε<sub>θ</sub>"),
        ("D_KL(q||p), L_simple", "D<sub>KL</sub>(q‖p), L<sub>simple</sub>"),
        ("beta는 betas, theta <b>", "β는 betas, θ &lt;b&gt;"),
        ("posterior_mean_coef1[t-1]", "posterior_mean_coef1[t-1]"),
        ("1e-05 nats^2", "1e-05 nats<sup>2</sup>"),
    ],
)
def test_formulas_of_a_terminal_are_typeset(text, html):
    assert typeset(text) == html


def test_training_that_never_measured_says_so():
    assert run_page.estimated_bits([{"step": 1}]).value == "not measured"
    row = {"step": 5, "bits_per_dim": 1.2345, "bits_per_dim_stderr": 0.01}
    assert run_page.estimated_bits([row]).value == "1.234 ± 0.010"


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("T", [1, 2, 1000])
def test_every_schedule_can_be_drawn(name, T):
    drawn = style.svg(plots.schedule(SCHEDULES[name](T=T), name))
    assert drawn.startswith("<svg")
    assert "currentColor" in drawn
    assert style.png(plots.schedule(SCHEDULES[name](T=T), name))[:4] == b"\x89PNG"
