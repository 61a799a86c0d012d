"""The section of a run's page on copies: what it says is what was found, and it is left out where it would cost, or cannot be."""

import json

import pytest
import torch

import ddpm as face
from ddpm.data.open import open_source
from ddpm.figures.style import formula
from ddpm.report import copies
from ddpm.run.folder import RunFolder


@pytest.fixture
def section(run, monkeypatch):
    """Of the tiny run, whatever it costs."""
    monkeypatch.setattr(copies, "SHARE", 1e9)
    return lambda language="en": copies.copies(RunFolder(run), language)


def test_it_says_what_was_found(run, section, monkeypatch):
    (figure,) = section()
    found = face.memorised(run, num_samples=64, sampler="ddim", progress=False)
    assert f"{found.closeness.count} of 64 samples (DDIM, 12 steps;" in figure.caption
    assert "1,497 training images than 1.0 % of 300 held-out images are" in figure.caption
    assert f"(p = {found.closeness.p_value:.2g})" in figure.caption
    assert "Samples are no closer to training images than chance." in figure.caption
    assert "those to the nearest 50." in figure.caption
    assert "<img" in figure.drawing
    assert formula(figure.tex).startswith("<svg")  # matplotlib reads no `\\frac1k`, and a training ended in an error
    monkeypatch.setattr("ddpm.evaluation.closeness.NEIGHBOURS", 7)
    (korean,) = section("ko")
    assert "가장 가까운 7장과의" in korean.caption
    assert "학습 이미지 1,497장" in korean.caption


def test_a_model_that_copies_is_said_to(run, section, monkeypatch):
    """Its samples are training images."""
    drawn = open_source("digits", "train").scaled(torch.arange(64))

    def images(self, _steps):
        return face.Images(drawn, 17)

    monkeypatch.setattr("ddpm.trained.draw.Drawing.images", images)
    (figure,) = section()
    assert "<b>Samples are closer to training images than chance.</b> 64 of 64 samples" in figure.caption


def test_it_is_left_out_where_it_would_cost_or_cannot_be(run, section, monkeypatch):
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = "gone.npz"
    (run / "config.json").write_text(json.dumps(config))
    assert list(section()) == []
    config["data"]["source"] = "digits"
    (run / "config.json").write_text(json.dumps(config))
    assert len(section()) == 1
    monkeypatch.setattr(copies, "SHARE", 0.02)
    assert list(section()) == []  # six steps of eight images
    monkeypatch.setattr(copies, "SHARE", 1e9)
    (run / "images.index").write_bytes(b"x" * (copies.INDEX + 1))
    assert list(section()) == []
