"""What an image's file says of how it was drawn, and what may go on in a folder."""

import copy
import json
import shutil
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ddpm.experiment.settings import changed
from ddpm.figures.pictures import text_of
from ddpm.sampling import SAMPLERS
from ddpm.sampling.condition import Condition
from ddpm.sampling.guidance import Guidance
from ddpm.sampling.images import Plan
from ddpm.trained.loaded import load_run
from ddpm.trained.provenance import differences, how_drawn, in_common, read_how_drawn
from tests.cli.test_errors import _one_line


@pytest.fixture(scope="module")
def model(trained):
    return load_run(str(trained), "ema", torch.device("cpu"))


@pytest.fixture(scope="module")
def of_classes(model):
    """The same, as if of three classes."""
    return replace(model, experiment=changed(model.experiment, {"model.classes": 3}))


def _common(model, labels=(), guidance=1.0, spacing="uniform", **plan):
    condition = Condition(labels, Guidance(guidance))
    return in_common(model, Plan(4, **plan), spacing, model.process.schedule.T, condition)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_says_how_and_goes_on(model, sampler):
    """In JSON that every reader takes, also where an option is infinite."""
    common = _common(model, sampler=sampler)
    found = read_how_drawn(how_drawn(common, Condition((2, 0)), 5))
    assert (found["sampler"], found["number"], found["label"]) == (sampler, 5, 0)
    assert differences(common, found) == []


def test_what_makes_another_set(model, of_classes):
    base = _common(of_classes, (0, 1))
    every = _common(of_classes, (0, 1, 2))
    shorter = replace(of_classes, process=of_classes.process.respace([1, 4, 12]))
    network = copy.deepcopy(of_classes.process.network)
    next(network.parameters()).data[0] += 1e-3
    retrained = replace(of_classes, process=replace(of_classes.process, network=network))
    unlimited = replace(of_classes, experiment=changed(of_classes.experiment, {"process.limit": "unlimited"}))
    for other, said in [
        (_common(of_classes, (0, 1), seed=1), "seed 0 -> 1"),
        (_common(of_classes, (1,)), "labels [0, 1] -> [1]"),
        (_common(of_classes), "labels [0, 1] -> []"),
        (every, 'labels [0, 1] -> "all"'),
        (_common(of_classes, (0, 1), 2.0), "guidance 1.0 -> 2.0"),
        (_common(retrained, (0, 1)), "another model"),
        (_common(unlimited, (0, 1)), 'limit "unit-clamp" -> "unlimited"'),
        (_common(shorter, (0, 1)), "steps 12 -> 3"),
        (_common(of_classes, (0, 1), sampler="ddim"), 'sampler "ancestral" -> "ddim"'),
        (base | {"given": "0"}, "another image or mask"),
        (_common(model), "labels [0, 1] -> not said"),
    ]:
        changes = differences(other, read_how_drawn(how_drawn(base, Condition((0, 1)), 0)))
        assert any(said in change for change in changes), (said, changes)
    same_steps = _common(of_classes, (0, 1), spacing="quadratic")
    assert differences(same_steps, base) == []
    assert differences(_common(of_classes, (0, 1), first=7, batch_size=2), base) == []


def test_the_precision_makes_another_set(model):
    """What was drawn before it could be chosen says nothing of it: it is of float32, and goes on."""
    rounded = model.in_precision("bf16")
    assert rounded.digest == model.digest
    base, other = _common(model), _common(rounded)
    old = {name: value for name, value in base.items() if name != "precision"}
    assert (base["precision"], other["precision"]) == ("fp32", "bf16")
    assert differences(base, old) == []
    assert differences(other, old) == differences(other, base) == ['precision "fp32" -> "bf16"']


@pytest.mark.parametrize("text", [None, "", "{}", "[]", "[[1, 2]]", "[" * 100_000, '{"sampler": NaN}', "a drawing"])
def test_what_others_wrote_says_nothing(text):
    assert read_how_drawn(text) is None


def _bomb(path):
    """Its header says 30,000 x 30,000."""
    Image.new("L", (1, 1)).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def _cut(path):
    path.write_bytes(path.read_bytes()[:40])


def _of_another_program(path):
    about = PngInfo()
    about.add_text("ddpm", "a drawing")
    Image.new("L", (8, 8)).save(path, pnginfo=about)


@pytest.mark.parametrize("spoil", [_bomb, _cut, _of_another_program])
def test_the_first_image_that_says_how_is_asked(ddpm, trained, tmp_path, spoil):
    out = tmp_path / "o"
    draw = ("sample", trained, "--steps", 2, "--output-dir", out)
    assert ddpm(*draw, "--num", 2).code == 0
    spoil(out / "000000.png")
    _one_line(ddpm(*draw, "--first", 2, "--num", 1, "--seed", 1), 73, "drawn otherwise", "seed 0 -> 1")
    shutil.copy(out / "000000.png", out / "000001.png")
    said = ddpm(*draw, "--first", 2, "--num", 1, "--seed", 1)
    assert said.code == 0
    assert "do not say how" in said.err
    assert not list(out.glob(".tmp*"))


def test_an_edit_goes_on_with_its_own_image_alone(ddpm, trained, tmp_path):
    """By its pixels: the same under another name is the same, another one of the same name is not."""
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "mask.png")
    flags = ("--num", 1, "--steps", 2, "--output-dir")
    edit = lambda name, *more: ddpm("edit", trained, tmp_path / name, "--timestep", 6, *flags, tmp_path / "e", *more)  # noqa: E731
    fill = lambda *more: ddpm(  # noqa: E731
        "inpaint", trained, tmp_path / "a.png", tmp_path / "mask.png", *flags, tmp_path / "f", *more
    )
    for draw in (lambda *more: edit("a.png", *more), fill):
        assert draw().code == 0
    assert edit("b.png", "--first", 1).code == 0
    found = json.loads(text_of(tmp_path / "e" / "000001.png"))
    assert (found["number"], found["timestep"]) == (1, 6)
    assert str(tmp_path) not in text_of(tmp_path / "e" / "000001.png")
    _one_line(fill("--first", 1, "--method", "replace"), 73, 'method "repaint" -> "replace"')
    Image.fromarray(255 - pixels).save(tmp_path / "a.png")
    _one_line(edit("a.png", "--first", 2), 73, "another image or mask")
    _one_line(fill("--first", 1), 73, "another image or mask")
