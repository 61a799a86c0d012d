"""The index of a folder: built once, reused, mended; no file can end it, whatever it does to a decoder."""

import errno
import hashlib
import json
import os
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ddpm.data.decoding import image_file
from ddpm.data.decoding.span import FilePart, TableRow, WholeFile
from ddpm.data.describe import survey
from ddpm.data.indexing import index
from ddpm.data.open import open_source
from ddpm.data.sources.folder import parts
from ddpm.data.splits import Options
from ddpm.errors import DataError, NotFound
from tests.harness.pictures import append, fill, trapped

__all__ = ["trapped"]


def _indexed(root):
    return index.indexed(root, parts(root).listing("all").sources)


@pytest.fixture
def looked(monkeypatch):
    """The rows that are decoded, from here on."""
    rows, real = [], index._looked
    monkeypatch.setattr(
        index, "_looked", lambda sources, missing, how: (rows.extend(missing), real(sources, missing, how))[1]
    )
    return rows


def test_an_entry_says_what_is_in_the_file(tmp_path):
    fill(tmp_path / "a", 3)
    Image.new("LA", (7, 3), (100, 255)).save(tmp_path / "z.png")
    found = _indexed(tmp_path)
    assert found.names == ["a/00000.png", "a/00001.png", "a/00002.png", "z.png"]
    assert found.entries["mode"].tolist() == [b"RGB"] * 3 + [b"LA"]
    assert found.entries["grey"].tolist() == [False] * 3 + [True]
    assert (found.entries["width"][3], found.entries["height"][3]) == (7, 3)
    for row, name in enumerate(found.names):
        content = (tmp_path / name).read_bytes()
        assert found.entries["sha256"][row].tobytes() == hashlib.sha256(content).digest()
        assert found.entries["size"][row] == len(content)
    assert np.unpackbits(found.entries["values"][3]).nonzero()[0].tolist() == [100]


def test_only_what_changed_is_looked_at_again(tmp_path, looked):
    fill(tmp_path, 40)
    (tmp_path / "00007.png").write_bytes(b"no picture")
    first = _indexed(tmp_path)
    assert looked == list(range(40))
    looked.clear()
    again = _indexed(tmp_path)
    assert looked == []
    assert (again.entries == first.entries).all()
    assert again.faults == first.faults
    assert list(again.faults) == [7]
    (tmp_path / "00003.png").unlink()
    fill(tmp_path, 1, (3, 3), first=12)
    third = _indexed(tmp_path)
    assert looked == [11]
    assert third.names[11] == "00012.png"
    assert third.entries["width"][11] == 3
    assert list(third.faults) == [6]


def test_the_kinds_of_span_are_kept_in_the_numbers_of_old_files(tmp_path, monkeypatch):
    """`length` -1 is a whole file and -2 a row: what is in caches and run folders is read with these."""
    spans = [
        WholeFile(str(tmp_path / "a.png")),
        FilePart("/x.tar", 512, 3),
        TableRow("/y.parquet", 4),
        FilePart("/x.tar", 0, 0),
    ]
    monkeypatch.setattr(index, "_looked", lambda _sources, _missing, _reading: [])
    names = ("a.png", "x.tar/b.png", "y.parquet/00000004", "x.tar/c.png")
    found = index.indexed(tmp_path, [index.Source(name, span, 9, 8) for name, span in zip(names, spans, strict=True)])
    kept = [tuple(int(found.entries[field][row]) for field in ("offset", "length", "shard")) for row in range(4)]
    assert kept == [(0, -1, -1), (512, 3, 0), (4, -2, 1), (0, 0, 0)]
    assert found.shards == ("/x.tar", "/y.parquet")
    assert [found.span(row) for row in range(4)] == spans
    assert [image_file.span_in(json.loads(json.dumps(vars(span)))) for span in spans] == spans
    moved = replace(found, entries=index.without_places(found.entries))
    assert [moved.span(row) for row in range(4)] == [WholeFile(str(tmp_path / name)) for name in names]


