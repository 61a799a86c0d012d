"""Models of the hub: from a small hub of our own, on this machine."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, constants

import ddpm as face
from ddpm.errors import NotFound, Unavailable, UsageError
from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.interop import diffusers, hub
from ddpm.models.shape import UNetShape
from tests.harness.small_hub import NEW, OLD, served
from tests.interop.test_files import random_network

__all__ = ["served"]
SHAPE = UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0)
SAFE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A pipeline of diffusers, by its files; with the same weights as torch saves them, and a file that nobody needs."""
    folder = tmp_path_factory.mktemp("pipeline")
    network = random_network(SHAPE)
    data = DataConfig(source="unknown", shape=(3, 8, 8), levels=256)
    experiment = Experiment(
        data=data, schedule=ScheduleConfig(T=10, options={"beta_T": 0.95}), process=ProcessConfig(), model=SHAPE
    )
    diffusers.write(experiment, {name: one.detach() for name, one in network.named_parameters()}, folder)
    files = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    return network, {**files, "unet/diffusion_pytorch_model.bin": b"not asked for", "samples.png": b"nor this"}


def test_a_model_is_loaded_by_its_name(served, exported, tmp_path):
    """With the configurations and one file of weights alone; again by its commit, when the hub is gone."""
    network, files = exported
    served.add("a/b", OLD, files)
    model = face.load("hf:a/b")
    for name, weight in network.named_parameters():
        assert torch.equal(dict(model.network.named_parameters())[name], weight)
    place = hub.fetched("hf:a/b")[1]
    there = {str(one.relative_to(place)) for one in place.rglob("*") if one.is_file()}
    assert there == {"unet/config.json", f"unet/{SAFE}", "scheduler/scheduler_config.json"}
    served.sets.clear()
    served.newest.clear()
    served.asked.clear()
    assert face.load(f"hf:a/b@{OLD}").loaded.digest == model.loaded.digest
    assert not served.asked


def test_import_writes_down_the_commit(served, exported, ddpm, tmp_path):
    """Which stays what it was, when another is uploaded; and a training begins with it, from any folder."""
    served.add("a/b", OLD, exported[1])
    said = ddpm("import", "hf:a/b", tmp_path / "run")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "run" / "origin.json").read_text())["source"] == f"hf:a/b@{OLD}"
    images = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8).numpy()
    quiet = {"rhythm.evaluate": 0, "rhythm.sample": 0}
    tuned = face.fit(
        images, tmp_path / "tuned", steps=1, batch_size=4, init_from="hf:a/b@main", settings=quiet, progress=False
    )
    assert tuned.experiment.init.path == f"hf:a/b@main={OLD}"
    served.add("a/b", NEW, {})
    assert hub.fetched(f"hf:a/b@{OLD}")[0] == f"hf:a/b@{OLD}"


def left_by_others(place, files, *folders):
    """The snapshot of a commit as another program would have left it, which wanted these folders of it alone."""
    for name, content in files.items():
        if name.startswith(folders):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)


@pytest.mark.parametrize("folders", [("unet/",), ("unet/", "scheduler/")])
def test_a_part_of_a_snapshot_is_not_taken_for_all(served, exported, folders):
    """The hub is asked what else there is. Where it is gone, a network with its scheduler will do, and one without will not."""
    served.add("a/b", OLD, exported[1])
    place = Path(constants.HF_HUB_CACHE) / "models--a--b" / "snapshots" / OLD
    left_by_others(place, exported[1], *folders)
    served.sets.clear()
    with pytest.raises(NotFound):
        hub.fetched(f"hf:a/b@{OLD}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        if "scheduler/" in folders:
            assert face.load(f"hf:a/b@{OLD}").schedule.T == 10
        else:
            with pytest.raises(Unavailable, match="cannot reach the hub"):
                hub.fetched(f"hf:a/b@{OLD}")
    served.add("a/b", OLD, exported[1])
    assert face.load(f"hf:a/b@{OLD}").schedule.T == 10
    assert (place / "scheduler" / "scheduler_config.json").is_file()
    served.asked.clear()
    hub.fetched(f"hf:a/b@{OLD}")
    assert not served.asked
    (place / "scheduler" / "scheduler_config.json").unlink()  # somebody cleans up
    assert face.load(f"hf:a/b@{OLD}").schedule.T == 10
    assert served.asked


def test_a_folder_or_a_file_of_it(served, exported):
    """unet/ alone, with the scheduler beside it; a folder in which others keep one of several models; a file by its name."""
    served.add("a/b", OLD, {**exported[1], **{f"deep/er/{name}": one for name, one in exported[1].items()}})
    assert face.load("hf:a/b/unet").schedule.T == 10
    assert face.load("hf:a/b/deep/er").schedule.T == 10
    assert hub.fetched(f"hf:a/b/unet/{SAFE}")[1].is_file()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("hf:a/none", NotFound, "no such model on the hub"),
        ("hf:a/b@none", NotFound, "no such model on the hub"),
        ("hf:a/b/../c", UsageError, "no name of a model"),
        ("hf:a/empty", NotFound, "no weights in"),
    ],
)
def test_what_cannot_be_had(served, exported, name, kind, said):
    served.add("a/b", OLD, exported[1])
    served.add("a/empty", OLD, {"model.pt": b"weights of another kind"})
    with pytest.raises(kind, match=said):
        face.load(name)


