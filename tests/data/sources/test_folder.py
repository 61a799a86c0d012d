"""Folders, archives and tables mean the same; what is no image is named; a run folder in the data is none."""

import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from ddpm.data.decoding import formats
from ddpm.data.describe import describe, in_two_lines
from ddpm.data.open import open_again, open_both, open_source
from ddpm.data.sources.folder import walk
from ddpm.data.splits import DEFAULT, Options
from ddpm.errors import NotFound
from tests.harness.pictures import fill

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)


@pytest.fixture
def tree(tmp_path):
    """pets/{Train,Test,val}/{cat,dog}, and the same as an archive, whole and in shards."""
    for number, split in enumerate(("Train", "Test", "val")):
        for name in ("cat", "dog"):
            fill(tmp_path / "folder" / "pets" / split / name, 3 - number, first=10 * number)
        (tmp_path / "shards" / "wds").mkdir(parents=True, exist_ok=True)
        with tarfile.open(tmp_path / "shards" / "wds" / f"pets-{split}-0.tar", "w") as file:
            file.add(tmp_path / "folder" / "pets" / split, ".")
    with tarfile.open(tmp_path / "whole.tar", "w") as file:
        file.add(tmp_path / "folder", ".")
    return tmp_path


@pytest.mark.parametrize("kind", ["folder", "whole.tar", "shards"])
def test_one_understanding_for_all_kinds(tree, kind):
    source = str(tree / kind)
    counts = {split: len(open_source(source, split)) for split in ("train", "test", "validation", "all")}
    assert counts == {"train": 6, "test": 4, "validation": 2, "all": 12}
    for split, each in (("train", 3), ("test", 2), ("validation", 1)):
        found = open_source(source, split)
        assert found.classes == ("cat", "dog")
        assert found.labels.tolist() == [0] * each + [1] * each
    found = describe(source)
    shares = {share["split"]: share for share in found["understood"]["splits"]}
    assert {split: share["images"] for split, share in shares.items()} == {"train": 6, "test": 4, "validation": 2}
    assert shares["train"]["classes"] == {"cat": 3, "dog": 3}
    assert (found["train"], found["test"], found["class_names"]) == (6, 4, ["cat", "dog"])
    lines = in_two_lines(open_again(source, DEFAULT, {}))
    assert "6 images of 2 classes (cat 3, dog 3)" in lines[0]
    assert "is in neither" in lines[0]
    assert lines[1] == "passed over: nothing"


def test_a_table_in_folders_of_splits(tree):
    pytest.importorskip("pyarrow")
    from tests.data.sources.test_shards import packed

    for split in ("Train", "Test"):
        packed(tree / "folder" / "pets" / split, tree / "tables" / "my" / split / "0.parquet")
    assert [len(part) for part in open_both(str(tree / "tables"))] == [6, 4]


def test_names_and_order_are_what_they_were(tmp_path):
    """A run that began before goes on: names start below the folder of a split, and from the top where there is none."""
    fill(tmp_path / "own" / "train" / "a", 2), fill(tmp_path / "own" / "test" / "a", 1, first=5)
    assert open_source(str(tmp_path / "own"), "train").names == ("a/00000.png", "a/00001.png")
    assert open_source(str(tmp_path / "own"), "all").names[0] == "test/a/00005.png"
    fill(tmp_path / "none" / "train" / "b", 2), fill(tmp_path / "none" / "train" / "B", 1)
    found = open_source(str(tmp_path / "none"), "all")
    assert found.names == ("train/B/00000.png", "train/b/00000.png", "train/b/00001.png")
    assert found.classes == ("B", "b")


def test_a_stray_has_no_class_and_is_named(tmp_path):
    fill(tmp_path / "cat", 3), fill(tmp_path / "dog", 3, first=5), fill(tmp_path, 1, first=9)
    found = open_source(str(tmp_path), "all")
    assert found.labels.tolist() == [-1, 0, 0, 0, 1, 1, 1]
    strays = [share["in_no_class"] for share in describe(str(tmp_path))["understood"]["splits"]]
    assert {"images": 1, "first": "00009.png"} in strays
    assert "1 in no class (00009.png)" in " ".join(in_two_lines(open_again(str(tmp_path), Options(held_out=0.0), {})))


def test_a_validation_split_that_is_not_there(tmp_path):
    fill(tmp_path / "train", 2), fill(tmp_path / "val", 1, first=5)
    with pytest.raises(NotFound, match="no validation split beside") as failure:
        open_source(str(tmp_path), "validation")
    assert "`split=test`" in failure.value.hints[0]
    assert len(open_source(str(tmp_path), "test")) == 1
    fill(tmp_path / "neither" / "val", 1), fill(tmp_path / "neither" / "test", 1)
    with pytest.raises(NotFound, match="has no train split"):
        open_both(str(tmp_path / "neither"))


@pytest.fixture
def mixed(tmp_path, without_heif):
    """Pictures under any name, and what is none, as in a folder that people have."""
    fill(tmp_path / "a", 2)
    picture = Image.fromarray(np.zeros((5, 6, 3), np.uint8))
    for name, form in (("photo", "PNG"), ("web.jpg_large", "JPEG"), ("x.jfif", "JPEG"), ("really.heic", "PNG")):
        picture.save(tmp_path / "a" / name, form)
    for name, content in (("b.heic", HEIC), ("raw.nef", b"II*\0"), ("x.jxl", b"\xff\x0a"), ("notes.txt", b"P6 ")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "README").write_text("no picture")
    (tmp_path / "set.zip").write_bytes(b"PK")
    (tmp_path / ".DS_Store").write_bytes(b"")
    return tmp_path