def test_a_damaged_cache_is_built_anew(tmp_path, looked):
    """Every bit of it counts: the seal."""
    fill(tmp_path, 4)
    first = _indexed(tmp_path)
    file = index.cache_file(tmp_path)
    content = bytearray(file.read_bytes())
    assert tmp_path not in file.parents
    for place in (0, 40, len(content) // 2, len(content) - 1):
        looked.clear()
        bad = content.copy()
        bad[place] ^= 1
        file.write_bytes(bad)
        assert (_indexed(tmp_path).entries == first.entries).all()
        assert looked == [0, 1, 2, 3]
    file.write_bytes(content[:-1])
    assert index.load(file, tmp_path) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    fill(tmp_path / "a", 2)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DDPM_CACHE", str(tmp_path / "file"))
    assert len(_indexed(tmp_path / "a").good()) == 2


def test_decoders_that_crash_stall_or_eat_memory_cost_a_file_each(tmp_path, trapped, monkeypatch):
    fill(tmp_path, 70)
    monkeypatch.setattr(index, "PATIENCE", 1.0)
    for name, word in (("00005", b"SEGFAULT"), ("00006", b"FREEZING"), ("00040", b"GLUTTONY"), ("00069", b"SEGFAULT")):
        append(tmp_path / f"{name}.png", word)
    found = _indexed(tmp_path)
    assert {row: fault.kind for row, fault in found.faults.items()} == {
        5: "crashed",
        6: "hung",
        40: "memory",
        69: "crashed",
    }
    assert "SIGSEGV" in found.faults[5].message
    assert len(found.good()) == 66


def test_a_fleeting_fault_is_looked_at_again(tmp_path, trapped, looked):
    fill(tmp_path, 2)
    append(tmp_path / "00001.png", b"SUDDENLY")
    trapped.touch()
    assert list(_indexed(tmp_path).faults) == [1]
    trapped.unlink()
    looked.clear()
    assert len(_indexed(tmp_path).good()) == 2
    assert looked == [1]


def test_an_interrupted_index_goes_on(tmp_path, monkeypatch, looked):
    """What was found is kept, so that a second start does not begin anew."""
    fill(tmp_path, 40)
    real, seen = index._enter, []

    def entered(*args):
        seen.append(args)
        if len(seen) > 35:
            raise KeyboardInterrupt
        real(*args)

    monkeypatch.setattr(index, "_enter", entered)
    with pytest.raises(KeyboardInterrupt):
        _indexed(tmp_path)
    monkeypatch.setattr(index, "_enter", real)
    looked.clear()
    assert len(_indexed(tmp_path).good()) == 40
    assert looked == [35, 36, 37, 38, 39]


def test_a_disk_that_fails_for_a_moment_is_asked_again(tmp_path, monkeypatch):
    fill(tmp_path, 1)
    real, waited, failures = image_file._read, [], [errno.EIO, errno.ESTALE, errno.EIO]

    def failing(span):
        if failures:
            number = failures.pop()
            raise OSError(number, os.strerror(number))
        return real(span)

    monkeypatch.setattr(image_file, "_read", failing)
    monkeypatch.setattr(image_file.time, "sleep", waited.append)
    span = WholeFile(str(tmp_path / "00000.png"))
    assert image_file.read_bytes(span) == (tmp_path / "00000.png").read_bytes()
    assert tuple(waited) == image_file.PAUSES
    failures += [errno.EIO] * 4
    with pytest.raises(image_file.Fault, match="Input/output") as fault:
        image_file.read_bytes(span)
    assert fault.value.kind == "unreadable"
    failures[:] = [errno.EACCES]
    with pytest.raises(image_file.Fault, match="Permission"):
        image_file.read_bytes(span)
    assert len(waited) == 6


def test_odd_trees(tmp_path):
    """Hidden files, links in circles, equal names, both forms of an accent, pipes, names that are no text."""
    fill(tmp_path / "b", 1), fill(tmp_path / "a", 1), fill(tmp_path / ".git", 1)
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for form in ("NFC", "NFD"):
        Image.new("L", (6, 5)).save(tmp_path / (unicodedata.normalize(form, "é") + ".png"))
    name = os.fsdecode(b"\xff.png")
    Image.new("L", (6, 5)).save(tmp_path / name)
    found = _indexed(tmp_path)
    accents = [unicodedata.normalize(form, "é") + ".png" for form in ("NFD", "NFC")]
    assert found.names == ["a/00000.png", "b/00000.png", accents[0], "gone.png", "pipe.png", accents[1], name]
    assert {row: fault.kind for row, fault in found.faults.items()} == {3: "missing", 4: "unreadable"}
    assert survey(parts(tmp_path).listing("all"), Options()).broken[0].file == "gone.png"


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    fill(tmp_path / "closed", 1), fill(tmp_path, 1)
    real = os.scandir

    def denied(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match="closed: Permission denied"):
        parts(tmp_path)


def test_none_and_one(tmp_path):
    with pytest.raises(NotFound, match="no images"):
        open_source(str(tmp_path), "all")
    Image.new("L", (1, 1), 7).save(tmp_path / "one.png")
    found = open_source(str(tmp_path), "all")
    assert found.shape == (1, 1, 1)
    assert found.tensor().tolist() == [[[[7]]]]
    Image.new("L", (1, 5000), 7).save(tmp_path / "thin.png")
    assert open_source(str(tmp_path), "all", Options(resolution=(4, 4))).tensor().unique().tolist() == [7]