DENIED = {
    "gated": (403, {"X-Error-Code": "GatedRepo"}, "gives this model only to who accepts its conditions"),
    "gated, nobody": (401, {"X-Error-Code": "GatedRepo"}, "gives this model only to who accepts its conditions"),
    "private or none": (401, {"X-Error-Code": "RepoNotFound"}, "no such model on the hub, or none for you"),
    "a wrong token": (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "does not know who you are"),
    "not allowed": (403, {}, "does not allow you this"),
    "no such repository": (404, {"X-Error-Code": "RepoNotFound"}, "no such model on the hub, or none for you"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DENIED)
def test_who_may_not_is_told_why(served, kind, ddpm, tmp_path, monkeypatch):
    """In a line, with what to do; the exit code is that of what is not there."""
    status, headers, said = DENIED[kind]
    monkeypatch.setattr(served, "answer", lambda _path: (status, headers, b""))
    with pytest.raises(NotFound, match=said) as caught:
        face.load("hf:a/b")
    assert caught.value.code == 66
    assert any("hf auth login" in hint for hint in caught.value.hints)
    assert ("https://huggingface.co/a/b" in str(caught.value.hints)) == ("gated" in kind)


def test_a_hub_that_fails_is_not_there(served, monkeypatch):
    monkeypatch.setattr(served, "answer", lambda _path: (500, {}, b""))
    with pytest.raises(Unavailable, match="cannot reach the hub"):
        face.load("hf:a/b")


def test_without_a_network(served, exported, monkeypatch):
    served.add("a/b", OLD, exported[1])
    served.server.shutdown()
    served.server.server_close()
    with pytest.raises(Unavailable, match="cannot reach the hub"):
        face.load("hf:a/b")


def test_a_model_goes_to_the_hub(served, exported, monkeypatch, tmp_path):
    """What is uploaded is what `export` writes, and is loaded again."""
    served.add("a/b", OLD, exported[1])
    model = face.load("hf:a/b")
    made = []

    def upload(self, *, repo_id, folder_path, revision, commit_message):
        made.append((repo_id, revision, commit_message))
        shutil.copytree(folder_path, tmp_path / "uploaded")

    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, private, exist_ok: made.append((name, private)))
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    lost = model.export("hf:me/mine")
    assert made == [("me/mine", False), ("me/mine", None, "diffusers: step 0, ema weights")]
    assert lost == ["the variance at t = 1, beta-tilde-2, which only the bound needs"]
    assert face.load(tmp_path / "uploaded").loaded.digest == model.loaded.digest
    with pytest.raises(UsageError, match="goes to hf:OWNER/NAME"):
        model.export("hf:me/mine/folder")


def test_a_private_repository(served, exported, monkeypatch, ddpm, tmp_path):
    """By the flag and in Python; a folder of this machine is neither."""
    served.add("a/b", OLD, exported[1])
    made = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, private, exist_ok: made.append((name, private)))
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **_: None)
    face.load("hf:a/b").export("hf:me/mine", private=True)
    assert ddpm("export", "hf:a/b", "hf:me/other", "--private").code == 0
    assert made == [("me/mine", True), ("me/other", True)]
    said = ddpm("export", "hf:a/b", tmp_path / "out", "--private")
    assert said.code == 2
    assert "only a repository of the hub is private or not" in said.err
    assert not (tmp_path / "out").exists()
