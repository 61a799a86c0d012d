"""HEIF, which phones write: read as the pixels that it holds with the extra, counted and named without it."""

import json

import numpy as np
import pytest
from PIL import Image

from ddpm.data.decoding import formats
from ddpm.data.open import open_source
from ddpm.data.splits import Options
from tests.run.test_data_faults import SMALL


@pytest.fixture
def photographs(tmp_path):
    """Twelve small pictures, one of them as a phone writes it, without loss; and its pixels."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif, which [dev] installs")
    random, folder = np.random.default_rng(0), tmp_path / "photographs"
    folder.mkdir()
    for i in range(11):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{i:02d}.png")
    pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
    exact = {"quality": -1, "matrix_coefficients": 0, "chroma": 444}  # 0: red, green and blue as they are
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(folder / "phone.heic", **exact)
    assert formats.format_of((folder / "phone.heic").read_bytes()) == formats.HEIF
    return folder, pixels


def _trained(ddpm, folder, run, *more):
    flags = ("--steps", "2", "--batch-size", "12", "--set", "data.held_out=0")
    said = ddpm("train", "--data", folder, "--output-dir", run, *SMALL, *flags, *more)
    assert said.code == 0, said.err
    return said


@pytest.mark.parametrize("held", [2**30, 0], ids=["memory", "files"])
def test_a_picture_of_a_phone_has_its_pixels(ddpm, photographs, tmp_path, held):
    """In what `ddpm data` counts, in what training reads, in this process and in those that decode."""
    folder, pixels = photographs
    images = open_source(str(folder), "all", Options(in_memory=held, workers=1))
    assert images.names[-1] == "phone.heic"
    assert np.array_equal(images.tensor()[-1].permute(1, 2, 0).numpy(), pixels)
    images.close()
    found = json.loads(ddpm("data", folder, "--json", "-").out)
    assert (found["images"], found["broken"]) == (12, [])
    said = _trained(ddpm, folder, tmp_path / "run", "--set", f"data.in_memory={held}", "--set", "data.workers=1")
    assert "12 images 3x8x8" in said.err


def test_without_the_extra_it_is_counted_and_named(ddpm, photographs, tmp_path, without_heif):
    """With what would read it."""
    folder, _ = photographs
    found = json.loads(ddpm("data", folder, "--json", "-").out)
    said = _trained(ddpm, folder, tmp_path / "run")
    assert found["images"] == 11
    (broken,) = found["broken"]
    assert (broken["file"], broken["reason"]) == ("phone.heic", formats.HOW[formats.HEIF])
    assert "11 images 3x8x8" in said.err
    assert "left out: 1 (bad_images.csv), the first: phone.heic: a HEIF picture" in said.err
    assert "phone.heic" in (tmp_path / "run" / "bad_images.csv").read_text()
