"""One set of images as folder, archive, archives and tables is one set: pixels, labels, order; and what is wrong with tables."""

import errno
import io
import json
import os
import random
import tarfile

import pyarrow as pa
import pytest
import torch
from pyarrow import parquet as pq

from ddpm.data import open as sources
from ddpm.data.batches import Batches
from ddpm.data.decoding import parquet_rows
from ddpm.data.open import open_both, open_source
from ddpm.data.pixels import InMemory
from ddpm.data.sources import parquet, shards
from ddpm.data.splits import Options
from ddpm.errors import DataError, Failure, NotFound, UsageError
from tests.harness.pictures import append, fill, trapped

__all__ = ["trapped"]
COUNT, GROUP = 24, 5
FEATURES = {"info": {"features": {"label": {"names": ["cats", "dogs"], "_type": "ClassLabel"}}}}


def packed(folder, path, **more):
    """The files of a folder as the hub would have them in one table, their first folders as labels."""
    names = sorted(os.path.relpath(file, folder) for file in folder.rglob("*.png"))
    images = [{"bytes": (folder / name).read_bytes(), "path": name} for name in names]
    classes = sorted({name.split("/")[0] for name in names})
    labels = [classes.index(name.split("/")[0]) for name in names]
    return write(path, {"image": images, "label": labels}, **more)


def write(path, columns, group=GROUP, note=FEATURES, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps(note)})
    pq.write_table(table, path, row_group_size=group, **more)
    return path


