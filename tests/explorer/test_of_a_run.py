"""Asks about a run that lies on the disk, with its data, its log and its codec: what they tell is what the library computes."""

import base64
import json
import shutil

import numpy as np
import pytest
import torch

import ddpm
from ddpm.data.imageset import to_levels
from ddpm.errors import NotFound
from ddpm.explorer import wire
from ddpm.explorer.subject import HELD_OUT, SAMPLES, subject_of
from ddpm.run.log import read_metrics
from ddpm.trained.coded import codec_to_write
from tests.explorer.test_asks import asked, tensor

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def of_run(tmp_path_factory):
    """A run of few steps."""
    folder = tmp_path_factory.mktemp("explored") / "run"
    shape = {"model.channels": 8, "model.multipliers": [1, 2], "model.groups": 4, "model.blocks": 1, "schedule.T": 20}
    model = ddpm.fit("digits", folder, steps=30, batch_size=16, settings=shape | {"rhythm.sample": 10}, progress=False)
    return subject_of(model, None, pytest.fail)


def test_its_images_are_the_held_out_ones(of_run):
    assert of_run.images_are == HELD_OUT
    assert torch.equal(of_run.x_0[:5], ddpm.images("digits", split="test")[:5].tensor)
    (model,) = asked(of_run, "model")
    assert (model["trained_on"], model["trains"]) == (True, True)


def test_bits_are_those_of_the_codec(of_run):
    codec, x_0 = codec_to_write(of_run.model.loaded), of_run.x_0[:1]
    whole = to_levels(x_0, 17)[0].numpy().astype(np.int64)
    (file,) = codec.progressive([whole])
    (found,) = asked(of_run, "bits", x_0=wire.array(x_0))
    assert (found["bytes"], found["whole"], found["exact"], found["rmse"]) == (len(file), len(file), True, 0.0)
    assert torch.allclose(tensor(found["x_0"]), x_0, atol=1e-6)
    part = len(file) // 2
    (early,) = asked(of_run, "bits", x_0=wire.array(x_0), bytes=part)
    (wanted,) = codec.decompress([file[:part]])
    assert early["rmse"] == pytest.approx(float(np.sqrt(np.square(wanted.pixels - whole).mean()) * 255 / 16))
    assert all(one["bytes"] <= part for one in early["others"].values())


def test_copies_are_the_nearest_training_images(of_run):
    train = ddpm.images("digits", split="train").tensor
    given = torch.cat([train[7:8], -train[9:10]])
    found = asked(of_run, "copies", x=wire.array(given))[-1]
    assert found["rows"][0] == 7
    assert found["rmse"][0] == pytest.approx(0, abs=1e-4)
    far = 127.5 * (train - given[1]).square().mean((1, 2, 3)).sqrt()
    assert found["rmse"][1] == pytest.approx(float(far.min()), rel=1e-4)
    assert torch.allclose(tensor(found["x_0"])[1], train[found["rows"][1]], atol=1e-6)


@pytest.mark.parametrize("encoding", ["stochastic", "deterministic"])
def test_in_between_is_the_library_s_way(of_run, encoding):
    a, b = of_run.x_0[:1], of_run.x_0[1:2]
    given = {"a": wire.array(a), "b": wire.array(b), "t": 12, "count": 5, "encoding": encoding, "seed": 3, "steps": 6}
    *steps, done = asked(of_run, "between", **given)
    wanted = of_run.model.interpolate(a, b, timestep=12, num=5, encoding=encoding, steps=6, seed=3, progress=False)
    assert done == {"done": True}
    assert all(step["x"]["shape"] == [5, 1, 8, 8] for step in steps)
    assert torch.equal(tensor(steps[-1]["x"]), wanted.tensor)


def test_training_tells_the_log(of_run, tmp_path):
    folder = of_run.model.loaded.folder
    rows = read_metrics(folder.metrics)
    (found,) = asked(of_run, "training")
    assert found["loss"] == [[row["step"], row["loss"]] for row in rows if "loss" in row]
    assert (found["last"], found["ended"], found["picture_step"]) == (30, True, 30)
    picture = base64.b64decode(found["picture"].removeprefix("data:image/png;base64,"))
    assert picture == sorted(folder.samples.glob("*.png"))[-1].read_bytes()
    (again,) = asked(of_run, "training", known=30)
    assert "picture" not in again


def test_several_asks_in_one_stream(of_run):
    asks = [
        {"name": "reverse", "parameters": {"sampler": name, "steps": steps}}
        for name, steps in (("ddim", 4), ("ancestral", 7))
    ]
    found = asked(of_run, "together", asks=asks)
    for i, ask in enumerate(asks):
        alone = asked(of_run, "reverse", **ask["parameters"])
        assert [
            {name: value for name, value in one.items() if name != "of"} for one in found if one["of"] == i
        ] == alone
    assert [one["of"] for one in found[:4]] == [0, 1, 0, 1]


def test_a_run_that_is_deleted_while_it_is_looked_at(of_run, tmp_path):
    """What is in memory is shown on; the rest says what is missing."""
    copy = tmp_path / "copy"
    shutil.copytree(of_run.model.loaded.folder.path, copy)
    subject = subject_of(ddpm.load(copy), None, pytest.fail)
    shutil.rmtree(copy)
    x_0 = wire.array(subject.x_0[:1])
    assert asked(subject, "noised", x_0=x_0, t=3) == asked(of_run, "noised", x_0=x_0, t=3)
    with pytest.raises(NotFound, match="no longer there"):
        asked(subject, "training")


def test_without_its_data_the_model_draws_some(of_run, tmp_path):
    folder, said = tmp_path / "gone", []
    shutil.copytree(of_run.model.loaded.folder.path, folder)
    config = json.loads((folder / "config.json").read_text())
    config["data"]["source"] = "/nowhere"
    (folder / "config.json").write_text(json.dumps(config))
    subject = subject_of(ddpm.load(folder), None, said.append)
    assert subject.images_are == SAMPLES
    assert len(subject.x_0) == 16
    assert "/nowhere" in said[0]
