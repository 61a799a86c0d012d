"""Several runs at once: the same images, the same noise, and differences with an error of their own; tables and plots."""

import csv
import html
import json
import math
import re
import shlex
import statistics
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

import ddpm as public
from ddpm.cli.parts import drawing
from ddpm.trained.measures.drawn import Alive
from tests.harness.commands import TINY

OF = ("--data", "digits", "--num-images", 12)


def _table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_difference_is_that_of_the_images(ddpm, run, tmp_path):
    """A run with its raw weights beside its average; the call gives what the command does."""
    older = run / "checkpoints" / "step-000000003"
    table, numbers, plot = (tmp_path / name for name in ("t.csv", "n.json", "p.png"))
    said = ddpm("compare", run, older, run, *OF, "--csv", table, "--json", numbers, "--plot", plot)
    assert said.code == 0, said.err
    values = json.loads(numbers.read_text())
    a, b, _ = (one["per_image"] for one in values["runs"])
    found = values["differences"][0]
    each = [y - x for x, y in zip(a, b, strict=True)]
    assert found["bits_per_dim"] == pytest.approx(statistics.mean(each), abs=1e-12)
    assert found["stderr"] == pytest.approx(statistics.stdev(each) / math.sqrt(12), rel=1e-9)
    assert found["stderr"] < values["runs"][0]["bits_per_dim"]["stderr"], "what images have in common cancels"
    assert (found["run"], found["less"]) == (str(older), str(run))
    assert values["differences"][1] == {"run": str(run), "less": str(run), "bits_per_dim": 0, "stderr": 0}, (
        "the same noise"
    )
    assert [row["difference"] for row in _table(table)] == ["", repr(found["bits_per_dim"]), "0.0"]
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert f"{found['bits_per_dim']:+.4f}" in said.out
    called = public.compare(run, str(older), data="digits", num_images=12, progress=False)
    assert called.differences[0].per_image.tolist() == each
    alone = ddpm("evaluate", older, *OF, "--json", tmp_path / "alone.json")
    assert alone.code == 0
    assert json.loads((tmp_path / "alone.json").read_text())["bits_per_dim"] == values["runs"][1]["bits_per_dim"]


def test_evaluate_takes_several_runs_and_writes_tables(ddpm, run, tmp_path):
    older = run / "checkpoints" / "step-000000003"
    table = tmp_path / "t.csv"
    assert ddpm("evaluate", run, older, *OF, "--csv", table).code == 0
    several = _table(table)
    said = ddpm("evaluate", run, *OF, "--csv", table, "--metrics", "bpd,importance-weighted", "--draws", 2)
    assert said.code == 0, said.err
    bound, weighted = _table(table)
    assert {**bound, "run": ""} == {**several[0], "run": ""}
    assert weighted["method"].startswith("importance-weighted")
    assert weighted["L_T"] == ""


def test_of_one_image_there_is_no_error(ddpm, run, tmp_path):
    said = ddpm("compare", run, run / "checkpoints" / "step-000000003", "--data", "digits", "--num-images", 1)
    assert said.code == 0, said.err
    assert "standard errors" not in said.out
    assert "of one image: no standard error\n" in said.out


