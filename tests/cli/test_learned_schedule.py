"""`--schedule learned` from end to end: trained, stopped, continued, used, and exported as an ordinary table."""

import json

import numpy as np
import pytest
import torch

from tests.harness.commands import TINY

LEARNED = [*TINY, "--schedule", "learned", "--objective", "variational"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    from ddpm.cli import main

    folder = tmp_path_factory.mktemp("learned") / "run"
    assert main(["train", "--output-dir", str(folder), *LEARNED]) == 0
    return folder


def _table(ddpm, name, path):
    said = ddpm("schedule", name, "--json", path)
    assert said.code == 0, said.err
    return json.loads(path.read_text())


def test_it_has_moved_and_is_a_schedule(ddpm, learned, tmp_path):
    table = _table(ddpm, learned, tmp_path / "learned.json")
    start = _table(ddpm, learned / "checkpoints" / "step-000000003", tmp_path / "middle.json")
    assert table["T"] == 12
    assert table["beta"] != start["beta"]
    snr = np.array(table["snr"])
    assert (np.diff(snr) < 0).all()


def test_stopping_in_the_middle_changes_nothing(ddpm, learned, tmp_path):
    folder = tmp_path / "run"
    flags = list(LEARNED)
    flags[flags.index("--steps") + 1] = "3"
    constant = ["--set", "training.decay=constant"]
    assert ddpm("train", "--output-dir", folder, *flags, *constant).code == 0
    assert ddpm("train", "--output-dir", folder, *LEARNED, *constant).code == 0
    whole = tmp_path / "whole"
    assert ddpm("train", "--output-dir", whole, *LEARNED, *constant).code == 0
    for name in ("model", "ema", "optimizer"):
        last = f"checkpoints/step-000000006/{name}.safetensors"
        assert (folder / last).read_bytes() == (whole / last).read_bytes()


def test_it_is_sampled_and_evaluated(ddpm, learned, tmp_path):
    assert ddpm("sample", learned, "--num", 2, "--output-dir", tmp_path / "out").code == 0
    assert ddpm("sample", learned, "--num", 2, "--steps", 4, "--output-dir", tmp_path / "few").code == 0
    said = ddpm("evaluate", learned, "--data", "digits", "--num-images", 4, "--json", tmp_path / "e.json")
    assert said.code == 0, said.err


def test_the_table_makes_an_ordinary_run(ddpm, learned, tmp_path):
    """Trained with the exported table: its schedule is the table, and the bound of one network is the same by both."""
    table = _table(ddpm, learned, tmp_path / "learned.json")
    run = tmp_path / "run"
    said = ddpm("train", "--output-dir", run, *TINY, "--schedule", tmp_path / "learned.json")
    assert said.code == 0, said.err
    again = _table(ddpm, run, tmp_path / "again.json")
    assert again["beta"] == table["beta"]
    assert json.loads((run / "config.json").read_text())["schedule"]["name"] == "table"
    torch.testing.assert_close(again["alpha_bar"], table["alpha_bar"], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{}", 65, ["beta"]),
        ("[0.1", 65, ["no JSON"]),
        ('{"beta": [0.1, 2.0]}', 65, ["t = 2", "2.0"]),
        ('{"beta": ["a"]}', 65, ["t = 1", "'a'"]),
        ('{"beta": []}', 65, ["beta"]),
    ],
)
def test_a_file_that_holds_no_schedule(ddpm, tmp_path, text, code, words):
    path = tmp_path / "table.json"
    path.write_text(text)
    for arguments in (["schedule", path], ["train", "--output-dir", tmp_path / "run", *TINY, "--schedule", path]):
        said = ddpm(*arguments)
        assert said.code == code, said.err
        assert said.err.count("\n") == 1
        assert all(word in said.err for word in words)


def test_it_needs_the_bound(ddpm, tmp_path):
    said = ddpm("train", "--output-dir", tmp_path / "run", *TINY, "--schedule", "learned")
    assert said.code == 2
    assert "--objective variational" in said.err
    said = ddpm("train", "--output-dir", tmp_path / "run", *TINY, "--schedule", "learned", "--objective", "simple")
    assert said.err.count("hint") == 1
    assert "hint: --objective variational" in said.err
