"""1 image, 2 images."""

import re

import pytest

from ddpm.cli.terminal.words import counted


@pytest.mark.parametrize(
    ("number", "thing", "said"), [(1, "image", "1 image"), (0, "image", "0 images"), (1497, "class", "1,497 classes")]
)
def test_a_number_of_things(number, thing, said):
    assert counted(number, thing) == said


def test_one_is_one(ddpm, trained, tmp_path):
    """In what the commands say of one image, one step, one evaluation."""
    one = ("--num", "1", "--steps", "1", "--output-dir", tmp_path / "o")
    said = [
        ddpm("sample", trained, *one),
        ddpm("evaluate", trained, "--data", "digits", "--num-images", "1"),
        ddpm("edit", trained, tmp_path / "o" / "000000.png", "--timestep", "3", *one[:-1], tmp_path / "p"),
    ]
    for each in said:
        assert each.code == 0, each.err
        assert not re.search(r"\b1 (\w+ )?(images|steps|classes|evaluations|threads)\b", each.out + each.err)