UNREAD = [("b.heic", "format"), ("raw.nef", "format"), ("x.jxl", "format")]


def test_content_decides_and_nothing_is_left_out_silently(mixed):
    found = walk(mixed)
    names = ["a/00000.png", "a/00001.png", "a/photo", "a/really.heic", "a/web.jpg_large", "a/x.jfif"]
    assert list(found.names) == names
    assert [(one.file, one.fault) for one in found.accounts.unread] == UNREAD
    passed = {one.why: (one.count, one.first) for one in found.accounts.passed}
    assert passed == {
        "hidden (its name begins with a dot)": (1, ".DS_Store"),
        "no picture (.txt)": (1, "notes.txt"),
        "no picture (no suffix)": (1, "README"),
        "archive, not opened (.zip)": (1, "set.zip"),
    }
    with tarfile.open(mixed / "x.tar", "w") as file:
        for name in sorted(os.listdir(mixed)):
            if name != "x.tar":
                file.add(mixed / name, name)
    described = describe(str(mixed / "x.tar"))
    assert {one["why"]: (one["count"], one["first"]) for one in described["passed_over"]} == passed
    assert {one["file"] for one in described["broken"]} == {file for file, _ in UNREAD}


def test_a_trusted_suffix_costs_no_look(tmp_path, monkeypatch):
    fill(tmp_path, 2), (tmp_path / "x.txt").touch()
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("a file was opened"))
    assert len(walk(tmp_path).names) == 2


def test_pictures_in_formats_that_are_not_read_do_not_stop_a_training(mixed):
    train, test = open_both(str(mixed))
    assert len(train) + len(test) >= 6
    assert ("x.jxl", "format") in [(one.file, one.fault) for one in train.broken]
    lines = in_two_lines(open_again(str(mixed), DEFAULT, {}))
    assert f"formats that are not read here: {len(UNREAD)}" in lines[1]
    only = mixed / "only"
    only.mkdir()
    (only / "b.jxl").write_bytes(b"\xff\x0a")
    with pytest.raises(NotFound, match="no images") as failure:
        open_source(str(only))
    assert "b.jxl: a JPEG XL picture" in failure.value.hints[0]


def test_avif_and_heif(tmp_path):
    """Avif where Pillow has it; HEIF where the extra is, else a line that says how to get it, whatever the suffix is."""
    fill(tmp_path, 2)
    if "AVIF" in formats.FORMATS:
        Image.new("RGB", (6, 5), (200, 10, 10)).save(tmp_path / "a.avif")
        assert "a.avif" in open_source(str(tmp_path), "all").names
    (tmp_path / "phone.jpg").write_bytes(HEIC)
    (broken,) = describe(str(tmp_path))["broken"]  # read by another process, which has the extra or not
    assert (broken["file"], "ddpm[heif]" in broken["reason"]) == ("phone.jpg", not formats.reads_heif())


SIGNATURES = {
    "PNG": b"\x89PNG\r\n\x1a\n",
    "HEIF": HEIC,
    "AVIF": b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif",
    "BMP": b"BM" + bytes(12) + b"\x28\0\0\0",
    None: b"BM is a word",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_first_bytes(name):
    assert formats.format_of(SIGNATURES[name]) == name


def test_links_to_folders(tmp_path):
    """Followed, once; circles, doubles and links to nothing are named."""
    fill(tmp_path / "data" / "cat", 2), fill(tmp_path / "else" / "dog", 3)
    data = tmp_path / "data"
    (data / "dog").symlink_to(tmp_path / "else" / "dog")
    (data / "again").symlink_to(data / "cat")
    (data / "cat" / "up").symlink_to(data)
    (data / "out").symlink_to(tmp_path)
    (data / "lost").symlink_to(tmp_path / "nowhere")
    (data / "self").symlink_to(data / "self")
    (tmp_path / "else" / "dog" / "back").symlink_to(tmp_path / "else")
    found = walk(data)
    assert found.names == [*(f"cat/{i:05d}.png" for i in range(2)), *(f"dog/{i:05d}.png" for i in range(3))]
    passed = {one.why: one.count for one in found.accounts.passed}
    assert passed == {
        "link to a folder that it lies in": 3,
        "link to a folder that is read already": 1,
        "link to nothing": 2,
    }
    assert open_source(str(data), "all").classes == ("cat", "dog")


def test_a_run_in_the_data_is_passed_over(tmp_path):
    fill(tmp_path / "a", 3), fill(tmp_path / "run" / "samples", 2)
    (tmp_path / "run" / "checkpoints").mkdir()
    (tmp_path / "run" / "config.json").touch()
    found = walk(tmp_path)
    assert len(found.names) == 3
    assert [(one.why, one.first) for one in found.accounts.passed] == [("run folder of ddpm", "run")]
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(tmp_path / "a", "a")
    for file in (tmp_path / "a").iterdir():
        file.unlink()
    assert (
        len(open_source(str(tmp_path), "all")) == 3
    )  # the archive: the run's pictures do not make it a folder of pictures


def test_without_a_test_split_the_validation_images_are_it(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        fill(tmp_path / split / "cat", count)
    with pytest.raises(NotFound, match="no validation split beside") as refused:
        open_source(str(tmp_path), "validation")
    assert "`split=test`" in refused.value.hints[0]
    assert len(open_source(str(tmp_path), "test")) == 2
