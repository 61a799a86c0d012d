"""What a run began with is put together again from any kind of files, whatever became of some; the rest is told by name."""

import os
import tarfile

import numpy as np
import pytest
import torch
from pyarrow import parquet as pq

from ddpm.data.batches import Batches, too_many
from ddpm.data.indexing import snapshot
from ddpm.data.indexing.lazy_images import LazyImages
from ddpm.data.indexing.snapshot import Change, DataSnapshot, line, packed, unpacked
from ddpm.data.open import open_again, open_both
from ddpm.data.splits import Options
from ddpm.storage.sealed import sealed, unsealed
from tests.data.sources.test_shards import packed as table
from tests.harness.pictures import fill

COUNT = 24
MODES = {"memory": Options(held_out=0), "files": Options(held_out=0, in_memory=0, workers=0)}


@pytest.fixture
def root(tmp_path):
    for first, name in enumerate(("cats", "dogs")):
        fill(tmp_path / "data" / name, COUNT // 2, first=100 * first)
    return tmp_path / "data"


def _again(source, began, mode="memory"):
    """As a later start of the run would, from what is on the disk."""
    there = unpacked(packed(DataSnapshot(began.parts, "f")))
    assert there.fingerprint == "f"
    return open_again(str(source), MODES[mode], there.parts)


def _victim(root, row):
    names = sorted(os.path.relpath(file, root) for file in root.rglob("*.png"))
    return root / names[row], names[row]


def _flip(file):
    """One bit, at the same size and time: the index does not see it."""
    about, content = file.stat(), bytearray(file.read_bytes())
    content[-30] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


HARMS = {
    "gone": (lambda file, _other: file.unlink(), Change(gone=("dogs/00103.png",))),
    "broken": (lambda file, _other: file.write_bytes(b"x"), Change(unreadable=("dogs/00103.png",))),
    "another": (lambda file, other: file.write_bytes(other.read_bytes()), Change(changed=("dogs/00103.png",))),
    "flipped": (lambda file, _other: _flip(file), Change()),
}


@pytest.mark.parametrize(
    ("mode", "harm"),
    [*(("files", harm) for harm in HARMS), ("memory", "flipped"), ("memory", "another")],
)
def test_all_but_the_lost_image_are_as_they_were(root, mode, harm):
    """In their order, with their classes; batches are those of the run before, but for one image: one that was chosen for it."""
    began = open_again(str(root), MODES[mode], {})
    whole = began.train.in_memory()
    file, name = _victim(root, 15)
    assert name == "dogs/00103.png"
    HARMS[harm][0](file, root / "cats/00000.png")
    found = _again(root, began, mode)
    images = found.train
    assert found.change == HARMS[harm][1]
    assert isinstance(images.images, LazyImages) == (mode == "files")
    assert (images.names, images.classes, len(images)) == (whole.names, whole.classes, COUNT)
    assert torch.equal(images.labels, whole.labels)
    batches, before = (Batches(one, 8, 3, labels=one.labels, lost=dict(one.lost)) for one in (images, whole))
    for step in range(6):
        rows, x = before.rows(step), batches[step]
        same = rows != 15
        assert torch.equal(x[same], before[step][same])
        assert 15 not in batches.rows(step)
        assert torch.equal(x, whole.scaled(batches.rows(step)))
        assert torch.equal(batches.labels_of(step, 0.0), whole.labels[batches.rows(step)])
    assert list(batches.lost) == [15]
    if mode == "files":
        assert images.digest(images.labels) == began.train.digest(began.train.labels)


def test_rows_that_are_taken_know_which_are_lost(root):
    began = open_again(str(root), MODES["memory"], {})
    _victim(root, 15)[0].unlink()
    images = _again(root, began).train
    assert list(images.lost) == [15]
    assert list(images.take(torch.tensor([3, 15, 7])).lost) == [1]
    assert not images.take(torch.tensor([3, 7])).lost


@pytest.mark.parametrize("mode", MODES)
def test_what_could_not_be_read_at_first_stays_left_out(root, tmp_path, mode):
    """A fault that has passed by the next start changes nothing: neither rows nor what is listed as broken."""
    options = MODES[mode].__class__(**{**vars(MODES[mode]), "max_broken": 0.1})
    (root / "cats" / "00003-link.png").symlink_to(tmp_path / "later.png")
    began = open_again(str(root), options, {})
    assert [bad.fault for bad in began.train.broken] == ["missing"]
    (tmp_path / "later.png").write_bytes((root / "cats" / "00000.png").read_bytes())
    assert len(open_both(str(root), options)[0]) == COUNT + 1
    found = open_again(str(root), options, unpacked(packed(DataSnapshot(began.parts))).parts)
    assert found.change == Change()
    assert found.train.names == began.train.names
    assert found.train.broken == began.train.broken
    assert not found.train.lost


@pytest.mark.parametrize("mode", MODES)
def test_the_same_bytes_in_the_same_order_are_the_same_images(root, tmp_path, mode):
    """Whatever the files are called now: a class' folder has another name, one archive was cut into two, a folder was packed."""
    names = sorted(os.path.relpath(file, root) for file in root.rglob("*.png"))
    (tmp_path / "tars").mkdir()
    whole = _tar(root, tmp_path / "tars" / "a.tar", names)
    folder, archive = (open_again(str(source), MODES[mode], {}) for source in (root, whole.parent))
    pixels = folder.train.tensor()
    whole.unlink()
    for name, part in (("a.tar", names[:10]), ("b.tar", names[10:])):
        _tar(root, tmp_path / "tars" / name, part)
    (root / "dogs").rename(root / "elks")
    for began, source in ((folder, root), (archive, tmp_path / "tars"), (folder, tmp_path / "tars")):
        found = _again(source, began, mode)
        assert (found.change.gone, found.change.added, dict(found.train.lost)) == ((), (), {})
        assert (found.train.names, found.train.classes) == (began.train.names, began.train.classes)
        assert torch.equal(found.train.labels, began.train.labels)
        assert torch.equal(found.train.tensor(), pixels)
        assert found.train.digest(found.train.labels) == began.train.digest(began.train.labels)
    assert _again(root, folder, mode).change.relabelled == tuple(names[COUNT // 2 :])
    (root / "cats" / "00000.png").unlink()
    assert len(_again(root, folder, mode).change.gone) == 1 + COUNT // 2


def test_what_changed_is_told(root):
    began = open_again(str(root), MODES["memory"], {})
    for row in (0, 3, 5):
        _victim(root, row)[0].write_bytes(b"x")
    fill(root / "birds", 2)
    (root / "birds" / "broken.png").write_bytes(b"x")
    (root / "dogs" / "00100.png").unlink()
    change = _again(root, began).change
    said = line(change, {"lost before": ("z.png",)})
    assert said == "1 gone, 3 unreadable, 2 added, 1 lost before: the first: birds/00000.png"
    assert line(Change(), {}) == ""


def test_parts_that_are_no_longer_there(root):
    """A source that has other parts now is taken as it is, and known by its fingerprint alone."""
    began = open_again(str(root), MODES["memory"], {})
    fill(root / "train", 3)
    fill(root / "test", 3, first=7)
    found = _again(root, began)
    assert (found.parts.keys(), began.parts.keys()) == ({"train", "test"}, {"all"})
    assert (len(found.train), found.change) == (3, Change())


def test_a_split_is_kept_part_by_part(tmp_path):
    for first, name in enumerate(("train", "test")):
        fill(tmp_path / "data" / name, 5, first=100 * first)
    began = open_again(str(tmp_path / "data"), MODES["memory"], {})
    (tmp_path / "data" / "test" / "00102.png").unlink()
    (tmp_path / "data" / "train" / "00001.png").write_bytes(b"x")
    found = _again(tmp_path / "data", began)
    assert found.change == Change(gone=("00102.png",), unreadable=("00001.png",))
    assert (list(found.train.lost), list(found.test.lost)) == ([1], [2])


def _tar(folder, path, names):
    with tarfile.open(path, "w") as file:
        for name in names:
            file.add(folder / name, name)
    return path


@pytest.mark.parametrize("mode", ["files", pytest.param("memory", marks=pytest.mark.long)])
def test_archives_and_tables(root, tmp_path, mode):
    """Of a tar that was written anew all members lie elsewhere; of a table one row holds another picture."""
    names = sorted(os.path.relpath(file, root) for file in root.rglob("*.png"))
    archive, rows = _tar(root, tmp_path / "a.tar", names), table(root, tmp_path / "a.parquet")
    before = [open_again(str(source), MODES[mode], {}) for source in (archive, rows)]
    whole = before[0].train.tensor()
    _tar(root, archive, names[1:])
    (root / names[9]).write_bytes((root / names[8]).read_bytes())
    table(root, rows)
    for began, source, lost in zip(before, (archive, rows), (0, 9), strict=True):
        found = _again(source, began, mode)
        assert list(found.train.lost) == [lost]
        left = [row for row in range(COUNT) if row != lost]
        assert torch.equal(found.train.images[torch.tensor(left)], whole[left])
        assert found.train.names == began.train.names
        assert torch.equal(found.train.labels, began.train.labels)


def test_another_class_is_told_by_its_name(root, tmp_path):
    """Numbers may change with the names' order, as long as the names are the same."""
    source = table(root, tmp_path / "a.parquet")
    began = open_again(str(source), MODES["memory"], {})
    content = pq.read_table(source)
    note = content.schema.metadata[b"huggingface"].replace(b'"cats", "dogs"', b'"dogs", "cats"')
    labels = 1 - content["label"].to_numpy()
    for changed in ([], [2, 20]):
        now = np.where(np.isin(np.arange(COUNT), changed), 1 - labels, labels)
        other = content.set_column(content.schema.get_field_index("label"), "label", [now])
        pq.write_table(other.replace_schema_metadata({"huggingface": note}), source)
        found = _again(source, began)
        assert found.change == Change(relabelled=tuple(f"{row:08d}" for row in changed))
        assert torch.equal(found.train.labels, began.train.labels)
        assert found.train.classes == ("cats", "dogs")


def test_damage_is_noticed(root):
    """Any flipped bit; and a good seal on something else."""
    content = packed(DataSnapshot(open_again(str(root), MODES["memory"], {}).parts, "f"))
    for place in range(0, len(content), 97):
        bad = bytearray(content)
        bad[place] ^= 1
        with pytest.raises(ValueError, match="seal"):
            unpacked(bad)
    whole = unsealed(content)
    for name in whole:
        for other in (
            whole[name][:-1],
            np.zeros(2),
            np.frombuffer(b'{"a": 1}', np.uint8),
            np.frombuffer(b"[[", np.uint8),
        ):
            with pytest.raises(ValueError, match=r"."):
                unpacked(sealed({**whole, name: other}))
        with pytest.raises(ValueError, match=r"lacks|no index"):
            unpacked(sealed({key: array for key, array in whole.items() if key != name}))
    for about in (b'{"fingerprint": 1, "parts": {}}', b'{"fingerprint": "", "parts": {"../x": []}}', b"[]"):
        with pytest.raises(ValueError, match=r"kind|lacks"):
            unpacked(sealed({**whole, snapshot.ABOUT: np.frombuffer(about, np.uint8)}))


def test_how_many_may_be_lost():
    assert [too_many(*each) for each in ((1, 1), (1, 20), (2, 20), (2, 1999), (2, 2000), (3, 2000))] == [
        *(False, False, True, True, False, True)
    ]
