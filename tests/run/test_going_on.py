"""A run goes on with the flags that it was started with; what is given then is held against them, or changes it from there on."""

import json
import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

import ddpm as face
from ddpm import checkpoints
from ddpm.errors import Mismatch, NotFound, UsageError
from ddpm.experiment.history import Change, changed_from, images_after, recipe_at, stretches
from ddpm.figures.images import image_set
from ddpm.models.recompute import recompute
from ddpm.parallel.world import ALONE
from ddpm.run.asked import asked_for
from ddpm.run.folder import RunFolder
from ddpm.run.log import read_metrics
from ddpm.run.session import Session
from ddpm.run.start import start_of
from ddpm.training.trainer import Recipe
from tests.harness.commands import TINY

STEADY = [*TINY, "--set", "training.decay=constant", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0"]
TENSORS = ("model", "ema", "optimizer")


def files_of(run, step):
    """The bytes of what a checkpoint holds."""
    folder = run / "checkpoints" / checkpoints.folder_name(step)
    return {name: (folder / f"{name}.safetensors").read_bytes() for name in TENSORS}


@pytest.fixture(scope="module")
def whole(tmp_path_factory, without_reports):
    """Twelve steps at once."""
    from ddpm.cli import main

    run = tmp_path_factory.mktemp("whole") / "run"
    assert main(["train", "--output-dir", str(run), *STEADY, "--steps", "12"]) == 0
    return run


@pytest.fixture
def half(ddpm, tmp_path):
    """Six of them."""
    assert ddpm("train", "--output-dir", tmp_path / "half", *STEADY).code == 0
    return tmp_path / "half"


def test_gradient_checkpointing_may_begin_and_end_in_the_middle(ddpm, whole, half, monkeypatch):
    """And changes no bit."""
    networks = []
    monkeypatch.setattr("ddpm.run.session.recompute", lambda network: networks.append(network) or recompute(network))
    assert face.fit(None, half, steps=9, gradient_checkpointing=True, progress=False).step == 9
    assert len(networks) == 1
    assert face.fit(None, half, steps=12, gradient_checkpointing=False, progress=False).step == 12
    assert len(networks) == 1
    assert files_of(half, 12) == files_of(whole, 12)


def test_2n_steps_are_n_and_the_folder_alone(ddpm, whole, half):
    """To the bit, from the command and from Python; with the same lines in the log, and the same configuration."""
    other = shutil.copytree(half, half.with_name("other"))
    assert ddpm("train", "--output-dir", half, "--steps", "12").code == 0
    assert face.fit(None, other, steps=12, progress=False).step == 12
    for step in (9, 12):
        assert files_of(half, step) == files_of(other, step) == files_of(whole, step)
    assert (half / "config.json").read_text() == (whole / "config.json").read_text()
    rows = [[{**row, "seconds": 0} for row in read_metrics(run / "metrics.jsonl")] for run in (half, whole)]
    assert rows[0] == rows[1]


def asked(run, *, change=None, source=None, preset=None, short=None, settings=None, resume="auto"):
    """What `ddpm train` would do, and the refusal if there is one."""
    folder, start = RunFolder(run), start_of(resume, change or {})
    found = asked_for(folder, start, source, preset, None, short or {}, settings or {})
    start.check(found, folder)
    return found


def test_what_is_not_given_is_as_it_was_started(trained):
    """No flag, its data, its preset, or one setting that is as it was: the same experiment."""
    own = RunFolder(trained).read_experiment()
    given = [{}, {"source": "digits"}, {"preset": "digits"}, {"short": {"seed": 0, "schedule": "log-snr"}}]
    for flags in [*given, {"settings": {"model.channels": 8}}, {"resume": str(trained)}]:
        assert asked(trained, **flags) == own, flags


@pytest.mark.parametrize(
    "settings",
    [{"training.steps": 9}, {"rhythm.save": 1}, {"data.workers": 0}, {"training.accumulate": 2}],
    ids=lambda settings: next(iter(settings)),
)
def test_length_rhythm_and_workers_may_change(trained, settings):
    """With --set, with --change, which means the same, and beside nothing else."""
    assert asked(trained, settings=settings) == asked(trained, change=settings) != RunFolder(trained).read_experiment()


def test_anything_else_is_refused_with_both_values_and_a_command_that_works(ddpm, run, trained):
    """The hint is typed as it stands, and goes on."""
    with pytest.raises(Mismatch) as found:
        asked(
            trained, short={"seed": 7, "schedule": "cosine", "steps": 7}, settings={"rhythm.save": 2, "compile": False}
        )
    assert "schedule.name: log-snr -> cosine" in str(found.value)
    assert "training.seed: 0 -> 7" in str(found.value)
    assert "--set rhythm.save=2 --steps 7 goes on with it as it is" in found.value.hints[0]
    said = ddpm("train", "--output-dir", run, "--seed", "7", "--steps", "7")
    command = said.err.partition("hint: ")[2].partition(" goes on")[0]
    assert said.code == 78
    assert ddpm(*shlex.split(command)[1:]).code == 0
    assert read_metrics(run / "metrics.jsonl")[-1]["step"] == 7


def test_of_another_learning_rate_the_hint_is_the_change(ddpm, half):
    """Which works as it stands, too."""
    said = ddpm("train", "--output-dir", half, "--lr", "1e-3", "--steps", "7")
    assert (said.code, "training.lr: 0.004 -> 0.001" in said.err) == (78, True)
    command = said.err.partition("hint: ")[2].partition(" changes it")[0]
    assert command.endswith("--change training.lr=0.001")
    assert ddpm(*shlex.split(command)[1:]).code == 0
    assert json.loads((half / "config.json").read_text())["training"]["lr"] == 0.001


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"training.seed": 4}, Mismatch, "training.seed: 0 -> 4"),
        ({"model.channels": 16}, Mismatch, "model.channels: 8 -> 16"),
        ({"training.lr": -1}, UsageError, "training.lr"),
        ({"training.lrr": 1}, UsageError, "lrr"),
        ({"training.batch_size": 2.5}, UsageError, "training.batch_size"),
        ({"changes": []}, UsageError, "cannot be set"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_in_the_middle(trained, change, kind, words):
    with pytest.raises(kind, match=words.replace(".", r"\.")):
        asked(trained, change=change)


def test_there_must_be_a_run(ddpm, tmp_path):
    """To go on with, or to change; nothing is made."""
    new = tmp_path / "new"
    assert ddpm("train", "--output-dir", new).code == 2
    assert ddpm("train", "--output-dir", new, "--data", "digits", "--change", "training.lr=1").code == 2
    with pytest.raises(NotFound, match="no such run"):
        asked(new, resume=str(tmp_path / "gone"))
    assert not new.exists()


def test_a_change_is_recorded_and_told_with_its_step(ddpm, half):
    """In config.json, in the next line of the log, and at each start; the same command again changes nothing more."""
    change = ["--change", "training.lr=1e-3", "--change", "training.batch_size=12"]
    said = ddpm("train", "--output-dir", half, "--steps", "9", *change)
    assert "training.lr: 0.004 -> 0.001 from step 6 on" in said.err
    found = RunFolder(half).read_experiment()
    assert (found.training.lr, found.training.batch_size) == (1e-3, 12)
    assert {(c.step, c.setting, c.before, c.after) for c in found.changes} == {
        (6, "training.lr", 4e-3, 1e-3),
        (6, "training.batch_size", 8, 12),
    }
    row = next(row for row in read_metrics(half / "metrics.jsonl") if row["step"] > 6)
    assert (row["changed_at"], row["training.lr"], row["training.batch_size"]) == (6, 1e-3, 12)
    assert row["images"] == 6 * 8 + (row["step"] - 6) * 12
    assert "changed_at" not in read_metrics(half / "metrics.jsonl")[-1]
    assert ddpm("train", "--output-dir", half, "--steps", "10", *change).code == 0
    assert ddpm("train", "--output-dir", half, *STEADY, "--steps", "11").code == 0  # the flags that it was started with
    assert RunFolder(half).read_experiment().changes == found.changes


def test_a_change_of_a_finished_run_is_kept_for_the_steps_to_come(ddpm, half, tmp_path):
    """As if it had been asked for with them, to the bit; also where fewer steps are asked for than are done."""
    change = ["--change", "training.lr=1e-3", "--change", "training.batch_size=12"]
    other, once = (shutil.copytree(half, tmp_path / name) for name in ("other", "once"))
    assert "training.lr: 0.004 -> 0.001 from step 6 on" in ddpm("train", "--output-dir", half, *change).err
    found = RunFolder(half).read_experiment()
    assert [(c.step, c.setting, c.after) for c in found.changes] == [
        (6, "training.lr", 1e-3),
        (6, "training.batch_size", 12),
    ]
    assert ddpm("train", "--output-dir", other, "--steps", "4", *change).code == 0
    assert RunFolder(other).read_experiment() == found
    assert ddpm("train", "--output-dir", once, "--steps", "9", *change).code == 0
    for run in (half, other):
        assert ddpm("train", "--output-dir", run, "--steps", "9").code == 0
        assert files_of(run, 9) == files_of(once, 9)
    back = ddpm("train", "--output-dir", half, "--change", "training.lr=2e-3")
    assert "training.lr: 0.001 -> 0.002 from step 9 on" in back.err
    assert RunFolder(half).read_experiment().training.lr == 2e-3


def test_a_changed_run_is_the_same_however_often_it_is_stopped(ddpm, half, tmp_path):
    """To the bit; also from a checkpoint of before the change."""
    other = shutil.copytree(half, tmp_path / "other")
    change = ["--change", "training.lr=1e-3", "--change", "training.batch_size=12"]
    assert ddpm("train", "--output-dir", half, "--steps", "12", *change).code == 0
    assert ddpm("train", "--output-dir", other, "--steps", "9", *change).code == 0
    for step in (6, 9):
        shutil.rmtree(other / "checkpoints" / checkpoints.folder_name(step))
    assert ddpm("train", "--output-dir", other, "--steps", "12").code == 0
    assert files_of(other, 12) == files_of(half, 12)
    for step in (9, 12):
        shutil.rmtree(other / "checkpoints" / checkpoints.folder_name(step))
    assert ddpm("train", "--output-dir", other).code == 0  # from the step of the change, written anew
    assert files_of(other, 12) == files_of(half, 12)


def test_the_same_change_from_an_older_checkpoint_asks_from_which_step_on(ddpm, half, tmp_path):
    """Its own step is on record; from now on is another run. Both are a command that works, and does what it says."""
    change = ["--change", "training.lr=1e-3"]
    assert ddpm("train", "--output-dir", half, "--steps", "9", *change).code == 0
    recorded, sooner = half, shutil.copytree(half, tmp_path / "sooner")
    wanted = files_of(half, 9)
    for run in (recorded, sooner):
        for step in (6, 9):
            (run / "checkpoints" / checkpoints.folder_name(step) / "manifest.json").write_text("{}")
        said = ddpm("train", "--output-dir", run, *change)
        assert said.code == 78, said.err
        assert "training.lr = 0.001 is on record from step 6 on, but the run goes on from step 3" in said.err
        first, second = (line.removeprefix("hint: ") for line in said.err.splitlines() if line.startswith("hint: "))
        command = (first if run is recorded else second).partition(" goes on" if run is recorded else " changes it")[0]
        assert ddpm(*shlex.split(command)[1:]).code == 0
    assert files_of(recorded, 9) == wanted != files_of(sooner, 9)
    assert [c.step for run in (recorded, sooner) for c in RunFolder(run).read_experiment().changes] == [6, 3]
    (row,) = [row for row in read_metrics(sooner / "metrics.jsonl") if "changed_at" in row]
    assert row["changed_at"] == 3


def test_what_is_new_beside_a_change_on_record_is_in_both_ways_on(ddpm, half, tmp_path):
    """Another change, and a setting that any start may have anew."""
    assert ddpm("train", "--output-dir", half, "--steps", "9", "--change", "training.lr=1e-3").code == 0
    for step in (6, 9):
        shutil.rmtree(half / "checkpoints" / checkpoints.folder_name(step))
    more = ["--change", "training.batch_size=12", "--change", "rhythm.log=1", "--change", "compile=false"]
    said = ddpm("train", "--output-dir", half, "--change", "training.lr=1e-3", *more)
    assert said.code == 78, said.err
    hints = [line.removeprefix("hint: ") for line in said.err.splitlines() if line.startswith("hint: ")]
    recorded, instead = " goes on as it is on record, with what is new", " changes it from step 3 on"
    for hint, words, lr_from in ((hints[0], recorded, 6), (hints[1], instead, 3)):
        run = shutil.copytree(half, tmp_path / f"from-{lr_from}")
        command = hint.partition(words)[0].replace(str(half), str(run))
        assert ddpm(*shlex.split(command)[1:]).code == 0
        found = RunFolder(run).read_experiment()
        assert {(c.setting, c.step) for c in found.changes} == {("training.lr", lr_from), ("training.batch_size", 3)}
        assert found.rhythm.log == 1


def test_what_is_damaged_of_a_run_that_is_named_is_said(ddpm, run, tmp_path):
    """Training goes on from an older checkpoint of it, and says why."""
    damaged = run / "checkpoints" / checkpoints.folder_name(6) / "manifest.json"
    damaged.write_text("{}")
    said = ddpm("train", "--output-dir", tmp_path / "new", "--resume", run, "--steps", "4")
    assert said.code == 0, said.err
    assert said.err.count(f"passed over: damaged checkpoint: {damaged}") == 1
    assert "going on from step 3" in said.err


def test_another_end_of_a_decay_is_said(ddpm, run):
    said = ddpm("train", "--output-dir", run, "--steps", "7")
    assert "decays towards the last step: with 7 steps instead of 6 it is another" in said.err


def test_images_that_were_handed_over_are_in_the_folder(tmp_path, without_reports):
    """Also once the folder was moved."""
    tiny = {"model.channels": 8, "model.multipliers": [1, 2], "model.groups": 4, "model.blocks": 1, "schedule.T": 10}
    pixels = face.images("digits", "test").numpy() * 15  # 0..240 of 256 levels
    quiet = {"rhythm.evaluate": 0, "rhythm.sample": 0, "training.decay": "constant"}
    face.fit(pixels, tmp_path / "a", preset="digits", steps=1, batch_size=4, settings={**tiny, **quiet}, progress=False)
    (tmp_path / "a").rename(tmp_path / "b")
    assert face.fit(None, tmp_path / "b", steps=2, progress=False).step == 2


def test_no_image_is_left_out_or_seen_twice_where_the_batch_size_changes(trained):
    """The order of the images goes on where it was: an epoch of 1,497 in batches of 8, then of 5."""
    run = RunFolder(trained).read_experiment()
    recipe, changes = changed_from(run.training, (), 100, {"training.batch_size": 5})
    session = object.__new__(Session)
    images = face.images("digits", "train")
    for name, value in (("experiment", replace(run, training=recipe, changes=changes)), ("world", ALONE)):
        object.__setattr__(session, name, value)
    seen = []
    for step in (*range(100), *range(100, 240)):
        object.__setattr__(session, "state", SimpleNamespace(step=step))
        batches = session._batches(image_set(images, "all"), recipe_at(recipe, changes, step))
        seen += batches.rows(step).tolist()
    assert len(seen) == 1500
    assert sorted(seen[:1497]) == list(range(1497))


def test_recipes_between_changes():
    """By hand: which recipe a step has, where a stretch ends, and how many images were seen."""
    recipe, changes = changed_from(Recipe(steps=100, batch_size=8, lr=1.0), (), 10, {"training.lr": 0.5})
    recipe, changes = changed_from(recipe, changes, 20, {"training.lr": 0.25, "training.batch_size": 4})
    assert changes == (
        Change(10, "training.lr", 1.0, 0.5),
        Change(20, "training.lr", 0.5, 0.25),
        Change(20, "training.batch_size", 8, 4),
    )
    found = [(step, recipe_at(recipe, changes, step)) for step in (0, 9, 10, 19, 20, 99)]
    assert [one.lr for _, one in found] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    assert [one.batch_size for _, one in found] == [8, 8, 8, 8, 4, 4]
    assert [(one.lr, end) for one, end in stretches(recipe, changes, 5)] == [(1.0, 10), (0.5, 20), (0.25, 100)]
    assert [(one.lr, end) for one, end in stretches(recipe, changes, 20)] == [(0.25, 100)]
    assert [images_after(recipe, changes, step) for step in (0, 1, 20, 21)] == [0, 8, 160, 164]
    back = changed_from(recipe, changes, 15, {"training.lr": 0.5})
    assert back == (replace(recipe, lr=0.5), (changes[0], changes[2]))
    sooner = changed_from(recipe, changes, 15, {"training.lr": 0.25})
    assert sooner == (recipe, (changes[0], Change(15, "training.lr", 0.5, 0.25), changes[2]))
    assert changed_from(recipe, changes, 20, {"training.lr": 0.25}) == (recipe, changes)
    kept = changed_from(
        replace(recipe, lr=1.0),
        (Change(10, "training.lr", 1.0, 0.5), Change(20, "training.lr", 0.5, 1.0)),
        5,
        {"training.lr": 1.0},
    )
    assert kept == (replace(recipe, lr=1.0), ())
