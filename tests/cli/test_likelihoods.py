"""`ddpm evaluate` with likelihoods beside the bound: one table, on the same images."""

import json

import pytest

from ddpm.cli import parser
from ddpm.trained.evaluate import METRICS
from ddpm.trained.likelihoods import LIKELIHOODS, TRACES
from tests.harness.commands import TINY


def _help(flag):
    text = " ".join(parser._parsers()[1]["evaluate"].format_help().split("examples:")[0].split())
    return text[text.rindex(f"{flag} ") :][:200]


def test_every_choice_is_in_the_help():
    assert all(name in _help("--metrics") for name in (*METRICS, *LIKELIHOODS))
    assert all(name in _help("--trace") for name in TRACES)


def test_three_in_one_table(ddpm, trained, tmp_path):
    command = ("evaluate", trained, "--data", "digits", "--num-images", 3)
    said = ddpm(
        *command,
        *("--metrics", "bpd,importance-weighted,flow", "--draws", 4, "--probes", 2, "--tolerance", 0.01),
        *("--json", tmp_path / "e.json"),
    )
    assert said.code == 0, said.err
    result = json.loads((tmp_path / "e.json").read_text())
    weighted, flow = result["importance_weighted"], result["flow"]
    assert (weighted["draws"], weighted["evaluations_per_image"]) == (4, 4 * 12)
    assert (flow["trace"], flow["probes"], flow["tolerance"]) == ("hutchinson", 2, 0.01)
    assert len(weighted["per_image"]) == len(flow["per_image"]) == 3
    lines = said.out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.endswith("evaluations/image"))
    rows = [
        ("variational bound, T = 12", result["bits_per_dim"]["total"], result["bits_per_dim"]["stderr"]),
        ("importance-weighted, K = 4", weighted["bits_per_dim"], weighted["stderr"]),
        ("probability flow, Hutchinson's trace, probes 2", flow["bits_per_dim"], flow["stderr"]),
    ]
    for line, (name, bits, error) in zip(lines[head + 1 : head + 4], rows, strict=True):
        assert line.startswith(name)
        assert line[len(name) :].split()[:2] == [f"{bits:.4f}", f"{error:.4f}"]
    alone = ddpm(*command, "--metrics", "importance-weighted", "--draws", 4, "--batch-size", 5, "--json", "-")
    other = json.loads(alone.out)
    assert other["importance_weighted"]["per_image"] == pytest.approx(weighted["per_image"], rel=1e-5)
    assert (other["images"], other["dims"], other["T"], other["weights"]) == (3, 64, 12, "ema")
    assert "bits_per_dim" not in other


def test_the_exact_trace_of_one_image(ddpm, trained):
    said = ddpm(
        *("evaluate", trained, "--data", "digits", "--num-images", 1, "--tolerance", 0.05),
        *("--metrics", "flow", "--trace", "exact", "--json", "-"),
    )
    assert said.code == 0, said.err
    flow = json.loads(said.out)["flow"]
    assert (flow["trace"], flow["stderr"]) == ("exact", None)
    assert flow["evaluations_per_image"] % 64 == 1
    assert "exact trace" in said.err


def test_without_likelihoods_nothing_is_new(ddpm, trained):
    said = ddpm("evaluate", trained, "--data", "digits", "--num-images", 2, "--metrics", "bpd")
    assert len(said.out.splitlines()) == 3
    assert "evaluations/image" not in said.out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--metrics", "flow", "--trace", "exakt"], ["'exakt'", "did you mean 'exact'"]),
        (["--metrics", "flow", "--tolerance", "0"], ["--tolerance", "'0'"]),
        (["--metrics", "importance-weighted", "--draws", "0"], ["--draws", "at least 1"]),
        (["--metrics", "flows"], ["'flows'", "importance-weighted, flow"]),
    ],
)
def test_wrong_flags(ddpm, trained, flags, words):
    said = ddpm("evaluate", trained, "--data", "digits", *flags)
    assert said.code == 2
    assert all(word in said.err for word in words), said.err
    assert len([line for line in said.err.splitlines() if line.startswith("ddpm: error: ")]) == 1


def test_a_model_without_a_flow(ddpm, tmp_path):
    """One that predicts the posterior mean: refused before anything is computed."""
    quick = ("--prediction", "mean", "--steps", "1", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0")
    assert ddpm("train", "--output-dir", tmp_path / "mean", *TINY, *quick).code == 0
    said = ddpm("evaluate", tmp_path / "mean", "--data", "digits", "--metrics", "bpd,flow")
    assert said.code == 2
    assert "predict eps, x0 or v" in said.err
    assert said.out == ""
