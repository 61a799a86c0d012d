"""Names of folders and files that mean a split, in the spellings that people use; and names that mean nothing.

Train, TRAIN, training_set, train2017, 1.Training, trainA and train-00000-of-00002 are all the training split.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping

WORDS: Mapping[str, tuple[str, ...]] = {
    "train": ("trainval", "training", "train", "trn", "훈련", "학습", "训练", "訓練"),
    "validation": ("validation", "validate", "valid", "val", "development", "dev", "검증", "验证", "検証"),
    "test": ("testing", "test", "tst", "evaluation", "eval", "heldout", "시험", "테스트", "평가", "测试"),
}
"""The splits, and the words for each."""
NOTHING = (
    *(r"datasets?", r"data", r"sets?", r"splits?", r"images?", r"imgs?", r"pictures?", r"pics?", r"photos?"),
    *(r"jpe?gs?", r"pngs?", r"files?", r"folders?", "데이터", "이미지", "사진", "셋", "세트"),
)
"""Words that say what is in any folder of images."""
_FILL = "|".join(NOTHING)
_ANY = "|".join(word for words in WORDS.values() for word in words)
_NAMED = re.compile(rf"(?:{_FILL})*(?P<word>{_ANY})(?:{_FILL})*[ab]?")
_EMPTY = re.compile(rf"(?:{_FILL})+|[ab]")
_LETTERS = re.compile(r"[^\W\d_]+")
_HELD_OUT = re.compile(r"hold[ _-]?out|held[ _-]?out", re.IGNORECASE)
SPLIT_OF = {word: split for split, words in WORDS.items() for word in words}


def _words(name: str) -> list[str]:
    return _LETTERS.findall(unicodedata.normalize("NFKC", name).casefold())


def split_named(folder: str) -> str | None:
    """The split that a folder is named after: "train", "validation" or "test"; None if its name says anything else, too."""
    found = None
    for word in _words(_HELD_OUT.sub("heldout", folder)):
        named = _NAMED.fullmatch(word)
        if named is None and not _EMPTY.fullmatch(word):
            return None
        found = found or (named and SPLIT_OF[named["word"]])
    return found or None


def split_within(file: str) -> str | None:
    """The split that the name of a shard speaks of among other words: imagenet-train-00000.tar; None if of none."""
    words = [named for word in _words(file) if (named := _NAMED.fullmatch(word))]
    return SPLIT_OF[words[0]["word"]] if words else None


def says_nothing(folder: str) -> bool:
    """Whether a folder has a name such as "images" or "data", which is no class."""
    words = _words(folder)
    return bool(words) and all(_EMPTY.fullmatch(word) for word in words)


def splits_among(kinds: Mapping[str, str | None]) -> dict[str, str]:
    """Which of some names, each with the split that it could mean, are splits.

    "train" beside "bus" and "car" is a class. So names are splits if there are a training and another split, or if all of
    them are.
    """
    found = {name: split for name, split in kinds.items() if split is not None}
    several = "train" in found.values() and len(set(found.values())) > 1
    return found if several or len(found) == len(kinds) else {}


def role_of(splits: Iterable[str]) -> dict[str, str]:
    """What each split is used as: itself; of train and validation without test, validation is the test split."""
    there = set(splits)
    plays = {"validation": "test"} if "validation" in there and "test" not in there else {}
    return {split: plays.get(split, split) for split in there}
