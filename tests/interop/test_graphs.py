"""Networks as graphs: what runs elsewhere gives what ours gives, and draws our samples from the same noise; and the model card."""

import html
import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import ddpm as face
from ddpm.errors import Mismatch, UsageError
from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, ScheduleConfig
from ddpm.interop import WRITERS, graphs
from ddpm.interop.graphs import recipe
from ddpm.models.shape import UNetShape
from ddpm.storage.atomic import to_strict_json
from ddpm.trained import card
from ddpm.trained.export import export

if os.environ.get("DDPM_CI"):
    import onnx  # noqa: F401
    import onnxruntime  # noqa: F401
else:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="ONNX is written by its packages")

OF_OTHERS = {"scale_shift": True, "resample": "block", "head_channels": 4, "padding": "around", "cosines_first": True}


def an_experiment(prediction="eps", variance="fixed-large", classes=None, schedule="linear", **shape):
    """A small network, of sides that it must pad, and a short chain."""
    return Experiment(
        data=DataConfig(shape=(1, 7, 6), levels=17),
        schedule=ScheduleConfig(schedule, T=6, options={} if schedule == "learned" else {"beta_T": 0.6}),
        process=ProcessConfig(prediction=prediction, variance=variance),
        objective="variational",
        model=UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4, classes=classes, **shape),
    )


def its_weights(experiment):
    """None of them 0, so that every part of the network is heard."""
    torch.manual_seed(0)
    network = experiment.network().eval()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            weight.add_(0 if name.startswith("schedule.") else 0.1 * torch.randn_like(weight))
    return network, {name: weight.detach() for name, weight in network.named_parameters()}


CASES = {
    "eps": {},
    "v of classes, learned variance": {"prediction": "v", "variance": "learned", "classes": 3},
    "other ways": {"prediction": "x0", "variance": "fixed-small", **OF_OTHERS},
    "mean": {"prediction": "mean"},
    "a learned schedule": {"schedule": "learned"},
}


def samples_of_both(experiment, network, folder, asked):
    """From the same noise: by `recipe.draw` with what schedule.json says, the network asked so; and by `ddpm.chain`."""
    told = json.loads((folder / "schedule.json").read_text())
    with torch.no_grad():
        schedule = experiment.schedule_of(network)
    schedule = face.Schedule(schedule.beta.detach(), schedule.timestep_map, kind=schedule.kind)
    np.testing.assert_allclose(told["tables"]["alpha_bar"], schedule.alpha_bar, rtol=1e-14)
    p = experiment.reverse_process(network, experiment.process.limit, schedule)
    labels = np.array([1, -1, 2]) if experiment.model.classes else np.full(3, -1)
    p = p.given(torch.tensor(labels)) if experiment.model.classes else p
    random = torch.Generator().manual_seed(5)
    noise = [torch.randn(3, 1, 7, 6, generator=random) for _ in range(6)]
    given, theirs = iter(noise), iter(noise)
    *_, last = face.chain(p, next(given), face.Ancestral(), lambda like: next(given, torch.zeros_like(like)))
    drawn = recipe.draw(asked, told, lambda _shape: next(theirs).numpy(), labels)
    assert next(theirs, None) is None
    return drawn, last.x.numpy()


@pytest.mark.parametrize("case", CASES)
def test_what_is_told_is_all_that_sampling_needs(tmp_path, case):
    experiment = an_experiment(**CASES[case])
    network, _ = its_weights(experiment)
    with torch.no_grad():
        told = graphs.told(experiment, experiment.schedule_of(network))
    (tmp_path / "schedule.json").write_text(to_strict_json(told))

    def asked(*inputs):
        with torch.no_grad():
            return network(*map(torch.from_numpy, inputs)).numpy()

    np.testing.assert_allclose(*samples_of_both(experiment, network, tmp_path, asked), atol=1e-5)


@pytest.mark.parametrize(
    ("format", "case"),
    [
        *(
            pytest.param(name, "v of classes, learned variance", marks=pytest.mark.long)
            for name in ("onnx", "torch-export")
        ),
        *(pytest.param("torch-export", case, marks=pytest.mark.long) for case in ("other ways", "a learned schedule")),
    ],
)
def test_the_same_samples_from_the_same_noise(tmp_path, format, case):
    """What has only the folder draws what `ddpm.chain` draws, for any number of images; and a thousandth is seen."""
    experiment = an_experiment(**CASES[case])
    network, weights = its_weights(experiment)
    assert WRITERS[format](experiment, weights, tmp_path) == []
    assert graphs.apart(experiment, weights, tmp_path) < 1e-5
    np.testing.assert_allclose(*samples_of_both(experiment, network, tmp_path, recipe.opened(tmp_path)), atol=1e-4)
    name = next(name for name in weights if name.endswith("last.weight"))
    other = {**weights, name: weights[name] * 1.001}
    assert graphs.apart(experiment, other, tmp_path) == pytest.approx(1e-3, rel=0.5)