def _member(file, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    file.addfile(info, io.BytesIO(content))


@pytest.fixture
def kinds(tmp_path):
    """The same images five times: two classes, half in the first shard."""
    folder = tmp_path / "folder"
    for first, name in enumerate(("cats", "dogs")):
        fill(folder / name, COUNT // 2, first=100 * first)
    names = sorted(os.path.relpath(file, folder) for file in folder.rglob("*.png"))
    halves = (names[: COUNT // 2 + 3], names[COUNT // 2 + 3 :])
    with tarfile.open(tmp_path / "one.tar", "w") as file:
        file.add(folder, ".")
    (tmp_path / "tars").mkdir()
    for number, half in enumerate(halves):
        with tarfile.open(tmp_path / "tars" / f"set-{number:05d}.tar", "w") as file:
            for i, name in enumerate(half):
                _member(file, f"{i:05d}.cls", b"%d\n" % name.startswith("dogs"))
                _member(file, f"{i:05d}.png", (folder / name).read_bytes())
                _member(file, f"{i:05d}.json", b"{}")
    packed(folder, tmp_path / "one.parquet")
    whole = pq.read_table(tmp_path / "one.parquet")
    for number, part in enumerate((whole[: len(halves[0])], whole[len(halves[0]) :])):
        path = tmp_path / "tables" / "data" / f"train-{number:05d}-of-00002.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path, row_group_size=GROUP, compression="zstd")
    return {name: str(tmp_path / name) for name in ("folder", "one.tar", "tars", "one.parquet", "tables")}


@pytest.mark.parametrize(("in_memory", "workers"), [(2**30, 0), pytest.param(0, 0, marks=pytest.mark.long), (0, 2)])
def test_one_set_in_five_kinds(kinds, in_memory, workers):
    """The fingerprint that a run keeps, of pixels in memory or of the files' bytes, is one for all; and so is each batch."""
    prints, batches = set(), []
    for kind, source in kinds.items():
        found = open_source(source, "all", Options(in_memory=in_memory, workers=workers))
        assert isinstance(found.images, InMemory) == bool(in_memory)
        assert found.labels.tolist() == [0] * (COUNT // 2) + [1] * (COUNT // 2)
        assert found.classes == (() if kind == "tars" else ("cats", "dogs"))
        assert list(found.names) == sorted(found.names)
        prints.add(found.digest(found.labels))
        numbered = Batches(found, 10, 3, labels=found.labels)
        batches.append(torch.cat([numbered[step] for step in (0, 1, 4, 2)]))
        found.close()
    assert len(prints) == 1
    assert all(torch.equal(batch, batches[0]) for batch in batches)


def test_the_split_is_in_the_names(tmp_path):
    for name, count in (("train-0", 3), ("train-1", 2), ("validation-0", 4), ("test-0", 1)):
        fill(tmp_path / name / "a", count)
        packed(tmp_path / name, tmp_path / "hub" / "data" / f"{name}.parquet", note={})
        os.makedirs(tmp_path / "tars", exist_ok=True)
        with tarfile.open(tmp_path / "tars" / f"{name}.tar", "w") as file:
            file.add(tmp_path / name, ".")
    assert [len(part) for part in open_both(str(tmp_path / "hub"))] == [5, 1]
    assert [len(open_source(str(tmp_path / "tars"), part)) for part in ("test", "all")] == [1, 10]
    names = ["data/train-0.parquet", "train/0000.parquet", "val.parquet", "training.parquet", "validation_1.parquet"]
    assert shards.layout(names)[1].numbers.tolist() == [0, 0, 1, 0, 1]
    assert shards.layout(["test-0.tar", "x.tar"])[1].parts == ("all",)


def test_archives_beside_images_are_left_alone(tmp_path):
    fill(tmp_path / "data" / "cats", 3)
    with tarfile.open(tmp_path / "data" / "old.tar", "w") as file:
        file.add(tmp_path / "data" / "cats", ".")
    assert len(open_source(str(tmp_path / "data"), "all")) == 3
    assert open_source(str(tmp_path / "data"), "all").classes == ("cats",)


def test_a_folder_of_shards_that_cannot_be_read(tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DataError, match="Permission denied"):
        shards.find(tmp_path, (".tar",))


@pytest.mark.parametrize("number", [b"", b" \n", b"\xff", b"x" * 257, b"-2"])
def test_a_class_that_is_none(tmp_path, number):
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        _member(file, "a.png", b"")
        _member(file, "a.cls", number)
    with pytest.raises(DataError, match=r"x.tar': a.cls is no class|x.tar' there is a label -2"):
        open_source(str(tmp_path / "x.tar"), "all")


def test_images_without_a_class_among_others(tmp_path):
    """A sample of several pictures gives them all its class; one without says nothing."""
    fill(tmp_path, 3)
    pictures = [file.read_bytes() for file in sorted(tmp_path.glob("*.png"))]
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        for name, content in (("d/1.left.png", pictures[0]), ("d/1.cls", b"7"), ("d/1.right.png", pictures[1])):
            _member(file, name, content)
        _member(file, "2.png", pictures[2])
    assert open_source(str(tmp_path / "x.tar"), "all").labels.tolist() == [-1, 7, 7]


def _bytes(tmp_path, count=4):
    fill(tmp_path / "pictures" / "a", count)
    return [file.read_bytes() for file in sorted((tmp_path / "pictures").rglob("*.png"))]


def test_columns(tmp_path):
    """Plain bytes, another name where it is the only one, labels of any width, nulls, and what is no image."""
    images = _bytes(tmp_path)
    file = write(tmp_path / "a.parquet", {"img": images, "label": pa.array([3, None, 0, -1], pa.int8())}, note={})
    found = open_source(str(file), "all")
    assert found.labels.tolist() == [3, -1, 0, -1]
    assert torch.equal(found.tensor(), open_source(str(tmp_path / "pictures"), "all").tensor())
    odd = [{"bytes": images[0], "path": "x"}, None, {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"", "path": ""}]
    found = open_source(str(write(tmp_path / "b.parquet", {"image": odd})), "all", Options(max_broken=1.0))
    assert [(bad.file, bad.fault) for bad in found.broken] == [(f"0000000{row}", "no image") for row in (1, 2, 3)]
    assert not len(found.labels)
    words = write(tmp_path / "c.parquet", {"image": images, "label": ["a", "b", "c", "d"]})
    assert open_source(str(words), "all").classes == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"text": ["a"]}, "no column 'image' of images: it has text"),
        ({"a": [b"x"], "b": [b"x"]}, "no column 'image'"),
        ({"image": [{"path": "x"}]}, "no column 'image'"),
        ({"image": [[b"x"]]}, "no column 'image'"),
        ({"image": [b"x"], "label": [2]}, r"labels 2\.\.2 of 2 classes"),
        ({"image": [b"x"], "label": [-2]}, "labels -2"),
        ({"image": [b"x"], "label": pa.array([2**63], pa.uint64())}, "cannot read the Parquet file"),
    ],
)
def test_tables_that_hold_no_set_of_images(tmp_path, columns, match):
    with pytest.raises(DataError, match=match) as failure:
        open_source(str(write(tmp_path / "x.parquet", columns)), "all")
    assert "x.parquet" in str(failure.value)


def test_rows_that_a_file_of_its_size_cannot_hold(tmp_path):
    nothing = pa.array([None] * 20_000, pa.binary())
    with pytest.raises(DataError, match=r"20,000 rows in [0-9]{3} bytes"):
        open_source(str(write(tmp_path / "x.parquet", {"image": nothing}, group=2**20)), "all")


def test_classes_must_agree_and_rows_must_be_there(tmp_path):
    write(tmp_path / "d" / "0.parquet", {"image": _bytes(tmp_path), "label": [0, 1, 0, 1]})
    write(tmp_path / "d" / "1.parquet", {"image": _bytes(tmp_path), "label": [0, 1, 0, 1]}, note={})
    write(tmp_path / "d" / "metadata.parquet", {"file_name": ["x"]})
    with pytest.raises(DataError, match="do not name the same classes"):
        open_source(str(tmp_path / "d"), "all")
    with pytest.raises(NotFound, match="no images"):
        open_source(str(write(tmp_path / "none.parquet", {"image": pa.array([], pa.binary())})), "all")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs pyarrow") as failure:
        open_source(str(tmp_path / "x.parquet"), "all")
    assert failure.value.hints == ("pip install 'ddpm[parquet]'",)


@pytest.mark.parametrize("source", ["hf://datasets/a/b", "https://x.org/a.tar", "s3://b/c", "pipe:curl x"])
def test_streams_are_refused_with_what_to_do_instead(source):
    with pytest.raises(UsageError, match=source) as failure:
        open_source(source)
    assert "download the Parquet files" in failure.value.hints[0]
    assert not sources.STREAM.match("C:/pictures")


def test_a_row_group_is_read_once_in_order(tmp_path, monkeypatch):
    """And at random once for a row: what the docstring says that it costs."""
    file = str(write(tmp_path / "a.parquet", {"image": _bytes(tmp_path, 20)}))
    opened, real = [], parquet_rows._open
    monkeypatch.setattr(parquet_rows, "_open", lambda path, *known: (opened.append(known), real(path, *known))[1])
    in_order = [parquet_rows.row_bytes(file, row) for row in range(20)]
    assert len([known for known in opened if known]) == 20 // GROUP
    opened.clear()
    order = [0, 5, 1, 6, 2]
    assert [parquet_rows.row_bytes(file, row) for row in order] == [in_order[row] for row in order]
    assert len(opened) == len(order)
    os.utime(file, ns=(1, 1))
    opened.clear()
    parquet_rows.row_bytes(file, 2)
    assert len(opened) == 2  # another file, for all that is known: footer and group


def test_a_row_group_that_is_too_large_is_refused(tmp_path, monkeypatch):
    file = str(write(tmp_path / "a.parquet", {"image": _bytes(tmp_path)}))
    monkeypatch.setattr(parquet_rows, "MAX_GROUP", 100)
    with pytest.raises(parquet_rows.Fault, match="write smaller groups") as fault:
        parquet_rows.row_bytes(file, 0)
    assert fault.value.kind == "too large"


def test_a_row_that_kills_its_reader_costs_one_image(tmp_path, trapped):
    fill(tmp_path / "pictures" / "a", 12)
    append(tmp_path / "pictures" / "a" / "00005.png", b"SEGFAULT")
    file = packed(tmp_path / "pictures", tmp_path / "a.parquet", note={})
    found = open_source(str(file), "all", Options(max_broken=0.1))
    assert [(bad.file, bad.fault) for bad in found.broken] == [("00000005", "crashed")]


def test_a_table_that_changes_later(tmp_path):
    """Its bytes are no longer those of the index: the image is replaced, as one of a folder would be."""
    fill(tmp_path / "pictures" / "a", 12)
    file = packed(tmp_path / "pictures", tmp_path / "a.parquet", note={}, compression="none")
    found = open_source(str(file), "all", Options(in_memory=0, workers=0))
    before = Batches(found, 12, 0)[0]
    content, picture = file.read_bytes(), (tmp_path / "pictures" / "a" / "00007.png").read_bytes()
    place = content.index(picture) + len(picture) - 1  # which no decoder notices
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    os.utime(file, ns=(1, 1))
    batches = Batches(found, 12, 0)
    after = batches[0]
    assert list(batches.lost) == [7]
    assert int((before != after).flatten(1).any(1).sum()) == 1


def _outcomes(tmp_path, harmed):
    """How each of these files ends: as a set with so many broken images, or refused with its name."""
    found = []
    for number, content in enumerate(harmed):
        file = tmp_path / f"harmed-{number}.parquet"
        file.write_bytes(content)
        try:
            images = open_source(str(file), "all", Options(max_broken=0.99, resolution=(5, 6)))
        except Failure as failure:
            assert failure.code in (65, 66), failure
            assert file.name in str(failure)
            found.append(-failure.code)
        else:
            assert len(images) + len(images.broken) == COUNT
            found.append(len(images.broken))
    return found


def _harmed(content, cuts, flips):
    choice = random.Random(0)
    yield from (content[: choice.randrange(len(content))] for _ in range(cuts))
    for n in range(flips):
        bad = bytearray(content)
        place = choice.randrange(len(content) - 1200, len(content)) if n % 2 else choice.randrange(len(content))
        bad[place] ^= 1 << choice.randrange(8)
        yield bytes(bad)


@pytest.mark.parametrize(("cuts", "flips"), [(2, 4), pytest.param(40, 200, marks=pytest.mark.long)])
def test_damaged_tables(tmp_path, cuts, flips):
    """Cut off anywhere: 65. A flipped bit: 65, or broken images in a list; never a traceback, never the end of this process."""
    fill(tmp_path / "pictures" / "a", COUNT)
    file = packed(tmp_path / "pictures", tmp_path / "a.parquet", note={}, write_page_checksum=True)
    outcomes = _outcomes(tmp_path, _harmed(file.read_bytes(), cuts, flips))
    assert outcomes[:cuts] == [-65] * cuts
    assert any(outcomes[cuts:])


def test_a_flipped_bit_in_a_page_is_a_fault_of_its_group(tmp_path):
    """Where the file has checksums, also a flip that decoders would not notice."""
    fill(tmp_path / "pictures" / "a", COUNT)
    file = packed(tmp_path / "pictures", tmp_path / "a.parquet", note={}, write_page_checksum=True, compression="none")
    content, last = file.read_bytes(), (tmp_path / "pictures" / "a" / "00007.png").read_bytes()
    place = content.index(last) + len(last) - 1  # the checksum of the end of a PNG, which nobody reads
    harmed = [content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]]
    assert _outcomes(tmp_path, harmed) == [GROUP]
    (tmp_path / "no.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match=r"cannot read the Parquet file '.*no.parquet': Parquet magic"):
        open_source(str(tmp_path / "no.parquet"), "all")
