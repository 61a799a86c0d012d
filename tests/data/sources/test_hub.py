"""Data sets of the Hugging Face hub: from a small hub of our own, on this machine."""

import tarfile

import pytest
import torch
from huggingface_hub import constants

from ddpm.data.open import open_both, open_source
from ddpm.data.sources import hub
from ddpm.errors import NotFound, StorageError, Unavailable, UsageError
from tests.harness.pictures import fill
from tests.harness.small_hub import NEW, OLD, served, tables

__all__ = ["served", "tables"]


@pytest.mark.parametrize("place", ["", "data/", "plain_text/", "default/SPLIT/"])
def test_a_data_set_of_the_hub_is_its_files(served, tables, tmp_path, place):
    """Tables at the top, in data/, or in the one folder that has some; pixels, labels and split as those of the files."""
    placed = {place.replace("SPLIT", name.split("-")[0]) + name: content for name, content in tables.items()}
    served.add("a/b", OLD, {"README.md": b"#", **placed})
    images, held_out = open_both("hf:a/b")
    for found, split in ((images, "train"), (held_out, "test")):
        local = open_source(str(tmp_path / split), "all")
        assert torch.equal(found.tensor(), local.tensor())
        assert found.labels.tolist() == local.labels.tolist()
        assert found.classes == ("cats", "dogs")
    assert served.asked["resolve"] == 4  # of each table, where it is and what it holds; the README is not asked for


def test_what_is_there_is_not_asked_for_again(served, tables):
    """Under the name of its commit it is read without the hub."""
    served.add("a/b", OLD, tables)
    source = hub.pinned("hf:a/b")
    assert source == f"hf:a/b@{OLD}"
    first = open_source(source)
    served.asked.clear()
    assert torch.equal(open_source(source).tensor(), first.tensor())
    assert not served.asked
    served.sets.clear()
    served.newest.clear()
    assert torch.equal(open_source(source).tensor(), first.tensor())


def test_a_name_is_the_newest_and_a_commit_stays(served, tables):
    served.add("a/b", OLD, {"x/" + name: content for name, content in tables.items()})
    began = hub.pinned("hf:a/b")
    assert began == f"hf:a/b@{OLD}/x"
    served.add("a/b", NEW, {"train.parquet": tables["test-00000-of-00001.parquet"]})
    assert hub.pinned("hf:a/b") == f"hf:a/b@{NEW}"
    assert hub.pinned(began) == began
    assert (len(open_source(began)), len(open_source("hf:a/b", "all"))) == (12, 4)
    served.add("a/b", OLD, {"x/" + name: content for name, content in tables.items()})
    of_main = hub.pinned("hf:a/b@main")
    assert of_main == f"hf:a/b@main={OLD}/x"
    assert hub.pinned(of_main) == of_main
    assert len(open_source(of_main)) == 12
    assert hub.same(of_main, "hf:a/b@main")
    assert not hub.same(of_main, "hf:a/b@v1")
    assert not hub.same(of_main, "hf:a/b")
    assert hub.same(began, "hf:a/b")
    assert hub.same(began, "hf:a/b/x")
    assert not hub.same(began, "hf:a/b/y")
    assert not hub.same(began, "hf:a/c")
    assert not hub.same(began, f"hf:a/b@{NEW}")
    assert not hub.same("digits", "hf:a/b")


def test_what_a_name_does_not_say_is_none():
    assert hub.parse("hf:a/b") == hub.Name("a/b", revision=None, commit=None, folder="")
    assert hub.parse("hf:a/b@v1/x") == hub.Name("a/b", "v1", None, "x")
    assert hub.parse(f"hf:a/b@v1={NEW}") == hub.Name("a/b", "v1", NEW)
    for name in ("hf:a/b", "hf:a/b@v1/x", f"hf:a/b@v1={NEW}", f"hf:a/b@{NEW}"):
        assert str(hub.parse(name)) == name