@pytest.mark.long
def test_large_weights_lie_beside_their_graph(tmp_path, monkeypatch):
    """A file of ONNX holds 2 GB: from 1.5 GB on, which is nothing here, the weights are in a file of their own; both are read."""
    experiment = an_experiment()
    _, weights = its_weights(experiment)
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 0)
    synced = []
    monkeypatch.setattr("ddpm.interop.graphs.writing.durable.sync", lambda path: synced.append(path.name))
    WRITERS["onnx"](experiment, weights, tmp_path)
    assert sorted(name for name in synced if name.startswith("network")) == ["network.onnx", "network.onnx.data"]
    assert (tmp_path / "network.onnx.data").stat().st_size > 3.8 * sum(weight.numel() for weight in weights.values())
    assert graphs.apart(experiment, weights, tmp_path) < 1e-5
    (tmp_path / "network.onnx.data").unlink()
    with pytest.raises(Exception, match=r"network\.onnx\.data"):
        recipe.opened(tmp_path)


def test_what_differs_is_not_kept(trained, tmp_path, monkeypatch):
    """Neither what is a little off, nor what is no number."""
    loaded = face.load(trained).loaded

    def off(by):
        def asked(*inputs):
            with torch.no_grad():
                return loaded.process.network(*map(torch.from_numpy, inputs)).numpy() + np.float32(by)

        return lambda _folder: asked

    monkeypatch.setitem(WRITERS, "onnx", lambda *_: [])
    for by in (0.01, np.nan):
        monkeypatch.setattr(recipe, "opened", off(by))
        with pytest.raises(Mismatch, match=r"differs from ours by .* of an output, more than 1e-04: onnx"):
            export(loaded, tmp_path / "out", "onnx")
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(recipe, "opened", off(0))
    assert export(loaded, tmp_path / "out", "onnx") == []


def test_without_its_packages_nothing_is_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("ddpm.interop.graphs.writing.find_spec", lambda name: None if name == "onnxscript" else True)
    with pytest.raises(UsageError, match="needs onnxscript") as refused:
        export(face.load(trained).loaded, tmp_path / "out", "onnx")
    assert refused.value.hints == ("pip install 'ddpm[onnx]'",)
    assert list(tmp_path.iterdir()) == []


def test_a_learned_schedule_goes_into_graphs_alone(ddpm, trained, tmp_path, monkeypatch):
    """A folder of diffusers is refused it; what the hint says works, but for the tracing, which is proved above."""
    loaded = face.load(trained).loaded
    experiment = an_experiment(**CASES["a learned schedule"])
    network, _ = its_weights(experiment)
    process = replace(loaded.process, network=network)
    learned = replace(loaded, experiment=experiment, process=process)
    monkeypatch.setattr("ddpm.cli.parts.opening.opened", lambda _options: learned)
    said = ddpm("export", trained, tmp_path / "out")
    assert said.code == 2
    assert "a learned schedule cannot be exported" in said.err
    assert "hint: --format torch-export writes the two apart" in said.err
    monkeypatch.setitem(WRITERS, "torch-export", lambda *_: [])
    monkeypatch.setattr(
        recipe, "opened", lambda _folder: lambda *asked: network(*map(torch.tensor, asked)).detach().numpy()
    )
    assert ddpm("export", trained, tmp_path / "out", "--format", "torch-export").code == 0


