"""A checkpoint and config.json are one thing: what decides how weights are read is in both, and they agree or are refused."""

import json
import shlex
import shutil

import pytest

from ddpm import checkpoints
from ddpm.checkpoints import Damaged
from ddpm.errors import DataError, Mismatch
from ddpm.experiment.binding import KEY, binding, experiment_in
from ddpm.experiment.presets import digits
from ddpm.experiment.settings import changed
from ddpm.run.folder import RunFolder, find_checkpoint
from ddpm.run.verify import UNFIT, verify
from tests.harness.commands import TINY
from tests.run.test_verdicts import MANIFEST, STATE, flipped, resealed, sealed

READS = {
    "schedule.T": 13,
    "schedule.name": "cosine",
    "schedule.options": {"noise_1": 0.07},
    "process.prediction": "v",
    "process.sigma_1": "beta-1",
    "process.limit": "unlimited",
    "data.shape": [1, 8, 16],
    "data.levels": 16,
    "data.class_names": ["a", "b"],
    "model.channels": 16,
    "model.attention": [0],
    "model.dropout": 0.2,
    "model.classes": 10,
}


def edited(run, settings):
    """config.json by another hand."""
    config = json.loads((run / "config.json").read_text())
    for path, value in settings.items():
        section, _, name = path.rpartition(".")
        (config[section] if section else config)[name] = value
    (run / "config.json").write_text(json.dumps(config))


def written(checkpoint, change):
    """What the numbers of a checkpoint are changed to, with all digests as they should be."""
    numbers = json.loads((checkpoint / STATE).read_text())
    change(numbers)
    sealed(json.dumps(numbers).encode())(checkpoint / STATE)


def test_what_decides_how_weights_are_read_is_bound_to_them(run):
    """Each setting alone; the message has the name and both values."""
    config, before = (run / "config.json").read_bytes(), json.loads((run / "config.json").read_text())
    for path, value in READS.items():
        section, name = path.split(".")
        edited(run, {path: value})
        with pytest.raises(Mismatch) as found:
            find_checkpoint(run)
        inside = next(iter(value)) if isinstance(value, dict) else ""
        now, then = (value[inside], None) if inside else (value, before[section][name])
        assert f"{path}{inside and '.'}{inside} is {now}, and was {then}" in str(found.value), path
        assert "put back into config.json what was" in found.value.hints[0]
        assert [each.worth for each in verify(run)] == [UNFIT, UNFIT], path
        (run / "config.json").write_bytes(config)
    find_checkpoint(run)


def test_the_instance_with_which_it_began(ddpm, run):
    """T and prediction of a finished run are edited: no command says that all is well, and no number comes out."""
    edited(run, {"schedule.T": 13, "process.prediction": "v"})
    both = "schedule.T is 13, and was 12; process.prediction is v, and was eps"
    said = ddpm("verify", run)
    assert (said.code, both in said.out) == (78, True)
    asked = [*TINY, "--prediction", "v", "--set", "schedule.T=13", "--steps", "7"]
    commands = (
        ["evaluate", run, "--data", "digits", "--num-images", "2"],
        ["sample", run, "--num", "1", "--output-dir", run / "out"],
        ["schedule", run],
        ["train", "--output-dir", run, *asked],
    )
    for command in commands:
        said = ddpm(*command)
        assert (said.code, said.out, both in said.err) == (78, "", True), command
    edited(run, {"schedule.T": 12, "process.prediction": "eps", "process.variance": "fixed-large"})
    with pytest.raises(DataError, match="damaged configuration"):  # the objective trains a learned one: it is nobody's
        find_checkpoint(run)
    edited(run, {"objective": "simple"})
    with pytest.raises(Mismatch, match=r"process\.variance is fixed-large, and was learned"):
        find_checkpoint(run)
    edited(run, {"process.variance": "learned", "objective": "hybrid"})
    assert ddpm("evaluate", run, "--data", "digits", "--num-images", "2").code == 0


def test_what_was_edited_is_not_gone_on_with_either(ddpm, run):
    """Though it does not decide how weights are read, and though the flags agree with config.json."""
    edited(run, {"training.clip": 0.5})
    find_checkpoint(run)
    said = ddpm("train", "--output-dir", run, *TINY, "--set", "training.clip=0.5", "--steps", "7")
    assert (said.code, "training.clip: 1.0 -> 0.5" in said.err) == (78, True)
    assert "hint: put back into config.json what was: training.clip = 1.0" in said.err