def test_equal_runs_have_an_error_of_zero(ddpm, run):
    said = ddpm("compare", run, run, "--data", "digits", "--num-images", 2)
    assert "+0.0000     0.0000   no difference in any image\n" in said.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("compare", "RUN"), 2, "one run cannot be compared"),
        (("evaluate", "RUN", "RUN", "--evaluations", "4"), 2, "several runs are compared by bpd"),
        (("evaluate", "RUN", "RUN", "--metrics", "flow"), 2, "several runs are compared by bpd"),
        (("evaluate", "RUN", "--evaluations", "4", "--csv", "t.csv"), 2, "an estimate gives bpd alone"),
        (("compare", "RUN", "RUN", "--csv", "t.txt"), 2, "the file must end in .csv"),
        (("compare", "RUN", "RUN", "--csv", "a.csv", "--json", "a.csv"), 2, "are one file"),
        (("compare", "RUN", "nowhere"), 66, "no such run"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(ddpm, trained, words, code, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = ddpm(*(trained if word == "RUN" else word for word in words), "--data", "digits")
    assert (found.code, found.out) == (code, "")
    assert said in found.err
    assert not list(tmp_path.iterdir())


def test_runs_of_other_images_are_refused(ddpm, trained, tmp_path):
    np.save(tmp_path / "a.npy", np.random.RandomState(0).randint(0, 17, (8, 12, 12), dtype=np.uint8))
    said = ddpm(
        *("train", "--data", tmp_path / "a.npy", "--output-dir", tmp_path / "run", *TINY[2:], "--steps", 1),
        *("--set", "data.levels=17", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0"),
    )
    assert said.code == 0, said.err
    with pytest.raises(public.Mismatch, match="the model is for"):
        public.compare(trained, tmp_path / "run", data="digits", progress=False)


def test_chains_of_other_lengths_have_the_images_in_common(ddpm, trained):
    short, whole = public.load(trained), public.load(trained)
    found = public.compare(whole, short, data="digits", num_images=3, steps=6, progress=False)
    assert found.same_noise
    longer = whole.bits_per_dim("digits", num_images=3, progress=False)
    mixed = replace(found, bounds=(found.bounds[0], longer))
    assert not mixed.same_noise


def test_what_they_draw_from_the_same_noise(ddpm, run, tmp_path):
    """The samples are those of `ddpm sample`, the distances those of `ddpm distance`, and the costs are there."""
    older, drawn = run / "checkpoints" / "step-000000003", tmp_path / "drawn"
    table, numbers, page = (tmp_path / name for name in ("t.csv", "n.json", "<b>.html"))
    how = (
        "--num-samples",
        10,
        "--sample-steps",
        4,
        "--sampler",
        "ddim",
        "--seed",
        2,
        "--metrics",
        "fid,precision-recall",
    )
    said = ddpm("compare", run, older, *OF, *how, "--csv", table, "--json", numbers, "--html", page)
    assert said.code == 0, said.err
    first, second = json.loads(numbers.read_text())["runs"]
    assert first["parameters"] == second["parameters"] == public.load(run, device="cpu").experiment.size()[1]
    flags = ("--num", 10, "--steps", 4, "--sampler", "ddim", "--seed", 2, "--output-dir", drawn)
    assert ddpm("sample", older, *flags).code == 0
    measured = ddpm(
        "distance", drawn, "digits", "--split", "test", "--metrics", "fid", "--seed", 2, "--json", tmp_path / "d"
    )
    assert measured.code == 0, measured.err
    alone = json.loads((tmp_path / "d").read_text())["fid"]
    assert second["samples"]["fid"]["value"] == pytest.approx(alone["value"], rel=1e-9)
    assert [one["samples"]["fid"]["manifest"]["a"]["source"] for one in (first, second)] == [str(run), str(older)]
    assert second["samples"]["fid"]["manifest"]["b"]["images"] == 300, "all of the split, not the 12"
    for row, one in zip(_table(table), (first, second), strict=True):
        assert float(row["fid"]) == one["samples"]["fid"]["value"]
        assert float(row["fid_low"]) <= float(row["fid_high"])
        assert float(row["recall"]) >= 0
        assert (row["evaluations_per_sample"], row["samples"]) == ("4", "10")
        assert float(row["seconds_per_sample"]) > 0
        assert int(row["memory_bytes"]) > 4 * one["parameters"]
    called = public.compare(
        *(run, str(older)),
        data="digits",
        num_images=12,
        num_samples=10,
        sample_steps=4,
        sampler="ddim",
        metrics=["fid", "precision-recall"],
        seed=2,
        progress=False,
    )
    for place, one in enumerate((first, second)):
        values = json.loads(json.dumps(called.distances[place].as_json()))
        assert len(values) == 3
        for name, value in values.items():
            assert {**value, "manifest": None} == {**one["samples"][name], "manifest": None}
        assert (called.parameters[place], called.drawn[place].memory) == (
            one["parameters"],
            one["samples"]["memory_bytes"],
        )
        assert called.drawn[place].seconds > 0
        assert called.drawn[place].images.tensor.shape == (10, 1, 8, 8)
    assert f"fid {first['samples']['fid']['value']:.4g}" in repr(called)
    text = page.read_text()
    assert text.count('class="pixels"') == 2
    assert f"{first['samples']['fid']['value']:.4g}" in text
    assert f"{first['samples']['fid']['value']:.4g}" in said.out


def test_a_page_of_bounds_alone(ddpm, run, tmp_path):
    page = tmp_path / "p.html"
    said = ddpm("compare", run, run / "checkpoints" / "step-000000003", *OF, "--html", page, "--language", "ko")
    assert said.code == 0, said.err
    assert 'lang="ko"' in page.read_text()
    assert "변분 경계" in page.read_text()
    assert "digits의 test 이미지 12장" in page.read_text()
    assert "of step" not in page.read_text()
    said = ddpm(
        "compare", run, run, *OF, "--num-samples", 3, "--sample-steps", 2, "--metrics", "fid", "--language", "ko"
    )
    assert "ancestral로 모델마다 뽑은 샘플 3장, digits의 test 이미지 300장과 견줌" in said.out


@pytest.mark.parametrize(
    "words", [("--metrics", "fid"), ("--features", "pixels"), ("--sampler", "ddim"), ("--eta", "0.5")]
)
def test_what_is_of_samples_needs_some(ddpm, run, words):
    said = ddpm("compare", run, run, *OF, *words)
    assert (said.code, said.out) == (2, "")
    assert f"{words[0]} is of what the runs draw, and they draw nothing: {words[1]}" in said.err
    assert "hint: --num-samples 1000 draws 1000 images" in said.err
    few = (run, run, "--data", "digits", "--num-images", 2, "--sample-steps", 2, "--num-samples", 4)
    if words[0] == "--sampler":
        assert ddpm("compare", *few, *words).code == 0
    wrong = ddpm("compare", *few, "--metrics", "fld")
    assert (wrong.code, wrong.out) == (2, "")


@pytest.mark.parametrize("given", [{"metrics": "fid"}, {"features": "pixels"}, {"sampler": "ddim"}])
def test_a_call_that_draws_nothing_takes_nothing_of_samples(run, given):
    ((name, value),) = given.items()
    pair = {"data": "digits", "num_images": 2, "sample_steps": 2, "progress": False}
    with pytest.raises(
        public.UsageError, match=f"^{name} is of what the models draw, and they draw nothing: {value}"
    ) as refused:
        public.compare(run, run, **pair, **given)
    assert refused.value.hints == ("num_samples=1000 draws 1000 images",)
    found = public.compare(run, run, **pair, **given, num_samples=30)
    assert len(found.distances) == len(found.drawn) == 2
    none = public.compare(run, run, **pair)
    assert (none.distances, none.drawn) == ((), ())


def test_who_waits_long_is_told_how_to_be_faster(monkeypatch, capsys):
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(drawing.time, "monotonic", lambda: next(clock) + 1.0)
    for steps, lines in ((None, 1), (50, 0)):
        assert list(drawing.told_how_long(iter(range(100)), 100, steps)) == list(range(100))
        assert capsys.readouterr().err.count("--sampler ddim --steps 50 looks at fewer steps") == lines
    list(drawing.told_how_long(iter(range(20)), 20, None))
    assert capsys.readouterr().err == ""


def test_it_is_said_how_the_models_are_read(ddpm, run, tmp_path):
    """Of fewer steps it is another bound: in the table, on the page, and in Python."""
    older, page = run / "checkpoints" / "step-000000003", tmp_path / "p.html"
    how = ("--steps", 4, "--num-samples", 3, "--sample-steps", 2, "--metrics", "fid,kid", "--html", page, "--seed", 7)
    said = ddpm("compare", run, older, *OF, *how)
    assert said.code == 0, said.err
    lines = [f"T = 4 of 12 steps, ema weights of step {step}, decoder's variance" for step in (6, 3)]
    for name, line in zip((run, older), lines, strict=True):
        assert f"{name}: {line}" in said.out
    assert lines[0] in ddpm("evaluate", run, *OF, "--steps", 4).out
    assert "3 samples of each by ancestral, from the same noise, against 300 test images of digits" in said.out
    text = html.unescape(page.read_text())
    assert all(line in text for line in lines)
    assert text.count("12 test images of digits") == text.count("against 300 test images of digits") == 1
    (verdict,) = re.findall(r"((?:better|worse|no difference seen), \d+\.\d standard errors)", said.out)
    assert verdict in text
    assert re.search('<div class="pair"><div><svg.*</div><div><svg', text, re.DOTALL), (
        "plots that can stand below each other"
    )
    (title,) = re.findall("<title>(.*) side by side</title>", text)
    assert all(name in title for name in (run.name, older.name))
    (footer,) = re.findall("<footer>(.*)</footer>", text)
    typed = ["ddpm", "compare", str(run), str(older), *map(str, OF), *map(str, how)]
    assert shlex.split(footer[footer.index("ddpm compare") :]) == typed
    assert all(part in footer for part in (public.__version__, date.today().isoformat(), "seed 7"))
    bound = public.load(run).bits_per_dim("digits", num_images=12, steps=4, progress=False)
    assert f"{bound.total:.4f} ± {bound.stderr:.4f} bits/dim, T = 4, 12 images of 64 dims" in repr(bound)


def test_memory_counts_the_tensors_that_are_alive_at_once():
    x = torch.randn(1000)
    with torch.no_grad(), Alive() as alive:
        y = x + 1
        z = y * 2  # 8000 bytes with y
        del y
        same = z.view(10, 100)  # nothing new
        torch.cat([z, z])  # 4000 + 8000, the most
        torch.relu_(same)
    assert (alive.most, alive.now) == (12_000, 4_000)
    del z, same
    assert alive.now == 0
