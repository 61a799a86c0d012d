"""A tar archive is read in its place: as its folder would be, and nothing in it reaches the file system."""

import io
import os
import tarfile

import pytest
import torch

from ddpm.data.batches import Batches
from ddpm.data.indexing.listing import Accounts
from ddpm.data.open import open_source
from ddpm.data.sources import tar
from ddpm.data.splits import Options
from ddpm.errors import DataError, NotFound
from tests.harness.pictures import fill


@pytest.fixture
def packed(tmp_path):
    """A folder with two classes, and its archive."""
    for name in ("cats", "dogs"):
        fill(tmp_path / "data" / name, 12, first=len(name) * 100 + (name == "dogs") * 50)
    with tarfile.open(tmp_path / "data.tar", "w") as file:
        file.add(tmp_path / "data", ".")
    return tmp_path / "data", tmp_path / "data.tar"


def _append(path, *members):
    with tarfile.open(path, "a") as file:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            file.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_archive_is_its_folder(packed, workers):
    folder, tar = (open_source(str(path), "all") for path in packed)
    assert (tar.names, tar.classes, tar.shape) == (folder.names, folder.classes, folder.shape)
    assert torch.equal(tar.tensor(), folder.tensor())
    assert torch.equal(tar.labels, folder.labels)
    in_place = open_source(str(packed[1]), "all", Options(in_memory=0, workers=workers))
    for step in (0, 7, 3):
        assert torch.equal(Batches(in_place, 8, 0)[step], Batches(folder, 8, 0)[step])
    in_place.close()


def test_names_links_and_copies_do_no_harm(packed, tmp_path, monkeypatch):
    folder, tar = packed
    picture = (folder / "cats" / os.listdir(folder / "cats")[0]).read_bytes()
    name = open_source(str(tar), "all").names[0]
    other = (folder / open_source(str(tar), "all").names[5]).read_bytes()
    _append(
        tar,
        ("../../escape.png", tarfile.REGTYPE, picture),
        ("/absolute.png", tarfile.REGTYPE, picture),
        ("link.png", tarfile.SYMTYPE, b""),
        ("hard.png", tarfile.LNKTYPE, b""),
        ("pipe.png", tarfile.FIFOTYPE, b""),
        (".hidden.png", tarfile.REGTYPE, picture),
        (name, tarfile.REGTYPE, other),
    )
    opened, real = set(), os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: (opened.add(str(path)), real(path, *rest, **more))[1])
    found = open_source(str(tar), "all", Options(max_broken=0.2))
    assert opened - {os.devnull} == {str(tar)}  # (the processes that decode write their errors to the other)
    assert [bad.file for bad in found.broken] == ["hard.png", "link.png", "pipe.png"]
    assert len(found) == 24 + 2
    assert {"../../escape.png", "/absolute.png"} <= set(found.names)
    rows = [found.names.index(name), found.names.index(open_source(str(folder), "all").names[5])]
    assert torch.equal(found.tensor()[rows[0]], found.tensor()[rows[1]])


def test_what_is_no_archive(packed, tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="compressed"):
        open_source(str(tmp_path / "x.tar.gz"), "all")
    (tmp_path / "text.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match="cannot read the archive"):
        open_source(str(tmp_path / "text.tar"), "all")
    with tarfile.open(tmp_path / "none.tar", "w"):
        pass
    with pytest.raises(NotFound, match="no images"):
        open_source(str(tmp_path / "none.tar"), "all")
    content = packed[1].read_bytes()
    (tmp_path / "cut.tar").write_bytes(content[:5000])
    with pytest.raises(DataError):
        open_source(str(tmp_path / "cut.tar"), "all")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("size", [-1, -512])
def test_a_negative_size_is_refused(tmp_path, size):
    """One would be read by its name, the other for ever."""
    headers = []
    for name, claimed in (("a.png", 0), ("b.png", size)):
        header = bytearray(tarfile.TarInfo(name).tobuf())
        header[124:136] = (256**12 + claimed).to_bytes(13, "big")[1:] if claimed < 0 else b"00000000000\0"
        header[148:156] = b" " * 8
        header[148:156] = f"{sum(header):06o}\0 ".encode()
        headers.append(bytes(header))
    (tmp_path / "bad.tar").write_bytes(b"".join(headers) + bytes(1024))
    with pytest.raises(DataError, match=f"'b.png' has {size} bytes"):
        tar.find(tmp_path / "bad.tar", Accounts())


@pytest.mark.parametrize("harm", ["a header", "a mark of the end", "cut"])
def test_no_member_is_left_out_in_silence(packed, tmp_path, harm):
    """A damaged header in the middle hides all that follows it."""
    path = tmp_path / "harmed.tar"
    with tarfile.open(tmp_path / "whole.tar", "w") as made:
        for file in sorted(packed[0].rglob("*.png")):
            made.add(file, file.name)
    data = bytearray((tmp_path / "whole.tar").read_bytes())
    with tarfile.open(tmp_path / "whole.tar") as made:
        middle = made.getmembers()[3].offset
    if harm == "a header":
        data[middle + 100] ^= 255
    elif harm == "cut":
        del data[middle:]
    else:
        data[middle : middle + 1024] = bytes(1024)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"damaged header|cut off"):
        tar.find(path, Accounts())
    assert len(tar.find(tmp_path / "whole.tar", Accounts()).images) > 3


def test_a_huge_header_is_refused(tmp_path):
    """A name of 8 MB would be read into memory; one of 8 GB too."""
    info = tarfile.TarInfo("x" * 2**23 + ".png")
    (tmp_path / "bomb.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="a header of"):
        tar.find(tmp_path / "bomb.tar", Accounts())
