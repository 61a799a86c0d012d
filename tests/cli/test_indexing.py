"""Whoever waits for a large folder to be looked through sees how far it is."""

import sys

import numpy as np
import pytest
from PIL import Image

from ddpm.cli.terminal import indexing
from ddpm.data.indexing import index


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Forty images, of which no index is kept."""
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "images").mkdir()
    for number in range(40):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path / "images"


def test_progress_on_a_terminal(ddpm, folder, monkeypatch):
    """Only while it is looked through, and not the next time; the line is gone before the results are."""
    monkeypatch.setattr(indexing, "QUICK", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    said = ddpm("data", folder)
    assert said.code == 0
    assert "looking through the images" in said.err
    assert "/40 [" in said.err
    assert said.err.endswith("\r")
    assert ddpm("data", folder).err == ""
    assert index.OBSERVERS == []


def test_what_is_quick_is_not_followed(ddpm, folder, monkeypatch):
    monkeypatch.setattr(indexing, "QUICK", 60.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert ddpm("data", folder).err == ""


def test_elsewhere_it_is_a_line_now_and_then(ddpm, folder, monkeypatch):
    """As of training, where there is no terminal."""
    monkeypatch.setattr(indexing, "QUICK", -1.0)
    monkeypatch.setattr("ddpm.cli.terminal.console.QUIET_SECONDS", -1.0)
    lines = ddpm("data", folder).err.splitlines()
    assert len(lines) == 39
    assert lines[-1].startswith("looking through the images: 40/40   ")


def test_an_end_on_the_way_leaves_no_bar(ddpm, folder, monkeypatch):
    monkeypatch.setattr(indexing, "QUICK", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    held = []  # or the bar would end with what holds it

    def interrupt(done, _total):
        if done == 10:
            held.append(index.OBSERVERS[-1])
            raise KeyboardInterrupt

    monkeypatch.setattr(index, "OBSERVERS", [interrupt])
    said = ddpm("data", folder)
    assert said.code == 130
    assert said.err.endswith("\rddpm: error: interrupted\n")
