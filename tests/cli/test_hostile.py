"""Run folders that somebody made to do harm, and `ddpm verify`, as users meet them: one line, a code, and nothing is executed."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ddpm import checkpoints
from ddpm.checkpoints import manifest
from ddpm.errors import StorageError
from ddpm.experiment.config import Experiment
from ddpm.models.shape import UNetShape, size
from ddpm.models.unet import UNet
from ddpm.run.folder import RunFolder
from tests.cli.test_errors import _one_line, _train
from tests.harness.commands import TINY
from tests.harness.faults import watched

ROOT = Path(__file__).resolve().parents[2]


def _sample(ddpm, run):
    return ddpm("sample", run, "--num", "1", "--output-dir", run.parent / "out")


def _configured(run, *path_and_value):
    *path, value = path_and_value
    values = json.loads((run / "config.json").read_text())
    here = values
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = value
    (run / "config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        (("model", "channels", 10**9), 78),
        (("model", "channels", 10**18), 78),
        (("model", "blocks", 10**9), 78),
        (("model", "blocks", 10**18), 78),
        (("model", "multipliers", [10**9, 10**9]), 65),
        (("model", "multipliers", [10**5, 10**5]), 78),
        (("model", "multipliers", [1] * 1000), 65),
        (("model", "classes", 10**12), 78),
        (("model", "classes", -1), 65),
        (("model", "attention", [10**9]), 65),
        (("model", "dropout", float("nan")), 65),
        (("model", "channels", 1e999), 65),
        (("model", "_target_", "os.system"), 65),
        (("__class__", "subprocess.Popen"), 65),
        (("schedule", "T", 10**12), 65),
        (("schedule", "name", "os.system"), 65),
        (("schedule", "options", {"beta_T": 5.0}), 65),
        (("schedule", "options", {"__import__": 5.0}), 65),
        (("data", "shape", []), 65),
        (("data", "shape", [10**9, 8, 8]), 78),
        (("data", "shape", [-1, 8, 8]), 65),
        (("data", "shape", [1, 8]), 65),
        (("data", "levels", 0), 65),
        (("data", {"shape": [[[[[[1]]]]]]}), 65),
    ],
    ids=lambda value: "-".join(map(str, value))[:40] if isinstance(value, tuple) else str(value),
)
def test_a_hostile_configuration(ddpm, run, setting, code):
    """Refused by what it says: no network of a billion channels is begun."""
    _configured(run, *setting)
    _one_line(_sample(ddpm, run), code)
    said = _train(ddpm, run)
    assert said.code in (65, 78)


@pytest.mark.parametrize(
    "text",
    ['{"preset": "a", "preset": "b"}', "[" * 100_000, '{"training": {"lr": NaN}}', "[]", "null", "9" * 5000, "\0"],
    ids=lambda text: text[:20],
)
def test_a_configuration_that_is_none(ddpm, run, text):
    (run / "config.json").write_text(text)
    _one_line(_sample(ddpm, run), 65, "config.json")


def test_a_network_that_is_too_large_for_the_disk_is_not_begun(ddpm, tmp_path):
    """Both numbers are named, and nothing is made."""
    said = _train(ddpm, tmp_path / "run", "--set", "model.channels=1000000")
    _one_line(said, 74, "bytes are needed", "are free")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("learned", [False, True])
def test_counting_is_building(learned):
    """The size by formula is that of the network."""
    base = Experiment()
    shapes = [
        UNetShape(8, (1,), 1, (), groups=4),
        UNetShape(8, (1, 2, 2), 3, (0, 2), groups=4, classes=5),
        UNetShape(8, (3, 1, 1, 2), 2, (1,), groups=4),
        UNetShape(8, (2, 2), 1, (0, 1), groups=4),
        UNetShape(8, (1, 1.5, 2.5), 2, (0, 1), groups=4, attention_up=(2,), time_embedding=24, time_channels=12),
        UNetShape(8, (1, 2), 2, (1,), groups=4, middle="plain", scale_shift=True, resample="block"),
        UNetShape(8, (1, 2), 1, (), groups=4, middle="none", resample="block", classes=3, padding="around"),
        UNetShape(8, (1, 2), 1, (0,), groups=4, middle_norm=False, heads=2),
    ]
    for shape in shapes:
        with torch.device("meta"):
            parameters = list(UNet(shape, 2, 3).parameters())
        assert size(shape, 2, 3) == (len(parameters), sum(parameter.numel() for parameter in parameters))
    if learned:
        settings = {"schedule.name": "learned", "objective": "variational", "data.shape": (1, 8, 8), "data.levels": 17}
        from ddpm.experiment.settings import changed

        experiment = changed(base, {**settings, "model.channels": 8, "model.groups": 4})
        with torch.device("meta"):
            parameters = list(experiment.network().parameters())
        assert experiment.size() == (len(parameters), sum(parameter.numel() for parameter in parameters))


def _resealed(folder, change):
    """A manifest that somebody sealed anew."""
    values = json.loads((folder / "manifest.json").read_text())
    values.pop("seal")
    change(values)
    (folder / "manifest.json").write_bytes(manifest.sealed(values))


LEADING_OUT = ["../../config.json", "/etc/passwd", ".hidden", "a/b", "", "x" * 300, "a\0b", "..", "é"]


@pytest.mark.parametrize(
    "name", ["junk", "manifest.json", *LEADING_OUT, *(f"{name}.safetensors" for name in LEADING_OUT)]
)
def test_a_manifest_names_plain_files_in_its_folder_only(ddpm, run, name):
    last = run / "checkpoints" / "step-000000006"
    _resealed(last, lambda values: values["files"].update({name: {"bytes": 1, "sha256": "0" * 64}}))
    _one_line(ddpm("evaluate", last, "--data", "digits"), 65, "it names a file")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "device"])
def test_a_file_that_is_none(ddpm, run, kind):
    """A link to the very bytes that are asked for is refused too."""
    last = run / "checkpoints" / "step-000000006"
    path = last / "model.safetensors"
    path.rename(run / "elsewhere")
    if kind == "link":
        path.symlink_to(run / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    _one_line(ddpm("evaluate", last, "--data", "digits"), 65, "model.safetensors")
    said = ddpm("verify", run)
    assert said.code == 65
    assert "model.safetensors" in said.out


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(step="6"),
        lambda values: values.update(files=[]),
        lambda values: values.update(tensors={}),
        lambda values: values["tensors"].update(model=["a"]),
        lambda values: values["files"]["state.json"].update(bytes=-1),
        lambda values: values["files"]["state.json"].update(bytes=10**18),
        lambda values: values["files"].pop("state.json"),
        lambda values: values["files"].pop("ema.safetensors"),
        lambda values: values.update(version="2"),
        lambda values: values.update(version=0),
    ],
)
def test_a_manifest_of_odd_values(ddpm, run, change):
    last = run / "checkpoints" / "step-000000006"
    _resealed(last, change)
    _one_line(ddpm("evaluate", last, "--data", "digits"), 65, "step-000000006")


@pytest.mark.parametrize("name", ["step", "adam_step", "scaler", "ledger", "images"])
def test_a_state_that_lacks_something(ddpm, run, name):
    """Whole by its digests, and still nothing to go on from."""
    last = run / "checkpoints" / "step-000000006"
    values = json.loads((last / "state.json").read_text())
    values.pop(name)
    data = manifest.to_json(values)
    (last / "state.json").write_bytes(data)

    def change(manifest):
        import hashlib

        manifest["files"]["state.json"] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    _resealed(last, change)
    _one_line(ddpm("evaluate", last, "--data", "digits"), 65, f"no {name}")
    _one_line(_train(ddpm, run), 65, f"no {name}")


AUDIT = """
import sys
from pathlib import Path
from ddpm.cli import main
def calls(name): return ["evaluate", name, "--data", "digits", "--num-images", "2", "--evaluations", "2"]
assert main(calls(sys.argv[1])) == 0
assert main(calls(sys.argv[1] + "/checkpoints/step-000000003")) == 0
main(calls(sys.argv[2]))
seen, known = [], set(sys.modules)
BAD = ("exec", "compile", "marshal.", "pickle.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.",
       "socket.", "ctypes.", "code.__new__", "import", "urllib.", "shutil.")
