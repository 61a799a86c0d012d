"""What the folders of a data set mean: which are a split, which are a class, and which only lie around the others.

Only names are looked at, and the number of images in each folder, the same way for folders and archives. Names of splits are no
classes; Train, TRAIN, training_set, train2017, 1.Training, trainA and train-00000-of-00002 are all the training split. A folder
that alone holds all that has any meaning lies around it, and is no class; below, the first folder of a path is the class.
Splits may also lie below the classes: cat/train, cat/test.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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

Folder = tuple[str, ...]
"""The parts of the path of a folder: () is the top."""
Counts = Mapping[Folder, int]
"""How many images lie in each folder itself."""


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


@dataclass(frozen=True)
class Place:
    """What a folder means: its images are of this split and class; None for no split, and for no class."""

    split: str | None
    label: str | None


@dataclass(frozen=True)
class Layout:
    """What the folders mean.

    `places` has each folder with images. `splits` are the folders that are named after a split, each with the one that it is
    used as; empty where images are held out by their names. `around` are the folders that lie around all the others. `alone`
    are folders that are named after a split, where there is no other: they are no classes, and their images all that there are.
    """

    places: Mapping[Folder, Place]
    splits: Mapping[Folder, str] = field(default_factory=dict)
    around: Folder = ()
    alone: tuple[Folder, ...] = ()

    def folders_of(self, part: str) -> list[Folder]:
        """The folders of a part."""
        return [folder for folder, split in self.splits.items() if split == part]


def folders_of(names: Sequence[str]) -> list[Folder]:
    """The folder of each image."""
    found = [name.rpartition("/")[0] for name in names]
    known: dict[str, Folder] = {folder: tuple(folder.split("/")) if folder else () for folder in set(found)}
    return [known[folder] for folder in found]


def understood(counts: Counts) -> Layout:
    """What these folders mean."""
    around = _around_splits(counts, _around(counts, ()))
    if splits := _splits_at(counts, around):
        return _with_splits(counts, around, splits)
    if below := _splits_below(counts, around):
        return _with_splits_below(counts, around, below)
    labels = _labels(counts, around, ())
    return Layout({folder: Place(None, labels[folder]) for folder in counts}, around=around)


def _with_splits(counts: Counts, around: Folder, splits: Mapping[str, str]) -> Layout:
    """The splits first, and classes below each. The training split says what the classes are."""
    role = role_of(splits.values())
    alone = len(role) == 1
    tops = {(*around, name): role[split] for name, split in splits.items()}
    trained = [top for top, split in tops.items() if split == "train"] or list(tops)
    parts = {top: {folder: count for folder, count in counts.items() if folder[: len(top)] == top} for top in tops}
    places: dict[Folder, Place] = {}
    known: set[str] = set()
    for top in sorted(tops, key=lambda top: top not in trained):
        labels = _labels(parts[top], top + _around(_below(parts[top], top), known), known)
        known |= {label for label in labels.values() if label is not None} if top in trained else set()
        split = None if alone else tops[top]
        places |= {folder: Place(split, label if top in trained or known else None) for folder, label in labels.items()}
    rest = {folder: Place(None, _known_in(folder, known)) for folder in counts if folder not in places}
    places |= rest
    return Layout(places, around=around, alone=tuple(tops)) if alone else Layout(places, tops, around)


def _known_in(folder: Folder, known: Collection[str]) -> str | None:
    return next((name for name in folder if name in known), None)


def _splits_below(counts: Counts, around: Folder) -> dict[str, str]:
    """The names of splits where they lie below the classes, all of them."""
    inside = _below(counts, around)
    deep = {folder: count for folder, count in inside.items() if len(folder) > 1}
    if not deep or not _few(sum(inside.values()) - sum(deep.values()), sum(deep.values())):
        return {}
    kinds = {folder[1]: split_named(folder[1]) for folder in deep}
    found = splits_among(kinds)
    return found if len(found) == len(kinds) and len(set(found.values())) > 1 else {}


def _with_splits_below(counts: Counts, around: Folder, splits: Mapping[str, str]) -> Layout:
    role, level = role_of(splits.values()), len(around)
    places, tops = {folder: Place(None, None) for folder in counts}, {}
    for folder in counts:
        if folder[:level] == around and len(folder) > level + 1:
            split = role[splits[folder[level + 1]]]
            places[folder], tops[folder[: level + 2]] = Place(split, folder[level]), split
    return Layout(places, tops, around)


def _labels(counts: Counts, around: Folder, known: Collection[str]) -> dict[Folder, str | None]:
    """The class of each folder: the first one below `around`; None for all, where too many images lie in no such folder."""
    level, heads = len(around), _heads(counts, around)
    beside = sum(counts.values()) - sum(heads.values())
    fits = bool(known) or (_few(beside, sum(heads.values())) if len(heads) > 1 else not beside)
    deeper = {folder: folder[:level] == around and len(folder) > level for folder in counts}
    return {folder: folder[level] if fits and deeper[folder] else None for folder in counts}


def _around(counts: Counts, known: Collection[str]) -> Folder:
    """The folders that lie around the others: each is the only one beside at most a few images, down to splits or several folders.

    Where it goes down to a single folder of images, only the ones whose names say nothing: the next one is a class. A folder
    that is `known` to be a class lies around nothing.
    """
    chain: Folder = ()
    while len(heads := _heads(counts, chain)) == 1:
        (head,) = heads
        if not _few(sum(counts.values()) - heads[head], heads[head]):
            break
        if head in known or split_named(head):
            return chain
        chain = (*chain, head)
    else:
        if heads and _few(sum(counts.values()) - sum(heads.values()), sum(heads.values())):
            return chain
    meant = (place for place, name in enumerate(chain) if not says_nothing(name))
    return chain[: next(meant, len(chain))]


def _around_splits(counts: Counts, around: Folder) -> Folder:
    """One folder further where one of several has several splits, and there are at most a few images elsewhere."""
    heads = _heads(counts, around)
    holders = {head: found for head in heads if (found := _splits_at(counts, (*around, head)))}
    if len(holders) == 1:
        ((head, found),) = holders.items()
        if len(set(found.values())) > 1 and _few(sum(counts.values()) - heads[head], heads[head]):
            return (*around, head)
    return around


def _splits_at(counts: Counts, top: Folder) -> dict[str, str]:
    """The folders just below `top` that are splits."""
    return splits_among({head: split_named(head) for head in _heads(counts, top)})


def _heads(counts: Counts, top: Folder) -> Counter[str]:
    """The folders just below `top`, with the number of all images in and below them."""
    found: Counter[str] = Counter()
    for folder, count in _below(counts, top).items():
        if folder:
            found[folder[0]] += count
    return found


def _below(counts: Counts, top: Folder) -> dict[Folder, int]:
    """The folders at and below `top`, as seen from there."""
    return {folder[len(top) :]: count for folder, count in counts.items() if folder[: len(top)] == top}


def _few(strays: int, others: int) -> bool:
    """Whether so many images beside others are strays: one, or at most one in ten."""
    return strays <= max(1, others // 10)
