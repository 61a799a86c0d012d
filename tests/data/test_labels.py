"""Labels: where they come from, what they are called, and which are kept back from the network."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import class_count, class_names, labels_of, matched_labels
from ddpm.data.open import open_both, open_source
from ddpm.errors import DataError, Mismatch
from ddpm.figures.images import Images


def _set(labels, classes=()):
    images = torch.arange(len(labels)).reshape(-1, 1, 1, 1).to(torch.uint8)
    return ImageSet("few", images, 256, torch.tensor(labels, dtype=torch.int64), classes=classes)


def _folder(root, files):
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4), len(file), np.uint8)).save(path)


def test_folders_name_the_classes(tmp_path):
    _folder(tmp_path, ["cat/a.png", "cat/b.png", "ape/c.png", "dog/deep/d.png"])
    images = open_source(str(tmp_path), "all")
    assert images.classes == ("ape", "cat", "dog")
    assert images.labels.tolist() == [0, 1, 1, 2]
    assert images.take(torch.tensor([3])).classes == images.classes


def test_train_and_test_folders_agree_by_name(tmp_path):
    """Where test/ lacks a class its numbers differ from those of train/; the names do not."""
    _folder(tmp_path, ["train/ape/a.png", "train/cat/b.png", "train/dog/c.png", "test/cat/d.png", "test/dog/e.png"])
    train, test = open_both(str(tmp_path))
    assert test.labels.tolist() == [0, 1]
    assert matched_labels(test, train.classes).tolist() == [1, 2]
    assert matched_labels(train, train.classes).tolist() == [0, 1, 2]
    with pytest.raises(Mismatch, match="'ape'"):
        matched_labels(train, test.classes)


def test_names_that_are_numbers():
    """Folders 0..10 in the order of their bytes are 0, 1, 10, 2, ...: a model of numbers finds them by name."""
    names = tuple(sorted(str(i) for i in range(11)))
    assert names[2] == "10"
    assert matched_labels(_set([2, 3], names), class_names((), 11)).tolist() == [10, 2]


def test_cifar_has_names(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes([1, *[0] * 3072, 0, *[0] * 3072]))
    assert open_source(str(tmp_path), "all").classes == ()
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\n\n")
    images = open_source(str(tmp_path), "all")
    assert images.classes == ("airplane", "automobile")
    assert images.labels.tolist() == [1, 0]


def test_counting_classes():
    assert class_count(_set([])) == 0
    assert class_count(_set([3, 0])) == 4
    assert class_count(_set([0], ("a", "b"))) == 2
    assert class_count(_set([-1, -1])) == 0
    assert class_names((), 3) == ("0", "1", "2")


@pytest.mark.parametrize(("labels", "words"), [([], "no labels"), ([0, 5], "'5'"), ([-2], "-2")])
def test_labels_that_a_model_does_not_know(labels, words):
    with pytest.raises(Mismatch, match=words):
        matched_labels(_set(labels), class_names((), 5))


def test_an_image_without_a_label_among_others():
    assert matched_labels(_set([2, -1, 0]), class_names((), 3)).tolist() == [2, -1, 0]


def _batches(seed=3, batch_size=50):
    images = _set(list(range(40)))
    return Batches(images, batch_size, seed, labels=images.labels)


def test_each_image_keeps_its_label():
    batches = _batches()
    for step in (0, 1, 7):
        pixels = ((batches[step] + 1) * 127.5).round().long().flatten()
        assert torch.equal(batches.labels_of(step, 0.0), pixels)


def test_labels_are_dropped_as_often_as_asked():
    """One in ten, independently (five standard deviations of 10,000 draws), and no other label is touched."""
    batches = _batches()
    told = torch.stack([batches.labels_of(step, 0.1) for step in range(200)])
    whole = torch.stack([batches.labels_of(step, 0.0) for step in range(200)])
    dropped = told == -1
    assert abs(int(dropped.sum()) - 1000) < 5 * 30
    assert torch.equal(told[~dropped], whole[~dropped])
    assert len(dropped.double().mean(0).unique()) > 5


def test_which_are_dropped_is_a_function_of_seed_and_step():
    batches, again = _batches(), _batches()
    torch.rand(5)
    in_order = [batches.labels_of(step, 0.5) for step in range(6)]
    assert all(torch.equal(again.labels_of(step, 0.5), in_order[step]) for step in (4, 0, 5))
    dropped = [(told == -1).tolist() for told in in_order]
    assert dropped[0] != dropped[1]
    assert (_batches(seed=4).labels_of(0, 0.5) == -1).tolist() != dropped[0]


def test_without_labels_nothing_is_told():
    assert Batches(_set([1, 2]), 2, 0).labels_of(0, 0.1) is None


def test_the_fingerprint_counts_labels_where_they_are_used():
    images, others = _set([0, 1]), _set([1, 0])
    assert images.digest() == others.digest()
    assert images.digest(images.labels) != others.digest(others.labels) != others.digest()


PIXELS = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)


def _png(row):
    file = io.BytesIO()
    Image.fromarray(PIXELS[row]).save(file, "PNG")
    return file.getvalue()


def _npz(folder, labels):
    np.savez(folder / "a.npz", images=PIXELS, labels=labels)
    return folder / "a.npz"


def _npz_of_two_parts(folder, labels):
    np.savez(folder / "a.npz", x_train=PIXELS[:4], y_train=labels[:4], x_test=PIXELS[4:], y_test=labels[4:])
    return folder / "a.npz"


def _tar(folder, labels):
    with tarfile.open(folder / "a.tar", "w") as file:
        for row, label in enumerate(np.reshape(labels, -1).tolist()):
            for name, content in ((f"{row}.png", _png(row)), (f"{row}.cls", f"{label}\n".encode())):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return folder / "a.tar"


def _parquet(folder, labels):
    """In two files, which know of different classes."""
    (folder / "a").mkdir()
    for number, rows in enumerate((range(4), range(4, 6))):
        table = {"image": [_png(row) for row in rows], "label": np.reshape(labels, -1)[rows].tolist()}
        parquet.write_table(pa.table(table), folder / "a" / f"{number}.parquet")
    return folder / "a"


SOURCES = [_npz, _npz_of_two_parts, _tar, _parquet]


@pytest.mark.parametrize("write", SOURCES)
@pytest.mark.parametrize(
    ("said", "labels", "classes"),
    [
        ([0, 2, 1, -1, 2, 0], [0, 2, 1, -1, 2, 0], ()),
        ([0, 999, 1, 0, 0, 0], [0, 999, 1, 0, 0, 0], ()),
        ([0, 10**6, 5 * 10**6, -1, 10**6, 0], [0, 1, 2, -1, 1, 0], ("0", "1000000", "5000000")),
        (["dog", "cat", "dog", "ape", "bee", "ape"], [3, 2, 3, 0, 1, 0], ("ape", "bee", "cat", "dog")),
        (["10", "2", "x", "2", "2", "2"], [0, 1, 2, 1, 1, 1], ("10", "2", "x")),
        (np.array([[0], [2], [1], [0], [1], [2]]), [0, 2, 1, 0, 1, 2], ()),
    ],
    ids=["numbers", "numbers below 1,000", "far apart", "texts", "numbers among texts", "a column"],
)
def test_one_rule_for_all_sources(tmp_path, write, said, labels, classes):
    found = open_source(str(write(tmp_path, np.asarray(said))), "all")
    assert (found.labels.tolist(), found.classes) == (labels, classes)


@pytest.mark.parametrize("write", SOURCES)
def test_a_value_that_is_no_label_is_said(tmp_path, write):
    with pytest.raises(DataError, match="-7"):
        open_source(str(write(tmp_path, np.array([0, 1, -7, 0, 1, 1]))), "all")


def test_labels_in_memory_are_under_the_same_rule():
    made = Images(torch.zeros(3, 1, 4, 4), labels=torch.tensor([[0], [10**9], [5]]))
    assert made.labels.tolist() == [0, 2, 1]
    assert made.classes == ("0", "5", "1000000000")
    assert Images(torch.zeros(2, 1, 4, 4), labels=torch.tensor([1, 0])).classes == ()


def test_more_labels_than_can_be_counted_in_64_bits(tmp_path):
    found = open_source(str(_npz(tmp_path, np.array([2**64 - 1, 0, 0, 3, 3, 0], np.uint64))), "all")
    assert (found.labels.tolist(), found.classes) == ([2, 0, 0, 1, 1, 0], ("0", "3", str(2**64 - 1)))
    with pytest.raises(DataError, match="classes, more than any data set has"):
        labels_of("a", np.arange(2**20 + 1) * 3, 2**20 + 1)


def test_far_numbers_of_a_split_agree_by_name(tmp_path):
    """The test part lacks a class, so its numbers differ from those of the training part; the names do not."""
    said = np.array([10**6, 0, 2 * 10**6, 0, 2 * 10**6, 10**6])
    train, test = open_both(str(_npz_of_two_parts(tmp_path, said)))
    assert test.classes == ("1000000", "2000000")
    assert matched_labels(test, train.classes).tolist() == [2, 1]


def test_a_byte_beyond_the_names_of_cifar_is_refused(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes([7, *[0] * 3072]))
    (tmp_path / "batches.meta.txt").write_text("airplane\nautomobile\n")
    with pytest.raises(DataError, match="label 7, but 2 classes have names"):
        open_source(str(tmp_path), "all")


def test_a_column_of_labels_in_idx(tmp_path):
    head = bytes([0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0, 4])
    (tmp_path / "train-images-idx3-ubyte").write_bytes(head + PIXELS.tobytes())
    labels = tmp_path / "train-labels-idx1-ubyte"
    for shape in ([1, 0, 0, 0, 6], [2, 0, 0, 0, 6, 0, 0, 0, 1]):
        labels.write_bytes(bytes([0, 0, 8, *shape, 3, 0, 1, 2, 0, 9]))
        assert open_source(str(tmp_path), "all").labels.tolist() == [3, 0, 1, 2, 0, 9]
