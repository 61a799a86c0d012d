"""Labels: where they come from, what they are called, and which are kept back from the network."""

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.labels import class_count, class_names, matched_labels
from ddpm.data.open import open_both, open_source
from ddpm.errors import Mismatch


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
