"""The model that comes with the package: opened by its name, the same on every machine, and never written to.

`python -m tests.interop.test_shipped` writes the golden files anew, for another model or a version of the format that is not
published yet.
"""

import json
import os
import shutil
import stat
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

import ddpm as face
from ddpm.codec import container
from ddpm.errors import CannotCreate, NotFound, UsageError
from ddpm.interop import shipped
from ddpm.run.imported import lasting, own_folder, place, read_run
from ddpm.storage import tensorfile
from ddpm.trained.coding import codec_of

NAME = "ddpm:mnist"
GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path(str(files("ddpm.interop.shipped"))) / "mnist"
WEIGHTS = "a41d6c58c8dd962afa413dff4734e0b4"
CODEC = "ff419c29328e5e60da80048241156a46965f01c8a9661ef892e9551a40cae82b"
CHAIN = "f7610bb14df6ab8c8fa70665ffc34dabfb0362dd600f743d09512c5396b32af1"


def digits(count=3):
    """A nought, a one and a nine as whole numbers draw them on every machine: like those of MNIST, (count, 28, 28, 1)."""
    i, j = np.mgrid[:28, :28]
    nought = 480 - 4 * np.abs((2 * i - 27) ** 2 + 2 * (2 * j - 27) ** 2 - 330)
    one = np.where((i > 4) & (i < 23), 420 - 40 * np.abs(5 * (j - 14) + i - 14), 0)
    ring = 480 - 5 * np.abs((2 * i - 19) ** 2 + (2 * j - 26) ** 2 - 110)
    stem = np.where((i > 9) & (i < 24), 420 - 40 * np.abs(5 * (j - 17) + i - 12), 0)
    return np.stack([nought, one, np.maximum(ring, stem)])[:count, ..., None].clip(0, 255)


@pytest.fixture(scope="module")
def model():
    return face.load(NAME, device="cpu")


@pytest.fixture
def _no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "cache"))


def test_what_is_in_the_package():
    """Small, of half precision, with both profiles of the codec, and with no path of the machine that made it."""
    every = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in every) < 700_000
    held = tensorfile.tensors_in(bytearray((FOLDER / shipped.WEIGHTS).read_bytes()))[1]
    assert {one.dtype for one in held.values()} == {torch.float16}
    assert sum(one.numel() for one in held.values()) == 280_322
    assert sorted(path.name for path in (FOLDER / shipped.CODECS).iterdir()) == [
        "step-000008000-ema-chain.json",
        "step-000008000-ema.json",
    ]
    assert json.loads((FOLDER / shipped.CONFIG).read_text())["data"]["source"] == "mnist"
    assert not [path for path in every if b"/work" in path.read_bytes() or b"/home" in path.read_bytes()]


def test_it_is_the_same_model_everywhere(model):
    """Whatever machine writes a file, this one reads it: the names in the file are those."""
    assert model.loaded.digest == WEIGHTS
    codec = codec_of(model.loaded, chain=True)
    assert (codec.profile.exact, codec.name.hex()) == (True, CODEC)
    assert codec.chain.digest(codec.name.hex()).hex() == CHAIN
    assert repr(model) == f"TrainedModel('{NAME}', ema weights of step 8,000: 1x28x28 images of 256 levels, T = 1000)"


def test_golden_files_are_read_and_written(model):
    pixels = digits()
    file, archive = ((GOLDEN / name).read_bytes() for name in ("digit.ddpm", "digits.ddpm"))
    assert container.unpack(file)[0].coding == container.PROGRESSIVE
    assert np.array_equal(model.decompress(file, progress=False).numpy(), pixels[2:])
    assert np.array_equal(model.decompress(archive, progress=False).numpy(), pixels)
    assert model.compress(pixels[2:].astype(np.uint8), progress=False) == [file]
    assert model.archive(pixels.astype(np.uint8), progress=False) == archive
    early = model.decompress(file, bytes=len(file) // 3, progress=False).numpy().astype(float)
    assert np.sqrt(np.mean((early - pixels[2:]) ** 2)) < 15


def test_it_draws(model):
    drawn = model.sample(2, sampler="ddim", steps=5, progress=False)
    assert drawn.tensor.shape == (2, 1, 28, 28)
    ink = drawn.numpy().astype(float) / 255
    assert ink[:, :2].mean() < 0.1 < ink[:, 8:20, 8:20].mean()


def test_pictures_of_another_size(ddpm, tmp_path):
    """And from the command line, with nothing in the folder but the pictures."""
    pictures = np.concatenate([digits()[:1], digits()[1:2]], axis=2)[:, :, :45].astype(np.uint8)
    face.images(pictures).save(tmp_path / "in")
    packed, out = tmp_path / "packed", tmp_path / "out"
    said = ddpm("compress", NAME, tmp_path / "in" / "000000.png", "-o", packed)
    assert said.code == 0, said.err
    assert "exact" in said.out
    said = ddpm("decompress", packed / "000000.ddpm", "--run", NAME, "-o", out)
    assert said.code == 0, said.err
    assert np.array_equal(face.images(str(out)).numpy(), pictures)
    assert (packed / "000000.ddpm").stat().st_size < (tmp_path / "in" / "000000.png").stat().st_size
    said = ddpm("inspect", packed / "000000.ddpm", "--run", NAME)
    assert said.code == 0, said.err


@pytest.mark.usefixtures("_no_cache")
def test_the_package_is_not_written_to(monkeypatch, tmp_path):
    """Its files may belong to another user; what a run keeps is in the cache, and comes back where it was removed."""
    copied = tmp_path / "site" / "mnist"
    shutil.copytree(FOLDER, copied)
    every = [copied.parent, copied, *copied.rglob("*")]
    for path in every:
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    monkeypatch.setattr(shipped, "files", lambda _: copied.parent)
    model = face.load(NAME)
    assert model.loaded.folder.path.is_relative_to(tmp_path / "cache")
    shutil.rmtree(model.loaded.folder.codecs)
    assert face.load(NAME).compress(digits()[2:].astype(np.uint8), progress=False) == [
        (GOLDEN / "digit.ddpm").read_bytes()
    ]
    assert sorted(every) == sorted([copied.parent, copied, *copied.rglob("*")])
    assert all(
        path.read_bytes() == (FOLDER / path.relative_to(copied)).read_bytes() for path in every if path.is_file()
    )
    for path in every:
        path.chmod(0o700)


def test_where_no_cache_can_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "file"))
    with pytest.raises(CannotCreate) as error:
        face.load(NAME)
    assert any("DDPM_CACHE names another folder" in hint for hint in error.value.hints)
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "another"))
    assert face.load(NAME).step == 8000