def hook(event, arguments):
    if event == "compile" and str(arguments[0]).startswith("b\\"{'descr': '|u1'"):
        return  # numpy reads the header of our own digits, as a literal
    if event.startswith(BAD) and not (event == "import" and arguments[0] in known):
        seen.append((event, str(arguments)[:200]))
sys.addaudithook(hook)
codes = [main(calls(name)) for name in sys.argv[2:]]
before = len(seen)
exec("1")
assert len(seen) > before, "the hook is deaf"
print("RESULT", codes, seen[:before])
"""


def test_nothing_hostile_is_executed(trained, tmp_path):
    """Pickles under our names, class paths in configurations: an audit hook sees no import, no code and no process."""
    import pickle

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'canary'}",)

    names = []
    for protocol in (0, 2, 5):
        for target in ("model.safetensors", "state.json", "manifest.json", "optimizer.safetensors"):
            run = tmp_path / f"run-{protocol}-{target}"
            shutil.copytree(trained, run, ignore=shutil.ignore_patterns("logs", "samples"))
            data = pickle.dumps(Evil(), protocol)
            for folder in (run / "checkpoints").iterdir():
                (folder / target).write_bytes(data)
                if target == "model.safetensors":  # even where the digests were made to fit
                    import hashlib

                    facts = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                    _resealed(folder, lambda values, facts=facts: values["files"].update({"model.safetensors": facts}))
            names.append(run)
    for setting in (("model", "_target_", "os.system"), ("data", "source", "__import__('os').system('false')")):
        run = tmp_path / f"run-{setting[1]}"
        shutil.copytree(trained, run, ignore=shutil.ignore_patterns("logs", "samples"))
        _configured(run, *setting)
        names.append(run)
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, trained, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (result,) = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert result == f"RESULT {[65] * (len(names) - 1) + [0]} []"
    assert not (tmp_path / "canary").exists()


def test_verify_says_what_is_whole(ddpm, trained, tmp_path):
    said = ddpm("verify", trained, "--json", tmp_path / "v.json")
    assert said.code == 0, said.err
    assert said.out.count("  whole  ") == 2
    assert "go on from step 6" in said.out
    found = json.loads((tmp_path / "v.json").read_text())
    assert [each["step"] for each in found["checkpoints"]] == [3, 6]
    assert all(each["whole"] and each["bytes"] > 10_000 for each in found["checkpoints"])
    assert found["resumed_from"].endswith("step-000000006")
    assert ddpm("verify", trained / "checkpoints" / "step-000000003").code == 0


def test_verify_names_what_is_damaged(ddpm, run):
    """The file, the tensor, and where training would go on; nothing is changed."""
    path = run / "checkpoints" / "step-000000006" / "ema.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    before = sorted(path.name for path in run.rglob("*"))
    said = ddpm("verify", run, "--json", "-")
    assert said.code == 65
    _one_line(said, 65, "1 of 2 is damaged", "ema.safetensors: it is not what was written: ", "go on from step 3")
    found = json.loads(said.out)
    assert [each["whole"] for each in found["checkpoints"]] == [True, False]
    assert sorted(path.name for path in run.rglob("*")) == before
    _one_line(ddpm("verify", path.parent), 65, "1 of 1 is damaged")
    (run / "checkpoints" / "step-000000003" / "state.json").unlink()
    said = ddpm("verify", run)
    _one_line(said, 65, "2 of 2 are damaged")
    assert "go on" not in said.out


def test_verify_where_there_is_nothing(ddpm, run, tmp_path):
    _one_line(ddpm("verify", tmp_path / "gone"), 66, "gone")
    (tmp_path / "empty").mkdir()
    _one_line(ddpm("verify", tmp_path / "empty"), 66, "config.json")
    shutil.rmtree(run / "checkpoints")
    _one_line(ddpm("verify", run), 66, "no checkpoint")


def _full(times):
    """Fails as the first `times` saves begin."""
    left = [times]

    def observe(operation):
        if operation.kind == "folder" and operation.path.name.startswith(".tmp-step") and left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device", str(operation.path))

    return observe


def test_a_full_disk_stops_training_only_at_the_end(ddpm, tmp_path):
    """It is said in one line, with both numbers, and the run ends as if nothing had happened; at the end it is an error."""
    with watched(_full(1)):
        said = _train(ddpm, tmp_path / "run")
    assert said.code == 0, said.err
    (line,) = [line for line in said.err.splitlines() if "No space left" in line]
    assert "training goes on" in line
    assert "are free" in line
    assert [path.name for path in checkpoints.found(tmp_path / "run" / "checkpoints")] == ["step-000000006"]
    with watched(_full(9)):
        said = _train(ddpm, tmp_path / "other")
    _one_line(said, 74, "No space left on device", "hint: make room")
    assert json.loads((tmp_path / "other" / "exit.json").read_text())["code"] == 74


@pytest.mark.long
def test_a_crash_in_a_save_costs_no_bit(ddpm, trained, tmp_path):
    """The second save dies in the middle of a file; the same command ends as the run that never died."""
    folder = tmp_path / "run"
    arguments = ["train", "--output-dir", str(folder), *TINY]
    code = (
        "import os, sys\nfrom ddpm.cli import main\nfrom ddpm.storage import durable\n"
        "def kill(o):\n    if o.kind == 'write' and 'step-000000006' in str(o.path) and 'ema' in o.path.name: os.kill(os.getpid(), 9)\n"
        "durable.OBSERVERS.append(kill)\nmain(sys.argv[1:])\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == -9
    assert (said := ddpm(*arguments)).code == 0, said.err
    assert "going on from step 3" in said.err
    for name in ("model", "ema", "optimizer"):
        last = f"checkpoints/step-000000006/{name}.safetensors"
        assert (folder / last).read_bytes() == (trained / last).read_bytes()


def test_the_held_out_bound_is_kept_with_the_checkpoint(trained):
    """By which the best one is known."""
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    measured = {row["step"]: row["bits_per_dim"] for row in rows if "bits_per_dim" in row}
    for folder in checkpoints.found(RunFolder(trained).checkpoints):
        assert checkpoints.read(folder).numbers["bits_per_dim"] == measured[checkpoints.step_of(folder)]


def test_files_of_users_are_flushed_before_they_take_their_place(tmp_path):
    """`atomically`: a file, then its name; and a failing disk leaves the old one."""
    from ddpm.storage.atomic import atomically, write_text
    from tests.harness.faults import error_at, recorded

    write_text(tmp_path / "a", "old")
    with recorded() as log, atomically(tmp_path / "a") as temporary:
        temporary.write_text("new")
    kinds = [operation.kind for operation in log]
    assert kinds.index("sync") < kinds.index("rename") < kinds.index("sync-folder")
    for k in range(5):  # create, write, sync, sync, rename
        with watched(error_at(k, errno.EIO)), pytest.raises(StorageError):
            write_text(tmp_path / "a", "other")
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "new")]