def test_what_cannot_be_had(served, tables, monkeypatch):
    served.add("a/b", OLD, {f"{folder}/{name}": content for folder in "xyz" for name, content in tables.items()})
    served.add("a/empty", OLD, {"README.md": b"#"})
    with pytest.raises(NotFound, match="several data sets") as failure:
        open_source("hf:a/b")
    assert failure.value.hints == ("give one of them: hf:a/b/x, hf:a/b/y, hf:a/b/z",)
    assert len(open_source("hf:a/b/y")) == 12
    with pytest.raises(NotFound, match="no images in 'hf:a/empty'"):
        open_source("hf:a/empty")
    with pytest.raises(NotFound, match="no such data set on the hub, or none for you: 'hf:a/none'"):
        open_source("hf:a/none")
    with pytest.raises(NotFound, match=f"no such data set on the hub, or none for you: 'hf:a/b@{NEW}'"):
        open_source(f"hf:a/b@{NEW}")
    for wrong in ("hf:", "hf:a/b/../c", "hf:a/b@", "hf:-/x", "hf:a/b/x@y"):
        with pytest.raises(UsageError, match="no name of a data set on the hub"):
            open_source(wrong)
    monkeypatch.setattr(hub, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="needs huggingface_hub") as missing:
        open_source("hf:a/b/y")
    assert missing.value.hints == ("pip install 'ddpm[hub]'",)


def test_without_a_network_or_a_disk(monkeypatch, tmp_path, served, tables):
    served.add("a/b", OLD, tables)
    full = tmp_path / "file"
    full.write_text("")
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="cannot keep what is downloaded: 'hf:a/b@"):
        patch.setattr(constants, "HF_HUB_CACHE", str(full))
        open_source("hf:a/b")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="cannot reach the hub: 'hf:a/b'"):
        open_source("hf:a/b")


def test_names_are_written_as_they_are_read():
    for source in (
        "hf:mnist",
        "hf:a/b",
        "hf:a/b@v1",
        "hf:a/b/c/d",
        "hf:mnist@v1/c",
        "hf:a/b@refs%2Fconvert%2Fparquet/c",
    ):
        assert str(hub.parse(source)) == source
        assert hub.parse(source).commit is None
    for source in (f"hf:a/b@{OLD}", f"hf:a/b@v1={OLD}/c", f"hf:mnist@{OLD}"):
        assert str(hub.parse(source)) == source
        assert hub.parse(source).commit == OLD
    assert hub.parse("hf:a/b@refs/convert/parquet/c") == hub.Name("a/b", "refs/convert/parquet", None, "c")
    assert hub.parse(f"hf:a/b@refs/pr/3={OLD}/c") == hub.Name("a/b", "refs/pr/3", OLD, "c")
    assert hub.parse(f"hf:a/b@v=1={OLD}") == hub.Name("a/b", "v=1", OLD)


def test_every_image_is_fetched(served, tmp_path):
    """Whatever the case of its ending, and in a folder of any name; and archives."""
    pictures = tmp_path / "pictures"
    fill(pictures, 4)
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(pictures, ".")
    endings = (".png", ".PNG", ".Png", ".pNG")
    images = {f"x[1]/{n}{endings[n]}": file.read_bytes() for n, file in enumerate(sorted(pictures.iterdir()))}
    served.add("a/b", OLD, {**images, "notes.txt": b"", "y/0.png": b""})
    served.add("a/c", OLD, {"data/a.tar": (tmp_path / "a.tar").read_bytes()})
    assert len(open_source("hf:a/b/x[1]", "all")) == 4
    assert len(open_source("hf:a/c", "all")) == 4
    assert served.asked["resolve"] == 10


def test_what_is_wrong_with_us_is_not_blamed_on_the_hub(served, tables, monkeypatch):
    served.add("a/b", "main", tables)
    with pytest.raises(Unavailable, match="which commit it has"):
        hub.pinned("hf:a/b")
    served.add("a/b", OLD, tables)
    monkeypatch.setattr(hub, "_in_any_case", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        hub.fetched("hf:a/b")