def test_a_folder_of_this_name(run, monkeypatch, tmp_path):
    """Is reached by a path."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, NAME)
    assert face.load(f"./{NAME}").shape == (1, 8, 8)
    assert face.load(NAME).shape == (1, 28, 28)
    assert own_folder(f"./{NAME}") == tmp_path / NAME
    assert place("./runs/mine") == Path("runs/mine")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--data", "digits", "--preset", "digits", "--steps", "1", "--output-dir", NAME),
        ("train", "--data", "digits", "--output-dir", "new", "--resume", NAME),
        ("demo", "--output-dir", NAME),
        ("import", NAME, NAME),
        ("verify", NAME),
    ],
)
def test_it_is_no_run_folder(ddpm, monkeypatch, tmp_path, words):
    monkeypatch.chdir(tmp_path)
    said = ddpm(*words)
    assert said.code == 2
    assert said.err.splitlines() == [
        f"ddpm: error: {NAME!r} is a model to read, and no run folder",
        f"hint: --init-from {NAME} begins a new run with its weights",
        f"hint: ddpm import {NAME} RUN makes a run folder of it",
    ]
    assert not os.listdir(tmp_path)


def test_a_run_folder_of_it(ddpm, tmp_path):
    """With the codec's profiles: its files are those of the name."""
    said = ddpm("import", NAME, tmp_path / "run")
    assert said.code == 0, said.err
    assert "280,322 parameters in half precision" in said.out
    assert json.loads((tmp_path / "run" / "origin.json").read_text())["source"] == NAME
    again = face.load(tmp_path / "run")
    assert again.decompress((GOLDEN / "digit.ddpm").read_bytes(), progress=False).numpy().shape == (1, 28, 28, 1)
    assert ddpm("verify", tmp_path / "run").code == 0


def test_a_new_run_begins_with_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    quiet = {"rhythm.evaluate": 0, "rhythm.sample": 0}
    tuned = face.fit(
        digits(8).astype(np.uint8), "tuned", steps=1, batch_size=4, init_from=NAME, settings=quiet, progress=False
    )
    assert tuned.experiment.init.path == NAME == lasting(Path(NAME))
    assert tuned.experiment.init.digest == WEIGHTS


def test_names_that_there_are_not(ddpm):
    with pytest.raises(UsageError, match="unknown model of the package: 'ddpm:minst'") as error:
        face.load("ddpm:minst")
    assert "did you mean 'ddpm:mnist'?" in error.value.hints
    with pytest.raises(UsageError, match="unknown model of the package"):
        read_run(Path("ddpm:"))
    assert ddpm("schedule", NAME, "--json", "-").code == 0


def test_its_data_are_not_there(ddpm, model, monkeypatch, tmp_path):
    """It says where they are needed, and whatever data are named are read as its own."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFound, match="no such data: 'mnist'") as error:
        model.sample(1, steps=3, spacing="optimal", progress=False)
    assert any("data.source=SOURCE" in hint for hint in error.value.hints)
    face.images(digits(4).astype(np.uint8)).save("in")
    said = ddpm("evaluate", NAME, "--data", "in", "--split", "all", "--steps", "5", "--json", "bits.json")
    assert said.code == 0, said.err
    found = json.loads(Path("bits.json").read_text())
    assert (found["run"], found["data"]) == (NAME, "in")


def test_a_card_of_it(model, tmp_path):
    """Says how it was trained, and by us."""
    model.export(tmp_path / "out")
    said = (tmp_path / "out" / "README.md").read_text()
    assert "| steps | 8,000 |" in said
    assert "another library" not in said


def write():
    """The golden files, and what is pinned above."""
    GOLDEN.mkdir(exist_ok=True)
    model, pixels = face.load(NAME), digits().astype(np.uint8)
    (GOLDEN / "digit.ddpm").write_bytes(model.compress(pixels[2:])[0])
    (GOLDEN / "digits.ddpm").write_bytes(model.archive(pixels))
    codec = codec_of(model.loaded, chain=True)
    print(model.loaded.digest, codec.name.hex(), codec.chain.digest(codec.name.hex()).hex())


if __name__ == "__main__":
    sys.exit(write())
