"""Moments in files: what is written is read, others' are too, and hostile ones are refused without running anything."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch

from ddpm.errors import DataError, Mismatch, NotFound
from ddpm.evaluation.images import moments_file
from ddpm.evaluation.images.features.pixels import Pixels
from ddpm.evaluation.images.moments import Moments
from ddpm.evaluation.images.moments_file import is_moments, read_moments, write_moments


def moments():
    return Moments.of(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "m.npz"
    write_moments(path, moments(), Pixels())
    found = read_moments(path)
    assert is_moments(path)
    torch.testing.assert_close(found.moments.mean, moments().mean)
    torch.testing.assert_close(found.moments.covariance, moments().covariance)
    assert (found.images, found.features, found.digest, found.how) == (50, "pixels", "none", Pixels().how)
    found.require(Pixels(), "m.npz")


def test_pytorch_fid_reads_it_and_its_files_are_read(tmp_path):
    """Its keys are `mu` and `sigma`, and nothing else."""
    path = tmp_path / "theirs.npz"
    np.savez_compressed(path, mu=moments().mean.numpy(), sigma=moments().covariance.numpy())
    found = read_moments(path)
    assert (found.images, found.digest) == (None, None)
    found.require(Pixels(), "theirs.npz")
    torch.testing.assert_close(found.moments.covariance, moments().covariance)


def test_moments_of_other_features_are_refused(tmp_path):
    path = tmp_path / "m.npz"
    write_moments(path, moments(), Pixels(side=8))
    with pytest.raises(Mismatch, match="at most 8 pixels"):
        read_moments(path).require(Pixels(), "m.npz")


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (os.mkdir, (self.place,))


HOSTILE = {
    "pickle": {"mu": np.zeros(1), "sigma": np.eye(1)},
    "another shape": {"mu": np.zeros(3), "sigma": np.eye(2)},
    "two axes": {"mu": np.zeros((2, 2)), "sigma": np.eye(2)},
    "integers": {"mu": np.zeros(2, int), "sigma": np.eye(2)},
    "not finite": {"mu": np.array([np.nan, 0]), "sigma": np.eye(2)},
    "many features": {"mu": np.zeros(2), "sigma": np.eye(2), "extra": np.zeros(8**2 + 600)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(moments_file, "MOST_FEATURES", 8)
    path = tmp_path / "m.npz"
    arrays = dict(HOSTILE[kind])
    if kind == "pickle":
        arrays["mu"] = np.array([Payload(str(tmp_path / "was-run"))], dtype=object)
    np.savez_compressed(path, **arrays)
    with pytest.raises(DataError, match="no moments of features"):
        read_moments(path)
    assert not (tmp_path / "was-run").exists()


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "m.npz"
    with pytest.raises(NotFound):
        read_moments(path)
    write_moments(path, moments(), Pixels())
    path.write_bytes(path.read_bytes()[:200])
    assert not is_moments(path)
    with pytest.raises(DataError):
        read_moments(path)


def test_an_archive_that_unpacks_to_more_than_it_may_say_is_refused(tmp_path):
    """A member whose header asks for 10^5 x 10^5 numbers that are not there."""
    path, data = tmp_path / "m.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": "<f8", "fortran_order": False, "shape": (10**5, 10**5)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sigma.npy", data.getvalue())
        archive.writestr("mu.npy", data.getvalue())
    with pytest.raises(DataError):
        read_moments(path)


def test_a_bomb_an_encrypted_and_a_damaged_member_are_refused(tmp_path):
    """In a line, and of the first no more is made than its file has and the moments of Inception's features."""
    bomb = tmp_path / "bomb.npz"
    np.savez_compressed(bomb, mu=np.zeros(4000), sigma=np.zeros((4000, 4000)))
    assert bomb.stat().st_size < 200_000
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, mu=np.zeros(3), sigma=np.eye(3))
    data = bytearray(whole.read_bytes())
    name, extra = (int.from_bytes(data[place : place + 2], "little") for place in (26, 28))
    at = 30 + name + extra  # where the first member begins
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(data[:at] + bytes(byte ^ 255 for byte in data[at : at + 20]) + data[at + 20 :])
    flag = data[:]
    for place in (6, data.index(b"PK\x01\x02") + 8):  # "this member is encrypted", in both of its headers
        flag[place] |= 1
    encrypted = tmp_path / "encrypted.npz"
    encrypted.write_bytes(flag)
    np.savez(tmp_path / "count.npz", mu=np.zeros(3), sigma=np.eye(3), images=np.array(np.inf))
    for path in (bomb, damaged, encrypted, tmp_path / "count.npz"):
        with pytest.raises(DataError, match="no moments of features"):
            read_moments(path)
    assert read_moments(whole).moments.dims == 3
