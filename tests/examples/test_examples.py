"""The five programs of examples/ run, with few steps, and leave their pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {
    "train_own_images": ["1-trained-on.png", "2-new.png"],
    "sample_three_ways": ["1-ancestral-100.png", "2-ddim-20.png", "3-solver-20.png", "4-estimates.png"],
    "bits_of_a_custom_network": ["samples.png"],
    "own_sampler": ["histograms.png"],
    "inverse_problem": ["1-digit.png", "2-filled.png", "3-enlarged.png", "4-anew.png"],
}
"""What each leaves in its folder."""
FEW = {"train_own_images": ["{photos}", "4"], "own_sampler": ["400"]}
"""Arguments after the folder, where they are not the number of steps."""


def run(name, out, *arguments):
    """Runs an example as a reader does; what it printed."""
    command = [sys.executable, ROOT / "examples" / f"{name}.py", out, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_tested():
    assert {path.stem for path in (ROOT / "examples").glob("*.py")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_an_example_leaves_its_pictures(name, tmp_path, photographs):
    arguments = [each.format(photos=photographs) for each in FEW.get(name, ["4"])]
    said = run(name, tmp_path / "out", *arguments)
    assert "nan" not in said
    for picture in PICTURES[name]:
        with Image.open(tmp_path / "out" / picture) as image:
            image.load()
            assert min(image.size) >= 8


def test_examples_use_the_public_face_only():
    """`import ddpm` and no module below it."""
    for path in (ROOT / "examples").glob("*.py"):
        lines = [line for line in path.read_text().splitlines() if "ddpm" in line and "import" in line.split()]
        assert lines == ["import ddpm"], path.name


@pytest.fixture
def photographs(tmp_path):
    """Thirty small pictures of one colour each."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(30):
        Image.new("L", (20, 18), 8 * i).save(folder / f"{i}.png")
    return folder
