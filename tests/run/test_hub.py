"""Training on a data set of the hub: on the commit that it began with."""

import json

from tests.harness.commands import TINY
from tests.harness.small_hub import NEW, OLD, served, tables

__all__ = ["served", "tables"]


def _train(ddpm, run, source, steps):
    constant = ("--set", "training.decay=constant")  # or the number of steps would change the first ones
    return ddpm("train", *TINY, "--data", source, "--output-dir", run, "--steps", steps, *constant)


def test_a_run_goes_on_with_the_commit_that_it_began_with(ddpm, served, tables, tmp_path):
    """Though the hub has other images under the same name by then."""
    served.add("a/b", OLD, tables)
    for run in ("whole", "parts"):
        said = _train(ddpm, tmp_path / run, "hf:a/b", 6 if run == "whole" else 3)
        assert said.code == 0, said.err
    served.add("a/b", NEW, {"train.parquet": tables["test-00000-of-00001.parquet"]})
    said = _train(ddpm, tmp_path / "parts", "hf:a/b", 6)
    assert said.code == 0, said.err
    assert "going on from step 3" in said.err
    for name in ("model", "optimizer"):
        files = [
            tmp_path / run / "checkpoints" / "step-000000006" / f"{name}.safetensors" for run in ("whole", "parts")
        ]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert json.loads((tmp_path / "parts" / "config.json").read_text())["data"]["source"] == f"hf:a/b@{OLD}"
    said = _train(ddpm, tmp_path / "parts", f"hf:a/b@{NEW}", 9)
    assert said.code == 78
    assert "no longer those" in said.err


def test_what_is_there_is_told(ddpm, served, tables):
    served.add("a/b", OLD, tables)
    said = ddpm("data", "hf:a/b", "--json", "-")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == 16
    said = ddpm("data", "hf:a/none")
    assert (said.code, said.err.count("\n")) == (66, 2)
    assert "none for you: 'hf:a/none'" in said.err
