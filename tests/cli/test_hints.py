"""Hints hold: each is met here as a user meets it, and followed to success. `tests/house/test_hints.py` knows which are not."""

import re
import shlex
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

import ddpm as door
from ddpm.cli.terminal.console import as_flags
from ddpm.data.open import open_source
from ddpm.data.splits import Options, proposed_side
from ddpm.errors import DataError, Failure, NotFound, UsageError, quoted
from ddpm.experiment.duration import seconds_of
from ddpm.experiment.request import path_of, requested
from ddpm.models.precision import choose
from tests.harness.commands import TINY
from tests.harness.undrawn import formulas_undrawn

QUICK = [*TINY[2:], "--steps", "1", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0"]


def _hinted(said, code, *hints):
    """The command failed with this code, and gave these hints among its own; they are returned."""
    assert said.code == code, said.err
    found = [line.removeprefix("hint: ") for line in said.err.splitlines() if line.startswith("hint: ")]
    for hint in hints:
        assert any(hint in each for each in found), found
    return found


def _command(hints, start):
    """What a hint that begins with `start` tells to type: all of it, up to words that no command takes."""
    (hint,) = [each for each in hints if each.startswith(start)]
    return shlex.split(hint)


def _typed(hints, what):
    """The words behind `ddpm` of the one hint that is a command and says `what` it does."""
    (hint,) = [each.removesuffix(what) for each in hints if each.endswith(what)]
    program, *words = shlex.split(hint)
    assert program == "ddpm"
    return words


def _well(said):
    assert said.code == 0, said.err
    return said


def _pictures(folder, *sizes):
    folder.mkdir(parents=True)
    for i, side in enumerate(sizes):
        Image.fromarray(np.full((side, side), i, np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def odd(tmp_path):
    """A folder whose name needs quotes."""
    return tmp_path / "it's (2) pictures"


def _train(ddpm, source, folder, *more):
    return ddpm("train", "--data", source, "--output-dir", folder, *QUICK, *more)


def test_did_you_mean(ddpm, tmp_path):
    _hinted(ddpm("schedule", "linear", "--stpes", "9"), 2, "did you mean --steps?")
    _well(ddpm("schedule", "linear", "--steps", "9"))
    _hinted(ddpm("train", "--dta", "x"), 2, "did you mean --data?")  # and not that --output-dir is missing
    _hinted(ddpm("shcedule", "linear"), 2, "did you mean schedule?")
    hints = _hinted(ddpm("schedule", "cosin", "--steps", "9"), 2, "did you mean 'cosine'?", "choose from")
    (names,) = [hint.removeprefix("choose from ").split(", ") for hint in hints if hint.startswith("choose from")]
    path = tmp_path / "table.json"
    _well(ddpm("schedule", "linear", "--steps", "9", "--json", path))
    for name in names[:-2]:  # and a run folder, and a file
        _well(ddpm("schedule", name, *([] if name == "learned" else ["--steps", "9"])))
    assert "ddpm schedule --json" in names[-1]
    _well(ddpm("schedule", path))
    bare = ("train", "--data", "digits", "--output-dir", tmp_path / "run", *QUICK)
    (hint, *_) = _hinted(ddpm(*bare, "--set", "lr=0.1"), 2, "did you mean training.lr?")
    _well(ddpm(*bare, "--set", "training.lr=0.1"))
    assert hint in _hinted(ddpm("train", "--output-dir", tmp_path / "run", "--change", "lr=0.2"), 2)
    _well(ddpm("train", "--output-dir", tmp_path / "run", "--change", "training.lr=0.2"))
    with pytest.raises(SystemExit, match="0"):
        ddpm(*_command(_hinted(ddpm("smaple"), 2, "ddpm --help"), "ddpm --help")[1:])


def test_a_line_of_the_notes(ddpm):
    hints = _hinted(ddpm("lab", "999:1"), 2, "for example: ddpm lab 000:163")
    assert "Rao-Blackwell" in _well(ddpm(*_command(hints, "for example: ddpm lab")[3:])).out


def test_broken_files_and_several_sizes(ddpm, tmp_path, odd):
    """The commands of the hints as they are typed into a shell."""
    _pictures(odd, *[8] * 12, 9)
    (odd / "bad.png").write_bytes(b"no")
    hints = _hinted(_train(ddpm, odd, tmp_path / "run"), 65, "ddpm data", "--set data.max_broken=")
    program, command, root, *words = _command(hints, "ddpm data")
    assert (program, words) == ("ddpm", ["lists", "them"])
    assert "bad.png" in _well(ddpm(command, root)).out
    less = _command(hints, "--set data.max_broken=")[:2]
    both = [each.removeprefix("the others differ in size: ") for each in hints]
    _well(_train(ddpm, odd, tmp_path / "both", *less, *_command(both, "--set data.resolution=8 ")[:2]))
    hints = _hinted(_train(ddpm, odd, tmp_path / "run", *less), 65, "--set data.resolution=8 scales each to cover 8x8")
    assert "9 x 9" in _well(ddpm(*_command(hints, "ddpm data")[1:3])).out
    _well(_train(ddpm, odd, tmp_path / "run", *less, *_command(hints, "--set data.resolution")[:2]))


def test_the_same_of_two_sets(ddpm, tmp_path, odd):
    """`ddpm distance` has the flag that its hints name, for A and for B, and `ddpm.distance` and `ddpm.images` the argument."""
    other = _pictures(tmp_path / "b", *[8] * 9)
    _pictures(odd, *[8] * 12, 9)
    (odd / "bad.png").write_bytes(b"no")
    how = ("--features", "pixels", "--metrics", "fid")
    for pair in ((odd, other), (other, odd)):
        hints = _hinted(ddpm("distance", *pair, *how), 65, "--set data.max_broken=")
        less = _command(hints, "--set data.max_broken=")[:2]
        hints = _hinted(ddpm("distance", *pair, *how, *less), 65, "--set data.resolution=8 scales each to cover 8x8")
        _well(ddpm("distance", *pair, *how, *less, *_command(hints, "--set data.resolution")[:2]))
    settings = {"data.max_broken": 0.1, "data.resolution": 8}
    found = door.distance(odd, str(other), "fid", "pixels", settings=settings, progress=False)
    assert found.manifest["a"]["images"] == 13
    with pytest.raises(DataError, match="differ in size"):
        door.distance(odd, other, settings={"data.max_broken": 0.1}, progress=False)
    assert len(door.images(odd, resolution=8, max_broken=0.1)) == 13
    with pytest.raises(UsageError, match="max_broken is a fraction"):
        door.images(odd, max_broken=2)
    said = ddpm("distance", odd, other, "--set", "data.source=digits")
    assert "data.resolution" in _hinted(said, 2, "choose from")[0]


def test_a_run_is_no_data_set(ddpm, trained, tmp_path):
    """Its sheets of samples were read as images."""
    measured = ("--metrics", "fid", "--num-samples", 3, "--steps", 2, "--num-images", 4, "--features", "pixels")
    for refused in (
        ("distance", trained, "digits"),
        ("distance", "digits", trained),
        ("train", "--data", trained, "--output-dir", tmp_path / "run"),
        ("data", trained),
        ("evaluate", trained, "--data", trained),
    ):
        said = ddpm(*refused)
        _hinted(said, 2, "ddpm evaluate measures what it draws, by metrics such as fid", "is a data set")
        assert "a run is no data set: " in said.err
    _well(ddpm("evaluate", trained, "--data", "digits", *measured))
    _well(ddpm("sample", trained, "--num", 3, "--output-dir", tmp_path / "drawn", "--steps", 2))
    _well(ddpm("data", tmp_path / "drawn"))


@pytest.mark.parametrize("name", ["plain", "two words", "it's", "$x", "caf\udce9", "a\nb'c\\d"])
def test_a_name_is_typed_as_a_shell_reads_it(tmp_path, name):
    import os
    import subprocess

    said = subprocess.run(["bash", "-c", f"printf %s {quoted(name)}"], capture_output=True, check=True)
    assert said.stdout == os.fsencode(name)


def test_what_an_array_is_can_be_said_to_ddpm_data(ddpm, tmp_path):
    """The hint named --set, which it did not have."""
    np.save(tmp_path / "a.npy", np.zeros((4, 3, 8, 3), np.uint8))
    hints = _hinted(ddpm("data", tmp_path / "a.npy"), 65, "of a file --set data.layout=NCHW says it")
    (words,) = [hint for hint in hints if hint.startswith("of a file ")]
    said = _well(ddpm("data", tmp_path / "a.npy", *words.split()[3:5], "--set", "data.levels=17"))
    assert "3 x 8 x 3 (channels, height, width)" in said.out
    assert "17 levels" in said.out
    _hinted(ddpm("data", "digits", "--set", "training.lr=1"), 2)
    _hinted(ddpm("data", "digits", "--set", "data.levels=1"), 2)


def test_where_there_is_something_already(ddpm, trained, tmp_path):
    drawn = ("sample", trained, "--num", "1", "--steps", "1", "--output-dir")
    _well(ddpm(*drawn, tmp_path / "o"))
    _hinted(ddpm(*drawn, tmp_path / "o"), 73, "give another --output-dir, or empty this one")
    _well(ddpm(*drawn, tmp_path / "p"))
    shutil.rmtree(tmp_path / "o")
    _well(ddpm(*drawn, tmp_path / "o"))
    other = (*drawn, tmp_path / "o", "--first", "1", "--seed", "1")
    _hinted(ddpm(*other), 73, "give another --output-dir")
    _well(ddpm(*other, "--output-dir", tmp_path / "q"))
    _hinted(ddpm(*drawn, tmp_path / "r", "--json", trained / "config.json"), 73, "write it elsewhere")
    _well(ddpm(*drawn, tmp_path / "r", "--json", tmp_path / "r.json"))


def test_a_folder_in_use_is_called_as_it_is_given(ddpm, trained, tmp_path):
    """Neither command has an --output-dir, and the call has no output_dir."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    for command in (("export", trained, tmp_path / "full"), ("import", tmp_path / "out", tmp_path / "full")):
        hints = _hinted(ddpm(*command), 73, "give another folder")
        assert not any("output" in hint for hint in hints)
        _well(ddpm(*command[:2], tmp_path / ("out" if command[0] == "export" else "run")))


def test_a_folder_of_other_things(ddpm, tmp_path):
    (tmp_path / "thesis.tex").touch()
    _hinted(_train(ddpm, "digits", tmp_path), 73, "give a new --output-dir")
    _well(_train(ddpm, "digits", tmp_path / "new"))


def test_another_experiment(ddpm, run, tmp_path):
    """In the folder, and of a checkpoint that --resume names: there another --output-dir would be no help."""
    base = ("train", "--data", "digits")
    other = (*base, "--set", "schedule.T=13", "--steps", "7")
    checkpoint = run / "checkpoints" / "step-000000003"
    hints = _hinted(
        ddpm(*other, "--output-dir", tmp_path / "n", "--resume", checkpoint), 78, "as it is", "without --resume"
    )
    assert not any("another --output-dir" in hint for hint in hints)
    _well(ddpm(*_typed(hints, " goes on with it as it is")))
    hints = _hinted(ddpm(*other, "--output-dir", run), 78, "use another --output-dir")
    _well(ddpm(*_typed(hints, " goes on with it as it is")))
    shutil.copytree(run, tmp_path / "copy")
    faster = (*base, "--set", "training.lr=0.0005", "--steps", "8", "--output-dir", tmp_path / "copy")
    _well(ddpm(*_typed(_hinted(ddpm(*faster), 78), " changes it from here on")))
    _hinted(ddpm(*base, "--output-dir", run, "--resume", "never"), 73, "--resume auto")
    _well(ddpm(*base, "--output-dir", run, "--resume", "auto"))
    hints = _hinted(ddpm(*base, "--output-dir", run, "--resume", checkpoint), 73, "use another --output-dir, or remove")
    for later in ("step-000000006", "step-000000007"):
        shutil.rmtree(run / "checkpoints" / later)
    _well(ddpm(*base, "--output-dir", run, "--resume", checkpoint))
    assert "more --steps go further" in ddpm(*base, "--output-dir", run).err


def test_checkpoints_that_are_gone(ddpm, run, tmp_path):
    """A copy that is brought back goes on."""
    copy = shutil.copytree(run / "checkpoints", tmp_path / "copy")
    for path in (run / "checkpoints").glob("*/manifest.json"):
        path.write_text("{}")
    base = ("train", *TINY, "--output-dir")
    _hinted(ddpm(*base, run), 65, "bring back a copy of one, or begin anew with another --output-dir")
    _hinted(ddpm("verify", run), 65, "bring back a copy, or begin anew")
    drawn = ("sample", run, "--num", "1", "--output-dir", tmp_path / "drawn")
    _hinted(ddpm(*drawn), 65, "bring back a copy of one: ddpm verify")
    for path in (run / "checkpoints").iterdir():
        shutil.rmtree(path)
    shutil.copytree(copy, run / "checkpoints", dirs_exist_ok=True)
    _well(ddpm(*drawn))
    _well(ddpm(*base, run))
    shutil.rmtree(run / "checkpoints" / "step-000000006")
    (run / "checkpoints" / "step-000000003" / "manifest.json").write_text("{}")
    _hinted(ddpm("verify", run / "checkpoints" / "step-000000003"), 65)


def test_a_folder_that_somebody_calls_checkpoints(ddpm, tmp_path):
    """It is no run's: the message names what was given, not a folder above that nobody named."""
    foreign = tmp_path / "checkpoints" / "fox"
    foreign.mkdir(parents=True)
    (foreign / "model_index.json").write_text("{}")
    for command in (("sample", foreign, "--num", "1", "--output-dir", tmp_path / "o"), ("verify", foreign)):
        said = ddpm(*command)
        assert said.code == 66
        assert f"no run in '{foreign}'" in said.err
    assert f"no run in '{foreign}'" in ddpm("schedule", foreign).err


def test_options_of_samplers(ddpm, trained, tmp_path):
    drawn = ("sample", trained, "--num", "1", "--steps", "2", "--output-dir", tmp_path / "o")
    hints = _hinted(ddpm(*drawn, "--eta", "0.5"), 2, "--sampler ddim has eta")
    _well(ddpm(*drawn, *_command(hints, "--sampler ddim")[:2], "--eta", "0.5"))
    hints = _hinted(
        ddpm(*drawn, "--sampler", "ddim", "--variance", "learned"), 2, "the samplers ancestral and corrected do"
    )
    for sampler in ("ancestral", "corrected"):
        drawn = (*drawn[:-1], tmp_path / sampler)
        _well(ddpm(*drawn, "--sampler", sampler, "--variance", "learned"))


def test_values_that_are_missing_or_too_large(ddpm, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = ("sample", trained, "--num", "1", "--steps", "1", "--output-dir", "a")
    hints = _hinted(ddpm(*drawn, "--npz"), 2, "it is typed --npz FILE.npz")
    _well(ddpm(*drawn, *hints[0].removeprefix("it is typed ").split()))
    again = ("edit", trained, "a/000000.png", "--num", "1", "--output-dir")
    for t, place, part in (("13", "b", "--timestep 12 leaves the least"), ("0", "c", "--timestep 1 leaves the most")):
        hints = _hinted(ddpm(*again, place, "--timestep", t), 2, part)
        _well(ddpm(*again, place, *hints[0].split()[:2]))


def test_inpainting(ddpm, trained, tmp_path):
    for name, value in (("image", 9), ("white", 255), ("black", 0)):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(tmp_path / f"{name}.png")
    half = np.zeros((8, 8), np.uint8)
    half[:4] = 255
    Image.fromarray(half).save(tmp_path / "half.png")
    few = ("--num", "1", "--steps", "2", "--output-dir")
    base = ("inpaint", trained, tmp_path / "image.png")
    _hinted(ddpm(*base, tmp_path / "black.png", *few, tmp_path / "o"), 2, "white is what will be drawn")
    _well(ddpm(*base, tmp_path / "half.png", *few, tmp_path / "o"))
    twice = (*base, tmp_path / "half.png", "--resamplings", "2", *few, tmp_path / "p")
    hints = _hinted(ddpm(*twice, "--method", "replace"), 2, "--method repaint")
    _well(ddpm(*twice, *_command(hints, "--method")))


def test_what_an_evaluation_can_measure(ddpm, trained):
    base = ("evaluate", trained, "--data", "digits", "--num-images", "40")
    hints = _hinted(ddpm(*base, "--metrics", "bits"), 2, "choose from")
    names = hints[-1].removeprefix("choose from ").split(", ")
    few = ("--metrics", ",".join(names), "--draws", "1", "--tolerance", "0.1", "--num-samples", "50")
    _hinted(ddpm(*base, *few, "--evaluations", "2"), 2, "without --evaluations")
    _well(ddpm(*base, *few))
    hints = _hinted(ddpm(*base, "--set", "process.prediction=x0"), 2, "choose from")
    names = hints[0].removeprefix("choose from ").split(", ")
    values = {**door.load(trained).experiment.__dict__}
    own = [f"{n}={getattr(values[n.split('.')[0]], n.split('.')[1])}" for n in names]
    given = [f"--set={each}" for each in own if not each.endswith(("=None", "=()"))]
    _well(ddpm(*base, *given))


def test_runs_are_compared_or_measured_one_by_one(ddpm, trained):
    few = ("--data", "digits", "--num-images", "2")
    hints = _hinted(ddpm("compare", trained, *few), 2, "ddpm evaluate ")
    assert "bits/dim" in _well(ddpm(*_command(hints, "ddpm evaluate")[1:-2], "--num-images", "2")).out
    estimated = ("--evaluations", "2")
    _hinted(ddpm("evaluate", trained, trained, *few, *estimated), 2, "measure the rest run by run")
    _well(ddpm("evaluate", trained, *few, *estimated))


def test_data_that_have_moved(ddpm, run, tmp_path):
    """The best steps are measured on training data."""
    config = (run / "config.json").read_text()
    (run / "config.json").write_text(re.sub(r'"source": "digits"', '"source": "gone"', config))
    drawn = ("sample", run, "--num", "1", "--steps", "2", "--spacing", "optimal", "--output-dir", tmp_path / "o")
    _hinted(ddpm(*drawn), 66, "--set data.source=SOURCE")
    _well(ddpm(*drawn, "--set", "data.source=digits"))


@pytest.mark.parametrize(
    ("smaller", "side", "why"),
    [
        (28, 32, "the power of two near the smaller of their median sides, which is 28"),
        (27, 16, "near"),
        (1, 1, "near"),
        (73, 64, "near"),
        (375, 64, "the smaller of their median sides is 375, which allows more and takes longer to train"),
    ],
)
def test_the_side_that_is_proposed(smaller, side, why):
    """Of photographs one that trains in hours; of small ones one that hardly enlarges any."""
    found, because = proposed_side(smaller)
    assert (found, why in because) == (side, True)


def test_of_photographs_the_proposal_is_no_picture_s_own_size(ddpm, tmp_path, odd):
    """Not that of the first one, whatever it is; `ddpm data` says the same."""
    for i, size in enumerate([(3, 2), *[(40, 30)] * 6, *[(30, 40)] * 5]):
        odd.mkdir(exist_ok=True)
        Image.new("L", size, i).save(odd / f"{i:02d}.png")
    why = (
        "--set data.resolution=32 scales each to cover 32x32 and cuts its centre: "
        "the power of two near the smaller of their median sides, which is 30"
    )
    hints = _hinted(_train(ddpm, odd, tmp_path / "run"), 65, why)
    assert "such as --set data.resolution=32: the power of two" in _well(ddpm("data", odd)).out
    _well(_train(ddpm, odd, tmp_path / "run", *_command(hints, "--set data.resolution")[:2]))


def test_weights_of_classes_for_images_without(ddpm, tmp_path, odd):
    folder, classes = tmp_path / "run", tmp_path / "classes"
    for name in "ab":
        _pictures(classes / name, *[8] * 6)
    _well(_train(ddpm, classes, folder, "--conditional"))
    begun = (
        "train",
        "--init-from",
        folder,
        "--data",
        _pictures(odd, *[8] * 6),
        "--output-dir",
        tmp_path / "new",
        *QUICK[-6:],
    )
    hints = _hinted(ddpm(*begun), 2, "--set model.classes=0 begins a model without classes, with all other weights")
    assert (
        "ddpm: classes that are left out: a, b" in _well(ddpm(*begun, *_command(hints, "--set model.classes")[:2])).err
    )


def test_images_that_have_changed(ddpm, tmp_path):
    folder = _pictures(tmp_path / "d", *[8] * 12)
    _well(_train(ddpm, folder, tmp_path / "run"))
    before = (folder / "3.png").read_bytes()
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(folder / "3.png")
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(folder / "new.png")
    more = ("--steps", "2")
    _hinted(
        _train(ddpm, folder, tmp_path / "run", *more), 78, "with the images as they were", "a new --output-dir trains"
    )
    _well(_train(ddpm, folder, tmp_path / "new", *more))
    (folder / "3.png").write_bytes(before)
    (folder / "new.png").unlink()
    _well(_train(ddpm, folder, tmp_path / "run", *more))


@pytest.mark.parametrize("command", ["train", "sample", "verify"])
def test_too_little_memory(ddpm, run, tmp_path, monkeypatch, command):
    """What helps is a flag that the command has, and, of a run that goes on, one that may change."""
    from ddpm.cli import sample, train, verify

    flags = {
        "train": ("train", *TINY, "--steps", "7", "--output-dir", run),
        "sample": ("sample", run, "--num", "1", "--steps", "1", "--output-dir", tmp_path / "o"),
        "verify": ("verify", run),
    }[command]

    def full(_options):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr({"train": train, "sample": sample, "verify": verify}[command], "run", full)
        hints = _hinted(ddpm(*flags), 71)
    less = {"train": "--set training.accumulate=2", "sample": "a smaller --batch-size"}.get(command)
    assert [hint.startswith(less or "") for hint in hints] == ([True] if less else [])
    typed = {"train": ["--set", "training.accumulate=2"], "sample": ["--batch-size", "1"], "verify": []}[command]
    _well(ddpm(*flags, *typed))


def test_a_page_says_how_it_is_made_again(ddpm, run, tmp_path, monkeypatch):
    """Also of a run, of which the schedule's name alone would say little."""
    from ddpm.laboratory.questions import QUESTIONS

    monkeypatch.setattr("ddpm.cli.laboratory.answers.QUESTIONS", {"Q17": QUESTIONS["Q17"]})
    monkeypatch.setattr("ddpm.cli.laboratory.answers.derive_all", lambda setting, at, language: ([], {}))
    monkeypatch.setattr("ddpm.cli.laboratory.answers.cores", lambda: 1)
    place = run.rename(tmp_path / "my run")
    with formulas_undrawn():
        _well(ddpm("lab", "all", "--schedule", place, "--seed", "3", "--output-dir", tmp_path / "a"))
        page = (tmp_path / "a" / "lab.html").read_text(encoding="utf-8")
        again = shlex.split(re.search(r"Recompute with: ([^<]*)", page)[1].replace("&#x27;", "'"))
        _well(ddpm(*again[1:], "--output-dir", tmp_path / "b"))
    assert (tmp_path / "b" / "lab.html").read_text(encoding="utf-8") == page


def _refused(kind, call, *hints):
    with pytest.raises(kind) as refused:
        call()
    found = [as_flags(hint) for hint in refused.value.hints]
    for hint in hints:
        assert any(hint in each for each in found), found
    return found


def _asked(**flags):
    conditional = flags.pop("conditional", False)
    settings = flags.pop("settings", {})
    found = requested("digits", None, None, flags, settings, conditional=conditional)
    return found.for_data(open_source("digits", "train"))


def test_settings_that_do_not_go_together():
    small = {"variance": "fixed-small"}
    _refused(UsageError, lambda: _asked(schedule="learned", objective="simple", **small), "--objective variational")
    _asked(schedule="learned", objective="variational", **small)
    hints = _refused(
        UsageError, lambda: _asked(variance="learned", objective="simple"), "--objective hybrid (or variational)"
    )
    assert "or a fixed --variance" in hints[0]
    for flags in ({"objective": "hybrid"}, {"objective": "variational"}):
        _asked(variance="learned", **flags)
    _asked(objective="simple", **small)
    _refused(UsageError, lambda: _asked(objective="hybrid", **small), "--variance learned, or --objective simple")
    few = {"model.classes": 3}
    _refused(UsageError, lambda: _asked(settings=few), "--conditional")
    assert _asked(conditional=True).model.classes == 10
    shards = {"parallel": "fsdp", "model.channels": 32}
    hints = _refused(
        UsageError,
        lambda: _asked(schedule="learned", objective="variational", settings=shards, **small),
        "parallel=ddp",
    )
    _asked(schedule="learned", objective="variational", settings=shards | {"parallel": "ddp"}, **small)
    known = _refused(UsageError, lambda: _asked(settings={"schedule.options": {"zeta": 1.0}}), "it has ")
    for name in known[0].removeprefix("it has ").split(", "):
        _asked(settings={"schedule.options": {name: 0.01}})
    _refused(UsageError, lambda: _asked(settings={"data.resolution": "x"}), "with commas, such as 32,32")
    _asked(settings={"data.resolution": [32, 32]})


def test_spans_of_time():
    hints = _refused(UsageError, lambda: seconds_of("soon"), "such as 90 (seconds), 30m, 2h or 1h30m")
    assert [seconds_of(text) for text in re.findall(r"\d\w*", hints[0])] == [90, 1800, 7200, 5400]
    both = {"training.steps": 9, "rhythm.budget": 60.0}
    _refused(UsageError, lambda: _asked(settings=both), "give one of --budget and --steps")
    for name, value in both.items():
        _asked(settings={name: value})


def test_names_of_settings():
    _refused(UsageError, lambda: path_of("larning_rate"), "")
    _refused(UsageError, lambda: path_of("ema_deca"), "did you mean 'ema_decay'?")
    assert path_of("ema_decay") == "training.ema_decay"
    _refused(UsageError, lambda: path_of("qqqqqq"), "print(ddpm.Experiment()) shows all of them")
    assert all(name in repr(door.Experiment()) for name in ("ema_decay", "resolution", "multipliers", "evaluations"))


def test_a_processor_has_its_precisions():
    import torch

    cpu = torch.device("cpu")
    hints = _refused(UsageError, lambda: choose("fp16", cpu), "--precision bf16 or fp32")
    for name in ("bf16", "fp32"):
        assert name in hints[0]
        assert choose(name, cpu) == name


def test_sources(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 8, 8), np.uint8))
    source = str(tmp_path / "a.npy")
    none, half = Options(held_out=0.0), Options(held_out=0.5)
    _refused(NotFound, lambda: open_source(source, "test", none), "--split all, or --set data.held_out=FRACTION")
    assert len(open_source(source, "all", none)) == 5
    assert len(open_source(source, "test", half)) > 0
    folder = _pictures(tmp_path / "d", *[8] * 4)
    _refused(NotFound, lambda: open_source(str(folder / "1.png"), "all"), "give the folder that it is in")
    assert len(open_source(str(folder), "all")) == 4
    for mode, name in (("w:gz", "b.tar.gz"), ("w", "b.tar")):
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(folder, "d")
    _refused(
        (DataError, NotFound, UsageError),
        lambda: open_source(str(tmp_path / "b.tar.gz"), "all"),
        "decompress it to a plain .tar",
    )
    assert len(open_source(str(tmp_path / "b.tar"), "all")) == 4
    for hint in _refused(UsageError, lambda: open_source(source, "tset"), "choose from")[0].split(", ")[1:]:
        if hint != "validation":  # for sources that have one: tests/data/folders
            assert len(open_source(source, hint, half))


def test_labels(tmp_path):
    """One-hot rows become labels as the hint says; an empty word is none, and images can do without."""
    pixels, labels = np.zeros((6, 8, 8), np.uint8), np.array([0, 1, 2, 0, 1, 2])

    def opened(**arrays):
        np.savez(tmp_path / "a.npz", images=pixels, **arrays)
        return open_source(str(tmp_path / "a.npz"), "all")

    hot = np.eye(3, dtype=np.int64)[labels]
    _refused(DataError, lambda: opened(labels=hot), "of rows with a 1 at their class give labels.argmax(1)")
    assert opened(labels=hot.argmax(1)).labels.tolist() == labels.tolist()
    words = np.array(["cat", "", "dog"] * 2)
    _refused(DataError, lambda: opened(labels=words), "give the images without their labels")
    assert len(opened()) == 6


def test_a_failure_shows_its_hints():
    """At most three, without empty ones, in the order in which they are given; Python shows them below the error."""
    failure = Failure("what", "one", "", "two", "three", "four")
    assert failure.hints == ("one", "two", "three")
    assert failure.__notes__ == ["one", "two", "three"]


def test_networks_and_batches_of_ones_own():
    """Through Python: what the hint says is what works."""
    import torch

    shape = (4, 1, 8, 8)
    images = torch.zeros(shape)
    schedule = door.linear(T=8)

    class Grey(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(()))

        def forward(self, x_t, timestep):
            return self.weight * x_t

    def trained(network, data):
        return list(door.train(door.ReverseProcess(network, schedule), data, steps=2))

    _refused(UsageError, lambda: trained(lambda x_t, timestep: x_t, [images]), "give an nn.Module")
    assert len(trained(Grey(), [images])) == 2
    _refused(UsageError, lambda: trained(Grey(), iter([images])), "give a list or a DataLoader")
    _refused(
        UsageError,
        lambda: trained(Grey(), [images.to(torch.uint8)]),
        "divide bytes by 127.5 and subtract 1, or use ddpm.images",
    )
    pixels = torch.full(shape, 255, dtype=torch.uint8)
    trained(Grey(), [pixels / 127.5 - 1])
    trained(Grey(), [door.images(pixels).tensor])
    unit = torch.full(shape, 0.25)

    def bound(x_0):
        door.bound(door.ReverseProcess(Grey(), schedule), x_0, levels=2)

    _refused(UsageError, lambda: bound(unit), "of numbers in 0..1 take 2 x - 1")
    bound(2 * unit.round() - 1)
    _refused(UsageError, lambda: requested("digits", None, None, {"schedule": schedule}), "ddpm.train takes a Schedule")


def test_images_of_ones_own(tmp_path, trained):
    import torch

    whole = np.zeros((2, 8, 8, 1), np.uint8)
    pillow = [Image.fromarray(whole[0, :, :, 0])]
    for data in ("digits", whole, torch.from_numpy(whole).movedim(3, 1), pillow, door.images(whole)):
        assert len(door.images(data).tensor)
    images = door.images(whole)
    images.save(str(tmp_path / "a"))
    _refused(Failure, lambda: images.save(str(tmp_path / "a")), "give another folder")
    images.save(str(tmp_path / "b"))

    def fitted(count, folder):
        small = {
            "model.channels": 8,
            "model.groups": 4,
            "model.blocks": 1,
            "schedule.T": 4,
            "rhythm.sample": 0,
            "rhythm.evaluate": 0,
        }
        door.fit(whole.repeat(count, 0), str(tmp_path / folder), preset="digits", steps=1, batch_size=2, settings=small)

    fitted(8, "run")
    _refused(Failure, lambda: fitted(9, "run"), "give a new output_dir")
    fitted(9, "new")


def test_a_device_that_is_not_here(monkeypatch):
    from ddpm.parallel.device import pick_device

    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (hint,) = _refused(UsageError, lambda: pick_device("cuda"), "--device ")
    for name in hint.replace("--device ", "").split(" or "):
        assert pick_device(name).type == name or name == "auto"
