"""What a user reads when a value cannot be: one line in our own words that names the setting, and nothing is made."""

from dataclasses import asdict

import pytest

from ddpm.errors import UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import from_dict
from tests.cli.test_errors import _one_line

LIBRARIES = (
    "Input should",
    "valid ",
    "codec",
    "Expecting",
    "Errno",
    "object has no",
    "invalid literal",
    "Tuple",
    "item",
)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--lr nan", "training.lr: nan: it must be finite"),
        ("--lr inf", "training.lr: inf: it must be finite"),
        ("--lr -1", "training.lr: -1.0: it must be more than 0"),
        ("--lr fast", "--lr: must be a number: 'fast'"),
        ("--seed 1.5", "--seed: must be a whole number: '1.5'"),
        ("--batch-size 0", "--batch-size: must be a whole number of at least 1: '0'"),
        ("--steps 1e3", "--steps: must be a whole number of at least 1: '1e3'"),
        ("--resume=", "--resume: must not be empty"),
        ("--preset=", "--preset: must not be empty"),
        ("--config=", "--config: must not be empty"),
        ("--set=", "--set needs A.B=VALUE: ''"),
        ("--set =3", "--set needs A.B=VALUE: '=3'"),
        ("--set training.=3", "unknown setting of training: ''"),
        ("--set training=3", "training: 3: it must be an object with fields"),
        ("--set training.ema_decay=2", "training.ema_decay: 2: it must be less than 1"),
        ("--set training.ema_decay=NaN", "training.ema_decay: nan: it must be less than 1"),
        ("--set training.steps=true", "training.steps: True: it must be a number"),
        ("--set training.steps=1.5", "training.steps: 1.5: it must be a whole number"),
        ("--set training.seed=99999999999999999999", "training.seed: 99999999999999999999: it must be less than 2^63"),
        (
            "--set data.resolution=8,99999999999999999999",
            "data.resolution: 99999999999999999999: it must be less than 2^63",
        ),
        ("--set model.channels=" + "9" * 5000, "9...: it must be a whole number"),
        ("--set training.lr=" + "[" * 50_000, "[...: it must be a number"),
        ("--set data.levels=1", "data.levels: 1: it must be 0, or at least 2"),
        ("--set data.levels=65537", "data.levels: 65537: it must be 0, or at most 65536"),
        ("--set data.channels=2", "data.channels: 2: it must be 0, 1 or 3"),
        ("--set data.resolution=1,2,3", "data.resolution: [1, 2, 3]: it must be a list of at most 2"),
        ("--set data.held_out=0.9", "data.held_out: 0.9: it must be at most 0.5"),
        ("--set data.source=5", "data.source: 5: it must be text"),
        ("--set model.multipliers=0", "model.multipliers: 0: it must be more than 0\n"),
        ("--set model.multipliers=", "model.multipliers: []: it must be a list of at least 1"),
        ("--set model.attention=a", "model.attention: 'a': it must be a list"),
        ("--set compile=maybe", "compile: 'maybe': it must be true or false"),
        ("--set schedule.options.beta_T=x", "schedule.options.beta_T: 'x': it must be a number"),
        ("--set schedule.options.noise_1=NaN", "schedule.options.noise_1: nan: it must be finite"),
        ("--set rhythm.patience=inf", "rhythm.patience: inf: it must be finite"),
        ("--set schedule.beta=[1e999]", "schedule.beta: inf: it must be finite"),
    ],
    ids=lambda value: value[:40],
)
def test_a_value_that_cannot_be(ddpm, tmp_path, flags, words):
    """One line, the setting and what it must be, no library's words; the folder is not begun."""
    said = ddpm("train", "--data", "digits", "--output-dir", tmp_path / "run", *flags.split(" ", 1))
    _one_line(said, 2, words)
    assert len(said.err) < 400
    assert not any(text in said.err for text in LIBRARIES), said.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["NaN", "1e999", "true", "-1e999"])
def test_options_of_a_sampler_are_finite(ddpm, trained, tmp_path, value):
    """Of these, a sampler would make images of noise, or crash."""
    flags = ("--sampler", "heun", "--option", f"churn={value}")
    _one_line(ddpm("sample", trained, "--num", 1, "--output-dir", tmp_path / "out", *flags), 2, "NAME=NUMBER: churn=")
    assert not (tmp_path / "out").exists()


def test_an_empty_name_is_no_file(ddpm, trained, tmp_path):
    said = ddpm("sample", trained, "--num", 1, "--output-dir", tmp_path / "out", "--json", "")
    _one_line(said, 2, "the name of a file to write is empty")


def test_every_kind_of_wrong_value_has_words():
    """Whatever JSON can hold, under every setting: accepted, or refused in our words."""
    odd = [None, True, -1, 1e9, -0.5, "text", "", [], [None], ["a"], [0.5], {}, {"a": 1}, {"a": "b"}, [[[]]]]

    def paths(values, prefix=()):
        for name, value in values.items():
            yield (*prefix, name)
            if isinstance(value, dict):
                yield from paths(value, (*prefix, name))

    refused = 0
    for path in paths(asdict(Experiment())):
        for value in odd:
            nested = value
            for name in reversed(path):
                nested = {name: nested}
            try:
                from_dict(nested)
            except UsageError as error:
                refused += 1
                assert not any(text in str(error) for text in LIBRARIES), error
                assert ".".join(path) in str(error) or "wrong value" not in str(error), error
    assert refused > 300