def test_what_was_edited_and_may_change_leads_to_change(ddpm, run):
    """The hints lead on: put it back, then ask for the change."""
    config = (run / "config.json").read_text()
    lr = json.loads(config)["training"]["lr"]
    edited(run, {"training.lr": 0.1})
    said = ddpm("train", "--output-dir", run, "--steps", "7")
    assert (said.code, f"training.lr: {lr} -> 0.1" in said.err) == (78, True)
    back, then = [line.removeprefix("hint: ") for line in said.err.splitlines() if line.startswith("hint: ")]
    assert back == f"put back into config.json what was: training.lr = {lr}"
    (run / "config.json").write_text(config)
    typed = shlex.split(then.removeprefix("then ddpm ").removesuffix(" changes it from here on"))
    assert "--change" in typed
    assert ddpm(*typed, "--steps", "7").code == 0


def test_a_checkpoint_of_another_run_is_not_of_this_one(ddpm, run, tmp_path):
    """Of a network of the same shape, put into the folder by mistake."""
    other = tmp_path / "other"
    assert ddpm("train", "--output-dir", other, *TINY, "--schedule", "cosine", "--steps", "7").code == 0
    name = checkpoints.folder_name(7)
    shutil.copytree(other / "checkpoints" / name, run / "checkpoints" / name)
    with pytest.raises(Mismatch, match=r"schedule\.name is log-snr, and was cosine"):
        find_checkpoint(run)


def test_readings_that_are_meant_stay(ddpm, run):
    """--set process... reads the same weights otherwise, and the hint says so."""
    evaluate = ["evaluate", run, "--data", "digits", "--num-images", "2"]
    assert "unlimited" in ddpm(*evaluate, "--set", "process.limit=unlimited").out
    edited(run, {"process.limit": "unlimited"})
    said = ddpm(*evaluate)
    assert (said.code, "then --set process.limit=unlimited reads" in said.err) == (78, True)


def test_what_is_damaged_is_said_to_be(run):
    """A checkpoint whose word on its experiment was harmed, or is none, is damaged: 65."""
    last = run / "checkpoints" / checkpoints.folder_name(6)
    kept = shutil.copytree(last, run / "kept")
    place = (last / STATE).read_bytes().index(b'"prediction"')
    flipped(place + 3)(last / STATE)
    with pytest.raises(Damaged, match="not what was written"):
        find_checkpoint(last)
    for none in (3, {"process": {"prediction": "epr"}}, {"schedule": {"T": 0}}, {"schedule": [1]}):
        shutil.rmtree(last)
        shutil.copytree(kept, last)
        written(last, lambda numbers, none=none: numbers.update({KEY: none}))
        with pytest.raises(Damaged, match="its experiment is none"):
            find_checkpoint(last)


def test_checkpoints_of_before_still_open(ddpm, run):
    """They say nothing of their experiment: they are read by config.json, as they were, and gone on with."""
    for step in (3, 6):
        written(run / "checkpoints" / checkpoints.folder_name(step), lambda numbers: numbers.pop(KEY))
    _, content, _ = find_checkpoint(run)
    assert experiment_in(content.numbers) is None
    assert ddpm("verify", run).code == 0
    assert ddpm("train", "--output-dir", run, *TINY, "--steps", "7").code == 0
    assert experiment_in(find_checkpoint(run)[1].numbers) is not None


def test_what_may_change_is_not_in_a_checkpoint(run):
    """So that it is the same whatever its run was told of rhythm, workers and length."""
    other = {
        "training.steps": 9,
        "rhythm.save": 1,
        "data.workers": 2,
        "data.source": "b",
        "compile": True,
        "preset": "x",
    }
    assert binding(changed(digits(), other), 0) == binding(digits(), 0)
    own = RunFolder(run).read_experiment()
    assert experiment_in({KEY: binding(own, 6)}) == changed(own, {name: value for name, value in _defaults().items()})


def _defaults():
    """What is left out of a checkpoint, as it is where nothing is said."""
    from dataclasses import asdict

    from ddpm.experiment.config import Experiment

    values = asdict(Experiment())
    rhythm = {f"rhythm.{name}": value for name, value in values["rhythm"].items()}
    training = {f"training.{name}": values["training"][name] for name in ("steps", "accumulate")}
    others = {name: values[name] for name in ("preset", "compile", "parallel")}
    return {**rhythm, **training, **others, "data.source": "digits", "data.workers": -1}


def test_the_manifest_guards_it(run):
    """A state that is sealed by a manifest that was not written with it is another one."""
    last = run / "checkpoints" / checkpoints.folder_name(6)
    resealed(lambda values: values["files"][STATE].update(sha256="0" * 64))(last / MANIFEST)
    with pytest.raises(Damaged, match="not what was written"):
        find_checkpoint(last)
