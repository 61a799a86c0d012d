"""Which kind of source a path is, by the names of its files alone."""

import os

import pytest

from ddpm.data.open import Kind, kind_of

FILES = {
    "train-images-idx3-ubyte": Kind.IDX,
    "x.idx.gz": Kind.IDX,
    "data_batch_1.bin": Kind.CIFAR,
    "a.parquet": Kind.PARQUET,
    "a.tar": Kind.TAR,
    "a.tar.gz": Kind.TAR,
    "a.npz": Kind.NPZ,
    "a.npy": Kind.NPZ,
    "a.png": None,
    "a.txt": None,
}
FOLDERS = {
    ("train-images-idx3-ubyte", "a.png"): Kind.IDX,
    ("data_batch_1.bin",): Kind.CIFAR,
    ("other.bin", "a.png"): Kind.FOLDER,
    ("data/train-0.parquet",): Kind.PARQUET,
    ("metadata.parquet", "a.png"): Kind.FOLDER,
    ("train/0.tar", "notes.txt"): Kind.TAR,
    ("0.tar", "deep/er/a.png"): Kind.FOLDER,
    ("a.npz",): Kind.FOLDER,
    (): Kind.FOLDER,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_its_ending(name, tmp_path):
    (tmp_path / name).touch()
    assert kind_of(tmp_path / name) is FILES[name]


@pytest.mark.parametrize("names", FOLDERS)
def test_a_folder_is_known_by_the_files_in_it(names, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert kind_of(tmp_path) is FOLDERS[names]


def test_a_pipe_is_no_source_and_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    assert kind_of(tmp_path / "a.npz") is None


def test_no_file_is_opened(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("a file was opened"))
    assert kind_of(tmp_path) is Kind.FOLDER
