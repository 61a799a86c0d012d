"""`ddpm rate-distortion`: the account of the bound alone, and real files beside it."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import ddpm as library
from tests.cli.test_errors import _one_line


@pytest.fixture(name="coder", scope="module")
def _coder(trained, tmp_path_factory):
    """A run of one's own, which may keep a codec's profile."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("coder") / "run")


def _picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


FEW = ("--data", "digits", "--num-images", 5)


def test_the_account_of_the_bound(ddpm, trained, tmp_path):
    """What `evaluate` says of it, and no coder is needed."""
    said = ddpm(
        *("rate-distortion", trained, *FEW, "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"),
        *("--plot", tmp_path / "a.png"),
    )
    assert said.code == 0, said.err
    assert "bits/dim received" in said.out
    result = json.loads((tmp_path / "a.json").read_text())
    curve = library.load(trained).bits_per_dim("digits", num_images=5, batch_size=64, progress=False).rate_distortion()
    assert [(p["t"], p["rate_bits_per_dim"], p["distortion_rmse_0_255"]) for p in result["rate_distortion"]] == curve
    assert "real_bytes" not in result
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {row["format"] for row in rows} == {"theory"}
    assert [int(row["setting"]) for row in rows] == [t for t, _, _ in curve]
    assert float(rows[-1]["bytes"]) == pytest.approx(curve[-1][1] * 64 / 8)
    assert _picture(tmp_path / "a.png").std() > 1


def test_real_bytes(ddpm, coder, tmp_path):
    said = ddpm(
        *("rate-distortion", coder, *FEW, "--real-bytes", "--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv"),
        *("--plot", tmp_path / "a.png", "--filmstrip", tmp_path / "film.png"),
    )
    assert said.code == 0, said.err
    result = json.loads((tmp_path / "a.json").read_text())
    model, real = library.load(coder), result["real_bytes"]
    assert real == library.real_bytes(model, "digits", num_images=5, progress=False).as_json()
    assert real["bytes_per_image"] == [
        len(file) for file in model.compress(library.images("digits", split="test")[:5], progress=False)
    ]
    above = real["bits_per_dim"] / result["bits_per_dim"]["total"]
    assert f"{np.mean(real['bytes_per_image']):,.1f} bytes of an image, {real['bits_per_dim']:.4f} bits/dim" in said.out
    assert f"{above:.3f} times the bound" in said.out
    assert f"PNG, lossless: {real['lossless_bytes']['PNG']:,.1f} bytes" in said.out
    head = next(line for line in said.out.splitlines() if line.startswith("RMSE on 0..255"))
    assert head.split()[3:7] == ["theory", "ddpm", "WebP", "JPEG"]
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    points = [(float(row["bytes"]), float(row["distortion_rmse_0_255"])) for row in rows if row["format"] == "WebP"]
    assert points[:-1] == [(one["bytes"], one["distortion_rmse_0_255"]) for one in real["curves"]["WebP"]]
    assert points[-1] == (real["lossless_bytes"]["WebP"], 0)
    for name in ("a.png", "film.png"):
        assert _picture(tmp_path / name).std() > 1


def test_a_shorter_chain_is_that_of_the_account_alone(ddpm, coder, tmp_path):
    """The files are the same whatever the bound is read on."""
    found = []
    for steps in ((), ("--steps", 3)):
        said = ddpm("rate-distortion", coder, *FEW, *steps, "--real-bytes", "--json", tmp_path / "a.json")
        assert said.code == 0, said.err
        found.append(json.loads((tmp_path / "a.json").read_text()))
    assert found[0]["real_bytes"] == found[1]["real_bytes"]
    assert (len(found[0]["rate_distortion"]), len(found[1]["rate_distortion"])) == (12, 3)


def test_faults_in_one_line(ddpm, trained, coder, tmp_path, monkeypatch):
    said = ddpm("rate-distortion", trained, *FEW, "--filmstrip", tmp_path / "film.png")
    _one_line(said, 2, "--filmstrip is of --real-bytes")
    monkeypatch.setattr("ddpm.trained.coded.find_spec", lambda name: None)
    said = ddpm("rate-distortion", coder, *FEW, "--real-bytes")
    _one_line(said, 2, "needs constriction", "pip install 'ddpm[codec]'")
