"""The section of a run's page on files: what it shows is what the files say, and where there is no codec it says why."""

import json
import re

import numpy as np
import pytest

import ddpm as face
from ddpm.report import coded
from ddpm.report.training import report_training
from ddpm.run.folder import RunFolder
from ddpm.trained.coded import NOT_INSTALLED


@pytest.fixture
def section(run, monkeypatch):
    """Of the tiny run, whatever it costs."""
    monkeypatch.setattr(coded, "SHARE", 1e9)
    return lambda language="en": coded.coded(RunFolder(run), language)


def test_it_shows_the_files(run, section):
    (figure,) = section()
    held_out = face.images("digits", split="test")[:4]
    model = face.load(run, device="cpu")
    files = model.compress(held_out, progress=False)
    size = np.mean([len(file) for file in files])
    assert "Files of 4 held-out images" in figure.caption
    (shown,) = re.findall(r"([\d.]+) bytes in the mean, header included, or ([\d.]+) bits/dim", figure.caption)
    assert float(shown[0]) == pytest.approx(size, abs=1)  # a file that is stored is coded to be cut
    assert float(shown[1]) == pytest.approx(8 * float(shown[0]) / 64, abs=0.01)
    assert figure.drawing.count("<span>") == 5
    assert "<span>1 %, 1" in figure.drawing
    (korean,) = section("ko")
    assert "남겨 둔 이미지 4장" in korean.caption
    assert shown[0] in korean.caption


def test_without_the_coder_it_says_how_to_get_it(section, monkeypatch):
    monkeypatch.setattr("ddpm.trained.coded.find_spec", lambda name: None)
    (figure,) = section()
    assert (figure.drawing, figure.caption, figure.label) == ("", NOT_INSTALLED.en, "")
    assert section("ko")[0].caption == NOT_INSTALLED.ko


def test_it_is_left_out_where_it_would_cost_or_cannot_be(run, section, monkeypatch):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"data": config["data"] | {"source": "gone.npz"}}))
    assert list(section()) == []
    (run / "config.json").write_text(json.dumps(config))
    assert len(section()) == 1
    monkeypatch.setattr(coded, "SHARE", 0.03)
    assert list(section()) == []  # six steps of eight images


def test_what_is_worth_it():
    """By hand: 260 images at 16 levels, four times as dear as usual, are at most 3 % of three times the images of training."""
    assert coded.affordable([{"images": 10}, {"images": 184_890}])
    assert not coded.affordable([{"images": 184_888}])
    assert not coded.affordable([])


def test_it_is_on_the_page(run, section):
    page = report_training(RunFolder(run), "en").read_text(encoding="utf-8")
    assert "<h2>As bytes</h2>" in page
