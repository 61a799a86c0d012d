"""What a call may name as the classes of a model, and what is said of all else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment
from ddpm.trained.labels import asked, condition_of, condition_of_edit, label_of

PLAIN = Experiment()
NAMED = replace(
    PLAIN,
    data=replace(PLAIN.data, class_names=("ape", "cat", "dog")),
    model=replace(PLAIN.model, classes=3),
    training=replace(PLAIN.training, label_dropout=0.1),
    schedule=replace(PLAIN.schedule, T=12),
)


@pytest.mark.parametrize(
    ("label", "labels"),
    [
        (None, (0, 1, 2)),
        ("all", (0, 1, 2)),
        ("none", ()),
        ("cat", (1,)),
        (2, (2,)),
        (np.int64(2), (2,)),
        (torch.tensor(2), (2,)),
        (["dog", 0, np.uint8(1)], (2, 0, 1)),
        (("2", "cat"), (2, 1)),
        (range(3), (0, 1, 2)),
        (np.array([1, 0]), (1, 0)),
        (torch.tensor([1, 0]), (1, 0)),
    ],
)
def test_classes_are_named_in_many_ways(label, labels):
    assert condition_of(NAMED, label).labels == labels


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([], "empty list"),
        (np.array([]), "empty list"),
        (True, "got True"),
        ([0, False], "got False"),
        (torch.tensor([True, False]), "got True"),
        ([1.0], "got 1.0"),
        (np.array([0.5]), "got 0.5"),
        ([None], "got None"),
        (np.array([[1, 2]]), r"shape \(1, 2\)"),
        (-1, "no class -1"),
        (np.int64(3), "no class"),
        ([0, "fish"], "no class 'fish'"),
    ],
)
def test_what_is_no_class_is_refused(label, words):
    with pytest.raises(UsageError, match=words):
        condition_of(NAMED, label)


@pytest.mark.parametrize("label", [None, "cat", 1, [0, "dog"], "none"])
@pytest.mark.parametrize("interval", [(0, 3), (3, 2), (1, 13), (1.5, 3), (1, 2, 3), (1,), ("1", "2")])
def test_an_interval_is_checked_for_every_kind_of_label(label, interval):
    for ask in (condition_of, condition_of_edit):
        with pytest.raises(UsageError, match="guidance_interval needs") as refused:
            ask(NAMED, label, 2.0, interval)
        assert "--" not in str(refused.value)


@pytest.mark.parametrize("label", [None, "cat", 1, [0, "dog"]])
def test_guidance_and_its_interval_are_kept(label):
    found = condition_of(NAMED, label, 2.0, (np.int64(2), 9)).guidance
    assert (found.weight, found.interval) == (2.0, (2, 9))
    assert asked(NAMED, "cat", 2.0, "2,9") == condition_of(NAMED, "cat", 2.0, (2, 9))


def test_messages_name_what_a_caller_gave_and_flags_to_a_command():
    with pytest.raises(UsageError, match=r"^guidance needs a class to guide to: label none$"):
        condition_of(NAMED, "none", 2.0)
    with pytest.raises(UsageError, match=r"^--guidance needs a class to guide to: --label none$"):
        asked(NAMED, "none", 2.0, None)
    with pytest.raises(UsageError, match=r"^the model has no classes: label cat") as refused:
        condition_of(PLAIN, "cat")
    assert refused.value.hints == ("ddpm.fit(..., conditional=True) makes one",)
    with pytest.raises(UsageError, match=r"^the model has no classes: --label cat"):
        asked(PLAIN, "cat", None, None)
    with pytest.raises(UsageError, match="finite"):
        condition_of(NAMED, "cat", float("nan"))


def test_the_number_of_one_class():
    assert [label_of(NAMED, one) for one in ("cat", "2", 0, np.int8(2), torch.tensor(1))] == [1, 2, 0, 2, 1]
    for one in (-1, np.int64(-1), 3, True, "fish"):
        with pytest.raises(UsageError):
            label_of(NAMED, one)
    with pytest.raises(UsageError, match="no class 0"):
        label_of(PLAIN, 0)
