"""`ddpm evaluate --evaluations N`: the estimate by itself, never under the exact total's name; and in the training log."""

import json

import pytest


def test_an_estimate(ddpm, trained):
    flags = ["evaluate", trained, "--data", "digits", "--num-images", 30]
    said = ddpm(*flags, "--evaluations", 4, "--json", "-")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert "bits_per_dim" not in result
    found = result["bits_per_dim_estimate"]
    assert found["evaluations"] == 30 * 4 + 30  # the pilot: one of each image
    assert 0 < found["monte_carlo"] <= found["stderr"]
    assert (result["images"], result["T"], result["weights"]) == (30, 12, "ema")
    exact = json.loads(ddpm(*flags, "--json", "-").out)["bits_per_dim"]["total"]
    assert abs(found["total"] - exact) < 5 * found["monte_carlo"]
    parts = ddpm(*flags, "--evaluations", 4, "--batch-size", 7, "--json", "-")
    assert json.loads(parts.out)["bits_per_dim_estimate"]["total"] == pytest.approx(found["total"], rel=1e-5)
    assert f"{found['total']:.4f}" in said.err


def test_what_an_estimate_does_not_give(ddpm, trained):
    flags = ["evaluate", trained, "--data", "digits", "--num-images", 2]
    one = ddpm(*flags, "--evaluations", 1)
    assert (one.code, "at least 2" in one.err) == (2, True)
    curve = ddpm(*flags, "--evaluations", 4, "--metrics", "bpd,rate-distortion")
    assert (curve.code, "bpd alone" in curve.err) == (2, True)
    assert (
        "no standard error" in ddpm("evaluate", trained, "--data", "digits", "--num-images", 1, "--evaluations", 2).out
    )


def test_the_log_tells_both_errors(trained):
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    evaluated = [row for row in rows if "bits_per_dim" in row]
    assert [row["step"] for row in evaluated] == [3, 6]
    assert all(0 < row["bits_per_dim_monte_carlo"] <= row["bits_per_dim_stderr"] for row in evaluated)
