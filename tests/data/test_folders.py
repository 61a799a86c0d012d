"""What folders mean, by their names alone: splits in the spellings that people use, folders around others, classes, strays."""

import pytest

from ddpm.data.folders import folders_of, says_nothing, split_named, split_within, understood
from ddpm.data.indexing.listing import laid_out

SPELLINGS = {
    "train": "train Train TRAIN training Training_Set train-images trainset train2017 1.Training trainA images_train 훈련 학습데이터",
    "validation": "val valid Validation VAL val2017 dev 2.Validation validation_data 검증",
    "test": "test Test testing test_set TestImages testB eval held-out hold_out 시험 테스트",
    None: "cat trainer trains protest vale contest testimony data images a b 2017 trained_dogs test_cat",
}


@pytest.mark.parametrize(
    ("split", "name"), [(split, name) for split, names in SPELLINGS.items() for name in names.split()]
)
def test_spellings_of_splits(name, split):
    assert split_named(name) == split


def test_names_of_shards():
    """Of a file any word may be the split: the name of the data set stands beside it."""
    assert split_within("imagenet1k-validation-00.tar") == "validation"
    assert split_within("training.parquet") == split_within("train-00000-of-00002.parquet") == "train"
    assert split_within("constraint-0.tar") is None


def test_names_that_say_nothing():
    assert all(says_nothing(name) for name in ("images", "JPEGImages", "Data Set", "photos", "사진"))
    assert not any(says_nothing(name) for name in ("cats", "2017", "", "img_align_celeba"))


def meant(*names):
    """The split and the class of each image, as (split, class)."""
    _, places, _ = laid_out(folders_of(names))
    return [(place.split, place.label) for place in places]


def two(folder, *classes):
    """Two images of each class."""
    return [f"{folder}{folder and '/'}{name}/{i}.png" for name in classes for i in (0, 1)]


ANIMALS = [(None, "cat")] * 2 + [(None, "dog")] * 2
TRAINED = [("train", "cat")] * 2 + [("train", "dog")] * 2
TREES = {
    "classes": (two("", "cat", "dog"), ANIMALS),
    "only train": (two("train", "cat", "dog"), ANIMALS),
    "only test": (two("test", "cat", "dog"), ANIMALS),
    "capital": ([*two("Train", "cat", "dog"), "Test/cat/a.png"], [*TRAINED, ("test", "cat")]),
    "val is test": ([*two("train", "cat", "dog"), "val/cat/a.png"], [*TRAINED, ("test", "cat")]),
    "val beside": (
        [*two("train", "cat", "dog"), "test/cat/a.png", "valid/dog/b.png"],
        [*TRAINED, ("test", "cat"), ("validation", "dog")],
    ),
    "around": ([*two("my/pets/train", "cat", "dog"), "my/pets/test/cat/a.png"], [*TRAINED, ("test", "cat")]),
    "around classes": (two("pets", "cat", "dog"), ANIMALS),
    "around, with a stray": ([*two("pets", "cat", "dog"), "cover.png"], [*ANIMALS, (None, None)]),
    "around splits, beside a picture": (
        [*two("set/train", "cat", "dog"), "set/test/cat/0.png", "docs/figure.png"],
        [*TRAINED, ("test", "cat"), (None, None)],
    ),
    "images in splits": (["train/images/0.png", "valid/images/1.png"], [("train", None), ("test", None)]),
    "splits in images": (["images/train2017/0.png", "images/val2017/1.png"], [("train", None), ("test", None)]),
    "classes around": ([*two("train/images", "cat", "dog"), "test/cat/0.png"], [*TRAINED, ("test", "cat")]),
    "flat test": (
        [*two("train", "cat", "dog"), "test/0.png", "test/1.png"],
        [*TRAINED, ("test", None), ("test", None)],
    ),
    "one class in test": (
        [*two("train", "cat", "dog"), *two("test/cat", "x", "y")],
        [*TRAINED, *[("test", "cat")] * 4],
    ),
    "splits below": (
        ["cat/train/0.png", "cat/test/1.png", "dog/train/2.png"],
        [("train", "cat"), ("test", "cat"), ("train", "dog")],
    ),
    "a train among vehicles": (two("", "bus", "train"), [(None, "bus")] * 2 + [(None, "train")] * 2),
    "a stray": ([*two("", "cat", "dog"), "preview.png"], [*ANIMALS, (None, None)]),
    "many beside": ([*two("", "cat", "dog"), "a.png", "b.png"], [(None, None)] * 6),
    "one folder of images": (two("", "images"), [(None, None)] * 2),
    "one class": (two("", "cats"), [(None, "cats")] * 2),
    "a class in images": (two("images", "cats"), [(None, "cats")] * 2),
    "flat, with a folder": (["a.png", "b.png", "c.png", "old/d.png"], [(None, None)] * 4),
    "in no split": (
        [*two("train", "cat", "dog"), "test/cat/0.png", "extra/cat/1.png", "x.png"],
        [*TRAINED, ("test", "cat"), (None, "cat"), (None, None)],
    ),
    "train a and b": (
        ["trainA/0.png", "trainB/1.png", "testA/2.png"],
        [("train", None), ("train", None), ("test", None)],
    ),
}


@pytest.mark.parametrize("tree", TREES)
def test_what_folders_mean(tree):
    names, expected = TREES[tree]
    assert meant(*names) == expected


def test_a_layout_says_what_it_understood():
    layout = understood({("pets", "train", "cat"): 3, ("pets", "val", "cat"): 1, ("pets", "test", "cat"): 1})
    assert (layout.around, layout.alone) == (("pets",), ())
    assert layout.folders_of("validation") == [("pets", "val")]
    assert understood({("train", "cat"): 3}).alone == (("train",),)
