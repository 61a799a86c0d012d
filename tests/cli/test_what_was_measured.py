"""Whoever reads a bound is told of which images it is: the split, who chose it, and what was left out."""

import json

import pytest


@pytest.fixture
def own(ddpm, trained, tmp_path):
    """30 samples of the run in a folder."""
    drawn = ("sample", trained, "--num", 30, "--steps", 1, "--seed", 3, "--output-dir", tmp_path / "own")
    assert ddpm(*drawn).code == 0
    return tmp_path / "own"


def _measured(ddpm, trained, data, *more):
    said = ddpm("evaluate", trained, "--data", data, *more)
    assert said.code == 0, said.err
    return said


def test_a_part_that_was_held_out_by_a_rule_is_said(ddpm, trained, own, tmp_path):
    found = tmp_path / "found.json"
    said = _measured(ddpm, trained, own, "--json", found)
    some = json.loads(found.read_text())
    assert f"test is {some['images']} of 30 images: the data have no split of their own" in said.err
    assert some["images"] < 10
    assert "--split all takes all" in said.err
    assert (some["run"], some["data"], some["split"]) == (str(trained), str(own), "test")
    said = _measured(ddpm, trained, own, "--split", "all", "--json", found)
    assert f"bits/dim on 30 images of {own}\n" in said.out
    assert "no split" not in said.err
    assert json.loads(found.read_text())["split"] == "all"
    said = _measured(ddpm, trained, "digits", "--num-images", 3, "--evaluations", 2, "--json", found)
    assert "bits/dim on 3 test images of digits" in said.out
    assert "no split" not in said.err
    some = json.loads(found.read_text())
    assert (some["run"], some["data"], some["split"]) == (str(trained), "digits", "test")
    two = ("compare", trained, trained, "--data", "digits", "--num-images", 2, "--json", found)
    assert "2 test images of digits, in bits/dim" in ddpm(*two).out
    assert [json.loads(found.read_text())[name] for name in ("data", "split")] == ["digits", "test"]
    said = _measured(ddpm, trained, own / "000000.png", "--json", found)
    assert f"bits/dim on 1 image of {own / '000000.png'}" in said.out.replace("(of one image: no standard error) ", "")
    assert json.loads(found.read_text())["split"] is None


def test_a_split_has_the_name_of_its_folder(ddpm, trained, own, tmp_path):
    """Without a test folder the validation images are the test split."""
    for name, numbers in (("train", range(20)), ("val", range(20, 26))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in numbers:
            (own / f"{number:06d}.png").rename(tmp_path / "photos" / name / f"{number}.png")
    said = _measured(ddpm, trained, tmp_path / "photos")
    assert f"bits/dim on 6 test images of {tmp_path / 'photos'} (val)\n" in said.out
    assert said.err.count("ddpm:") == 0


def test_pictures_that_were_passed_over_are_said(ddpm, trained, tmp_path):
    drawn = ("sample", trained, "--num", 100, "--steps", 1, "--batch-size", 100, "--output-dir", tmp_path / "own")
    assert ddpm(*drawn).code == 0
    (tmp_path / "own" / "000050.png").write_bytes(b"no")
    said = _measured(ddpm, trained, tmp_path / "own", "--split", "all", "--evaluations", 2)
    assert "bits/dim on 99 images" in said.out
    assert "files that cannot be read are left out: 1, the first: 000050.png: " in said.err