@pytest.mark.slow
def test_a_folder_that_draws_without_us(ddpm, trained, tmp_path):
    """The command; then a process that cannot import this package."""
    said = ddpm("export", trained, tmp_path / "out", "--format", "onnx")
    assert said.code == 0, said.err
    found = re.search(r"largest difference to the network, relative, on random inputs: (\S+)", said.out)
    assert 0 < float(found[1]) < 1e-5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("README.md", "network.onnx", "sample.py", "schedule.json")
    ]
    hidden = "import sys, runpy; sys.modules['ddpm'] = None; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    run = [sys.executable, "-c", hidden, str(tmp_path / "out" / "sample.py"), "3"]
    done = subprocess.run(run, check=True, cwd=tmp_path, capture_output=True, timeout=120, text=True)
    assert done.stdout == "samples.npy: (3, 8, 8, 1) (images, height, width, channels), 0..16\n"
    for asked, code, told in (
        ("--help", 0, "usage: sample.py"),
        ("abc", 2, "invalid int"),
        ("-3", 2, "error"),
        ("0", 2, "not 0"),
    ):
        wrong = subprocess.run(
            [*run[:-1], asked], cwd=tmp_path, capture_output=True, timeout=120, text=True, check=False
        )
        assert (wrong.returncode, told in wrong.stdout + wrong.stderr, "Traceback" in wrong.stderr) == (
            code,
            True,
            False,
        )
    drawn = np.load(tmp_path / "samples.npy")
    assert drawn.shape == (3, 8, 8, 1)
    assert drawn.dtype == np.uint8
    assert drawn.max() <= 16
    text = (tmp_path / "out" / "README.md").read_text()
    (shown,) = [part for part in re.findall("```python\n(.*?)```", text, re.DOTALL) if "samples.npy" in part]
    subprocess.run([sys.executable, "-c", shown], check=True, cwd=tmp_path, timeout=120)
    assert (tmp_path / "first.png").exists()
    assert f"largest difference to the network it was made from: {found[1]}" in text


def front_matter(text):
    """Of a card; its values are JSON, which is YAML."""
    _, head, _ = text.split("---\n", 2)
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in head.splitlines())}


def test_the_card_says_what_the_run_holds(trained):
    loaded = face.load(trained).loaded
    text = card.card(loaded, "diffusers")
    assert front_matter(text) == {
        "library_name": "diffusers",
        "tags": ["ddpm", "diffusion", "image-generation"],
        "pipeline_tag": "unconditional-image-generation",
    }
    rows = dict(
        line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.count(" | ") == 1 and line != "| | |"
    )
    measured = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in measured if "bits_per_dim" in row][-1]
    assert rows["bits/dim"].startswith(f"{last['bits_per_dim']:.3f} ± {last['bits_per_dim_stderr']:.3f} ")
    assert "at step 6, estimated on at most 8 held-out images" in rows["bits/dim"]
    assert rows["parameters"] == f"{sum(weight.numel() for weight in loaded.process.network.parameters()):,}"
    assert rows["data"] == "digits"
    assert rows["images seen"] == "48"
    assert rows["digest of the weights"] == f"`{loaded.digest}`"
    assert "license:" not in text.split("---\n")[1]


def test_the_card_reads_by_the_hubs_own_code(trained, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "README.md").write_text(card.card(face.load(trained).loaded, "onnx"), encoding="utf-8")
    found = hub.ModelCard.load(tmp_path / "README.md").data
    assert found.library_name == "ddpm"
    assert found.tags[-1] == "onnx"


def test_the_card_of_a_model_of_others_says_that(ddpm, trained, tmp_path):
    for words in (("export", trained, tmp_path / "theirs"), ("import", tmp_path / "theirs", tmp_path / "again")):
        assert ddpm(*words).code == 0
    text = card.card(face.load(tmp_path / "again").loaded, "diffusers")
    assert "another library, read as diffusers; nothing more is known" in text
    assert "| bits/dim | not measured |" in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a|b\n# c\n---\nx: y", "[x](http://a.b)", "`$(id)`", "\\*_~&amp;\u202e"]
)
def test_hostile_names_are_text(name):
    """One line, in which no character is left that Markdown, HTML or YAML hears."""
    shown = card.plain(name)
    assert not set(re.sub(r"&#\d+;", "", shown)) & set("<>|`[]()#*_\\~$&-\n\u202e")
    assert html.unescape(shown) == "".join(letter if letter.isprintable() else " " for letter in name)


def test_neither_folders_nor_names_run_away(trained, tmp_path):
    loaded = face.load(trained).loaded
    data = replace(loaded.experiment.data, source="/home/jane/secret/<b>photos")
    text = card.card(replace(loaded, experiment=replace(loaded.experiment, data=data)), "onnx")
    assert "jane" not in text
    assert "<b>" not in text
    assert "photos" in text
    data = replace(data, source="hf:owner/photos")
    text = card.card(replace(loaded, experiment=replace(loaded.experiment, data=data)), "onnx")
    assert front_matter(text)["datasets"] == ["owner/photos"]
