"""Large pictures that were made small are kept: to the bit as decoded, noticed where damaged or of another file, and bounded."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.decoding import image_file
from ddpm.data.indexing import lazy_images, small_pictures
from ddpm.data.indexing.small_pictures import Writer, check_of
from ddpm.data.open import open_source
from ddpm.data.splits import Options
from tests.harness.photos import photo

COUNT, SIDE = 9, 16
KEPT = Options(resolution=(SIDE, SIDE))
FILES = Options(resolution=(SIDE, SIDE), in_memory=0, workers=0)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Large and small pictures, in colour and grey; JPEGs that the index decodes as they are wanted, and others."""
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(4):
        (folder / f"{i}.jpg").write_bytes(photo(i, 400))
    Image.open(folder / "0.jpg").convert("L").save(folder / "4.jpg")
    Image.open(folder / "1.jpg").resize((96, 100)).save(folder / "5.jpg")
    Image.open(folder / "2.jpg").resize((300, 301)).save(folder / "6.jpg")
    Image.open(folder / "3.jpg").resize((64, 65)).convert("L").save(folder / "7.png")
    Image.open(folder / "3.jpg").resize((20, 20)).save(folder / "8.png")
    return folder


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that are decoded to be used, by this process, from here on."""
    names, real = [], image_file.answer_to

    def answer_to(request):
        names.append(Path(request["path"]).name)
        return real(request)

    monkeypatch.setattr(lazy_images, "answer_to", answer_to)
    return names


def _folder(root):
    return small_pictures.folder_of(root, KEPT.reading)


def _as_decoded(root, channels, decoding="scaled"):
    """What the files give without anything kept."""
    found = []
    for file in sorted(root.iterdir()):
        span, sha256 = image_file.WholeFile(str(file)), image_file.hashlib.sha256(file.read_bytes()).digest()
        found.append(image_file.pixels(span, sha256, (channels, SIDE, SIDE), decoding=decoding))
    return torch.from_numpy(np.stack(found))


@pytest.mark.parametrize("options", [KEPT, FILES, replace(FILES, workers=2)])
@pytest.mark.parametrize("first", [1, 3])
def test_kept_pictures_are_the_decoded_ones(root, options, first):
    """In colour or grey, whichever was asked for first; in memory or in files, whoever reads them."""
    for channels in (first, 4 - first, first):
        images = open_source(str(root), "all", replace(options, channels=channels))
        for _ in range(2):
            assert torch.equal(images.tensor(), _as_decoded(root, channels))
            assert torch.equal(images.images[torch.tensor([7, 2, 8])], _as_decoded(root, channels)[[7, 2, 8]])
        images.close()
    assert {file.name.partition("-")[0] for file in _folder(root).iterdir()} == {"1", "3"}


def test_each_is_decoded_once(root, decoded):
    """For the index and its use together, unless a JPEG is made smaller for the one than for the other."""
    assert len(open_source(str(root), "all", KEPT)) == COUNT
    assert decoded == ["5.jpg", "6.jpg", "8.png"]
    decoded.clear()
    assert len(open_source(str(root), "all", KEPT)) == COUNT
    assert decoded == ["8.png"]
    decoded.clear()
    images = open_source(str(root), "all", FILES)
    _ = images.tensor(), images.tensor()
    assert decoded == ["8.png"] * 2


@pytest.mark.parametrize("at_once", [1, 4 * 3 * SIDE**2, 2**26])
def test_in_files_each_is_decoded_once_by_the_run_that_needs_it(root, decoded, monkeypatch, at_once):
    """What one epoch decodes the next one has, whether it is written yet or not; and so has the next run."""
    open_source(str(root), "all", Options(resolution=(SIDE - 1, SIDE)))
    monkeypatch.setattr(small_pictures, "AT_ONCE", at_once)
    decoded.clear()
    images = open_source(str(root), "all", FILES)
    _ = images.tensor()
    assert decoded == [f"{i}.jpg" for i in range(7)] + ["7.png", "8.png"]
    decoded.clear()
    _ = images.tensor()
    assert decoded == ["8.png"]
    images.close()
    decoded.clear()
    _ = open_source(str(root), "all", FILES).tensor()
    assert decoded == ["8.png"]


def test_rules_and_sizes_have_pictures_of_their_own(root):
    full = replace(KEPT, decoding="full")
    for options in (KEPT, full, KEPT, full):
        assert torch.equal(open_source(str(root), "all", options).tensor(), _as_decoded(root, 3, options.decoding))
    other = Options(resolution=(8, 9))
    assert open_source(str(root), "all", other).shape == (3, 8, 9)
    assert torch.equal(open_source(str(root), "all", KEPT).tensor(), _as_decoded(root, 3))
    assert len(list(_folder(root).parent.iterdir())) == 3


def test_a_file_that_changed_is_not_the_one_that_was_kept(root):
    """Nor is one that got another's name."""
    _ = open_source(str(root), "all", KEPT)
    (root / "0.jpg").write_bytes(photo(17, 400))
    (root / "1.jpg").rename(root / "01.jpg")
    shutil.copy(root / "3.jpg", root / "1.jpg")
    images = open_source(str(root), "all", KEPT)
    assert torch.equal(images.tensor(), _as_decoded(root, 3))


