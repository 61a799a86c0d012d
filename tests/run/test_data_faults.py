"""A run on a folder of which much is broken, or breaks while it trains, is the run on what is whole: to the bit."""

import csv
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from ddpm.data.indexing import pictures
from ddpm.data.indexing.lazy_images import Reader
from ddpm.run import session
from tests.harness.commands import TINY

QUICK = ("--steps", "4", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0", "--set", "schedule.T=4")
SMALL = (*TINY[2:], *QUICK)  # but for the source
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a2146" * 8 + b"\nsize 1\n"


def _broken(whole, i):
    """A file that is broken in one of six ways."""
    cut, flipped = whole[: len(whole) // 2], bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    return [cut, b"", b"<html><body>Not found</body></html>", POINTER, bytes(flipped), b"\x89PNG\r\n\x1a\n" + whole][
        i % 6
    ]


def _folders(path, count, broken):
    """A clean folder, and one with as many of its pictures broken ones beside them."""
    clean, dirty = path / "clean", path / "dirty"
    for name in ("a", "b"):
        (clean / name).mkdir(parents=True)
        (dirty / name).mkdir(parents=True)
    random = np.random.RandomState(0)
    for i in range(count):
        name = f"{'ab'[i % 2]}/{i:05d}.png"
        Image.fromarray(random.randint(0, 256, (8, 8), dtype=np.uint8)).save(clean / name)
        os.link(clean / name, dirty / name)
        if i < broken:
            ending = [".jpg", ".png"][i // 6 % 2]
            (dirty / f"{name[:-4]}-bad{ending}").write_bytes(_broken((clean / name).read_bytes(), i))
    return clean, dirty


def _train(ddpm, data, run, *flags):
    return ddpm(
        "train", "--data", data, "--output-dir", run, *SMALL, "--set", "data.augmentation=horizontal-flip", *flags
    )


def _same(one, other):
    """Weights, their average and the optimiser of the last checkpoint, and the log but for the time."""
    (last,) = {max(os.listdir(run / "checkpoints")) for run in (one, other)}
    for name in ("model", "ema", "optimizer"):
        first, second = (load_file(run / "checkpoints" / last / f"{name}.safetensors") for run in (one, other))
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), name
    rows = [[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (one, other)]
    for row in rows[0] + rows[1]:
        del row["seconds"]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("split", ["its own", "by name"])
def test_who_has_read_what_is_held_out_goes_home(ddpm, tmp_path, monkeypatch, split):
    """Before training begins: the processes that read the held-out part of a source with a split of its own."""
    readers, real, working = [], session.train, []

    class Noted(Reader):
        def __init__(self, *given):
            super().__init__(*given)
            readers.append(self)

    def begun(*given):
        working.extend(reader for reader in readers if reader._pool is not None)
        return real(*given)

    monkeypatch.setattr(pictures, "Reader", Noted)
    monkeypatch.setattr(session, "train", begun)
    clean, _ = _folders(tmp_path, 12, 0)
    if split == "its own":
        (clean / "a").rename(clean / "train")
        (clean / "b").rename(clean / "test")
    flags = ("--set", "data.in_memory=0", "--set", "data.workers=1", "--set", "data.held_out=0.3", "--steps", 1)
    said = _train(ddpm, clean, tmp_path / "run", *flags)
    assert said.code == 0, said.err
    assert len(working) == (split == "by name")
    assert all(reader._pool is None for reader in readers)


def _check(ddpm, tmp_path, count, broken, *flags):
    clean, dirty = _folders(tmp_path, count, broken)
    said = _train(ddpm, dirty, tmp_path / "refused", *flags)
    assert said.code == 65
    assert f"{broken} of {count + broken} images" in said.err
    assert "--set data.max_broken=0.2 " in said.err
    assert _train(ddpm, clean, tmp_path / "one", *flags).code == 0
    said = _train(ddpm, dirty, tmp_path / "two", "--set", "data.max_broken=0.5", *flags)
    assert said.code == 0, said.err
    assert f"files that cannot be read are left out: {broken} " in said.err
    _same(tmp_path / "one", tmp_path / "two")
    assert not (tmp_path / "one" / "bad_images.csv").exists()
    with (tmp_path / "two" / "bad_images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["path"] for row in rows) == sorted(f"{f.parent.name}/{f.name}" for f in dirty.rglob("*-bad*"))
    assert {row["fault"] for row in rows} == {"damaged", "no image"}
    assert all(row["message"] for row in rows)
    said = ddpm("data", dirty, "--json", "-")
    assert len(json.loads(said.out)["broken"]) == broken


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="memory", marks=pytest.mark.long),
        pytest.param(("--set", "data.in_memory=0", "--set", "data.workers=1"), id="files"),
    ],
)
def test_a_fifth_broken(ddpm, tmp_path, flags):
    _check(ddpm, tmp_path, 80, 20, *flags)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "flags", [(), ("--set", "data.in_memory=0", "--set", "data.workers=2")], ids=["memory", "files"]
)
def test_ten_thousand_broken_among_fifty_thousand(ddpm, tmp_path, flags):
    _check(ddpm, tmp_path, 40_000, 10_000, *flags)


def test_an_image_that_breaks_while_training(ddpm, tmp_path, monkeypatch):
    """It is replaced, counted and listed; by how many processes images are read changes no bit of that."""
    folder, _ = _folders(tmp_path, 40, 0)
    kept = {file: file.read_bytes() for file in folder.rglob("*.png")}
    real = session.train

    def breaking(state, process, objective, batches, recipe, team):
        (folder / batches.images.names[int(batches.rows(1)[0])]).write_bytes(b"x")
        return real(state, process, objective, batches, recipe, team)

    monkeypatch.setattr(session, "train", breaking)
    for name, workers in (("one", 0), ("two", 2)):
        for file, content in kept.items():
            file.write_bytes(content)
        said = _train(ddpm, folder, tmp_path / name, "--set", "data.in_memory=0", "--set", f"data.workers={workers}")
        assert said.code == 0, said.err
        with (tmp_path / name / "bad_images.csv").open(newline="") as lines:
            (row,) = csv.DictReader(lines)
        assert row["fault"] == "lost"
        assert (folder / row["path"]).read_bytes() == b"x"
    _same(tmp_path / "one", tmp_path / "two")
    assert json.loads((tmp_path / "one" / "metrics.jsonl").read_text().splitlines()[-1])["lost_images"] == 1


@pytest.mark.long
def test_the_number_of_workers_may_change_on_the_way(ddpm, tmp_path):
    """A run in three parts, by 0, 1 and 2 workers, is the run in one."""
    folder, _ = _folders(tmp_path, 40, 0)
    files = ["--set", "data.in_memory=0", "--set", "training.decay=constant", "--set"]
    assert _train(ddpm, folder, tmp_path / "whole", *files, "data.workers=0").code == 0
    for workers, steps in ((0, 1), (1, 2), (2, 4)):
        said = _train(
            ddpm,
            folder,
            tmp_path / "parts",
            *files,
            f"data.workers={workers}",
            "--steps",
            steps,
        )
        assert said.code == 0, said.err
    for name in ("model", "ema", "optimizer"):
        first, second = (
            load_file(tmp_path / run / "checkpoints" / "step-000000004" / f"{name}.safetensors")
            for run in ("whole", "parts")
        )
        assert all(torch.equal(first[key], second[key]) for key in first)