@pytest.mark.parametrize("options", [KEPT, FILES])
def test_damage_is_noticed_and_mended(root, decoded, options):
    """Any byte that is another, a file that is cut off or longer, or empty: what is read is decoded again, and kept again."""
    wanted = _as_decoded(root, 3)
    for harm in range(12):
        for file in _folder(root).iterdir() if harm else ():
            content = bytearray(file.read_bytes())
            if harm < 9:
                content[len(content) * (harm - 1) // 8 - (harm > 1)] ^= 4
            file.write_bytes({9: content[:-5], 10: content + b"x", 11: b""}.get(harm, content))
        decoded.clear()
        images = open_source(str(root), "all", options)
        assert torch.equal(images.tensor(), wanted)
        images.close()
        if harm:
            assert len(decoded) > 1
        again = open_source(str(root), "all", options)
        _ = again.tensor()
        again.close()
        decoded.clear()
        assert torch.equal(open_source(str(root), "all", options).tensor(), wanted)
        assert decoded == ["8.png"]


def test_a_disk_that_is_full_or_closed_only_takes_time(root, monkeypatch):
    wanted = _as_decoded(root, 3)

    def fails(*_args, **_more):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(small_pictures.Path, "write_bytes", fails)
        images = open_source(str(root), "all", FILES)
        assert torch.equal(images.tensor(), wanted)
        images.close()
    assert not list(_folder(root).glob("*"))
    with monkeypatch.context() as patch:
        patch.setattr(small_pictures, "_has_room", lambda _folder, _more: False)
        assert torch.equal(open_source(str(root), "all", KEPT).tensor(), wanted)
    assert not list(_folder(root).glob("*"))
    monkeypatch.setenv("DDPM_CACHE", str(root / "0.jpg"))
    assert torch.equal(open_source(str(root), "all", KEPT).tensor(), wanted)


def _keep(folder, count, size=100):
    """Write so many pictures, and age what is there."""
    writer = Writer(folder)
    for i in range(count):
        pixels = bytes([i]) * size
        writer.add(check_of(folder.name.encode(), bytes([i])) * 2, 1, pixels)
    return writer.flush()


def test_all_folders_together_are_bounded(tmp_path, monkeypatch):
    """Those that were not opened for longest make room, never the one that is written; what finds none is not kept."""
    monkeypatch.setattr(small_pictures, "MOST", 10 * 148)
    a, b, c = (tmp_path / "pictures" / name for name in "abc")
    for at, folder in enumerate((a, b)):
        assert _keep(folder, 4)
        os.utime(folder, (at, at))
    os.utime(a, (9, 9))
    assert _keep(c, 5)
    assert (a.exists(), b.exists(), c.exists()) == (True, False, True)
    assert not _keep(c, 6)
    assert sum(file.stat().st_size for file in (tmp_path / "pictures").rglob("*") if file.is_file()) <= 10 * 148
    assert not _keep(b, 11)
    monkeypatch.setattr(small_pictures.shutil, "disk_usage", lambda _place: shutil._ntuple_diskusage(900, 0, 147 * 2))
    assert not _keep(tmp_path / "pictures" / "d", 1)


def test_many_small_files_are_begun_anew(root, decoded, monkeypatch):
    monkeypatch.setattr(small_pictures, "MOST_FILES", 2)
    _ = open_source(str(root), "all", KEPT)
    assert len(list(_folder(root).iterdir())) > 2
    decoded.clear()
    assert torch.equal(open_source(str(root), "all", KEPT).tensor(), _as_decoded(root, 3))
    assert len(decoded) == COUNT


def test_drafts_of_processes_that_were_ended_are_removed(root):
    _ = open_source(str(root), "all", KEPT)
    old, new = _folder(root) / ".3-a.1", _folder(root) / ".3-b.2"
    for draft in (old, new):
        draft.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert torch.equal(open_source(str(root), "all", KEPT).tensor(), _as_decoded(root, 3))
    assert (old.exists(), new.exists()) == (False, True)
