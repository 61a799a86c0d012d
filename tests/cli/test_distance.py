"""`ddpm distance`, `ddpm.distance` and the metrics of samples of `ddpm evaluate`: same numbers, all manifested, faults in one line."""

import json

import numpy as np
import pytest
import torch

import ddpm as library
from ddpm.cli.flags import names
from ddpm.data.imageset import to_levels
from ddpm.evaluation.images.features.pixels import Pixels
from ddpm.evaluation.images.features.small import built_in
from ddpm.evaluation.images.frechet import frechet
from ddpm.evaluation.images.metrics import METRICS
from ddpm.evaluation.images.moments import Moments
from ddpm.evaluation.images.score import NAMES
from ddpm.trained.measures.extractors import EXTRACTORS

ALL = ",".join(METRICS)


@pytest.fixture(name="two", scope="module")
def _two(tmp_path_factory):
    """Two folders of 120 digits each."""
    place, digits = tmp_path_factory.mktemp("two"), library.images("digits")
    for name, rows in (("a", slice(0, 120)), ("b", slice(120, 240))):
        digits[rows].save(place / name)
    return place / "a", place / "b"


def test_the_help_names_all():
    assert all(name in names.FEATURES for name in EXTRACTORS)


def test_every_metric_in_one_table_and_the_same_in_python(ddpm, two, tmp_path):
    a, b = two
    said = ddpm("distance", a, b, "--metrics", ALL, "--json", tmp_path / "d.json")
    assert said.code == 0, said.err
    held = json.loads((tmp_path / "d.json").read_text())
    found = library.distance(str(a), str(b), ALL, progress=False)
    assert {score.name for score in found.scores} == set(NAMES)
    for score in found.scores:
        one = held[score.name.replace("-", "_")]
        assert one["value"] == pytest.approx(score.value, rel=1e-9)  # the order of sums is the machine's
        assert any(line.startswith(NAMES[score.name].en) for line in said.out.splitlines())
        manifest = one["manifest"]
        assert manifest["features"] == {name: getattr(built_in("digits"), name) for name in ("name", "digest", "how")}
        assert (manifest["a"]["images"], manifest["b"]["images"], manifest["b"]["levels"]) == (120, 120, 17)
        assert manifest["a"]["source"] == str(a)
        assert manifest["ddpm"] == library.__version__
    assert "so few images say little" in said.err
    features = built_in("digits").features
    by_hand = [Moments.of(features(to_bytes(folder))) for folder in two]
    assert held["fid"]["value"] == pytest.approx(frechet(*by_hand), rel=1e-6)


def to_bytes(folder):
    values = to_levels(library.images(str(folder)).tensor, 17)
    return (values.double() * 255 / 16).round().to(torch.uint8)


def test_moments_of_a_file_stand_for_its_images(ddpm, two, tmp_path):
    a, b = two
    kept = ddpm(
        "distance",
        a,
        b,
        "--features",
        "pixels",
        "--metrics",
        "fid",
        "--save-moments",
        tmp_path / "b.npz",
        "--json",
        "-",
    )
    again = ddpm("distance", a, tmp_path / "b.npz", "--features", "pixels", "--metrics", "fid", "--json", "-")
    first, second = (json.loads(said.out)["fid"] for said in (kept, again))
    assert second["value"] == pytest.approx(first["value"], rel=1e-6)
    assert second["manifest"]["b"] == {"source": str(tmp_path / "b.npz"), "images": 120, "moments": True}
    with np.load(tmp_path / "b.npz", allow_pickle=False) as held:
        assert held["mu"].shape == (64,)
    other = ddpm("distance", a, tmp_path / "b.npz", "--metrics", "fid")
    assert (other.code, "of the features 'pixels'" in other.err) == (78, True)


def test_an_evaluators_npz_is_read(ddpm, two, tmp_path):
    """uint8 (N, H, W, 3) under arr_0, as guided-diffusion's scripts write samples."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "samples.npz", pixels)
    said = ddpm("distance", tmp_path / "samples.npz", tmp_path / "samples.npz", "--metrics", "fid,is", "--json", "-")
    held = json.loads(said.out)
    assert held["fid"]["value"] == pytest.approx(0, abs=1e-6)
    assert held["fid"]["manifest"]["features"]["name"] == "colour"
    assert held["inception_score"]["classes"] == 10


def test_some_images_are_chosen_by_the_seed(ddpm, two):
    a, b = two
    command = ("distance", a, b, "--features", "pixels", "--metrics", "sliced", "--num-images", 50, "--json", "-")
    one, two_, three = (json.loads(ddpm(*command, "--seed", seed).out)["sliced"] for seed in (0, 0, 1))
    assert one == two_
    assert one["value"] != three["value"]
    assert (one["manifest"]["a"]["images"], one["manifest"]["num_images"], one["seed"]) == (50, 50, 0)


def test_samples_of_a_run_against_its_data(ddpm, trained, tmp_path):
    """Those that `ddpm sample` saves: the same number from the folder of them."""
    how = ("--num-images", 40, "--sampler", "ddim", "--steps", 3, "--features", "pixels", "--seed", 5)
    said = ddpm(
        "evaluate", trained, "--data", "digits", "--metrics", "fid,kid", *how, "--num-samples", 30, "--json", "-"
    )
    assert said.code == 0, said.err
    held = json.loads(said.out)
    drawn = ("--sampler", "ddim", "--steps", 3, "--seed", 5, "--num", 30, "--output-dir", tmp_path / "out")
    assert ddpm("sample", trained, *drawn).code == 0
    images = library.images
    found = library.distance(
        images(str(tmp_path / "out")), images("digits", "test")[:40], features="pixels", progress=False
    )
    assert held["fid"]["value"] == pytest.approx(found["fid"].value, rel=1e-6)
    assert held["kid"]["value"] == pytest.approx(found["kid"].value, rel=1e-6)
    manifest = held["fid"]["manifest"]
    assert (manifest["a"]["images"], manifest["b"]["images"], manifest["b"]["split"]) == (30, 40, "test")
    assert manifest["a"]["drawn"]["sampler"] == "ddim"
    assert "30 samples of" in said.err
    assert "bits_per_dim" not in held


def test_bits_and_distances_in_one(ddpm, trained):
    said = ddpm(
        "evaluate",
        trained,
        "--data",
        "digits",
        "--metrics",
        "bpd,fid",
        "--num-images",
        20,
        "--features",
        "pixels",
        "--json",
        "-",
    )
    held = json.loads(said.out)
    assert held["bits_per_dim"]["total"] > 0
    assert held["fid"]["manifest"]["a"]["images"] == 20


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--metrics", "fid,fld"), 2, "unknown metric: 'fld'"),
        (("--features", "inceptio"), 2, "unknown features: 'inceptio'"),
        (("--features", "inception"), 2, "weights are a file that you give: --features inception=FILE"),
        (("--features", "inception=nothing.pth"), 66, "no such file: nothing.pth"),
        (("--features", "net.pt2"), 2, "a program of torch.export is not run"),
        (("--features", "nothing.pt"), 66, "no such file: nothing.pt"),
        (("--num-images", 1), 2, "at least 2 images on each side, not 1"),
        (("--save-moments", "a.txt"), 2, "must end in .npz"),
    ],
)
def test_faults_are_said_in_a_line(ddpm, two, words, code, message, monkeypatch):
    monkeypatch.delenv("DDPM_INCEPTION", raising=False)
    said = ddpm("distance", *two, "--metrics", "fid", *words)
    assert said.code == code
    assert message in said.err.splitlines()[0]


def test_moments_say_of_which_features_they_are(ddpm, two, tmp_path):
    """Of files that do not say it no features are named; a matrix that is no covariance is refused."""
    eye, theirs = np.eye(4), tmp_path / "m.npz"
    np.savez(theirs, mu=np.zeros(4), sigma=eye)
    said = ddpm("distance", theirs, theirs, "--metrics", "fid", "--json", tmp_path / "d.json")
    assert (said.code, "features unknown: " in said.out, "colour" in said.out) == (0, True, False)
    assert json.loads((tmp_path / "d.json").read_text())["fid"]["manifest"]["features"]["name"] == "unknown"
    assert library.distance(theirs, theirs, "fid", progress=False).manifest["features"]["name"] == "unknown"
    kept = ("--features", "pixels", "--metrics", "fid")
    assert ddpm("distance", *two, *kept, "--save-moments", tmp_path / "b.npz").code == 0
    assert "features pixels: " in ddpm("distance", tmp_path / "b.npz", tmp_path / "b.npz", *kept).out
    other = ddpm("distance", two[0], tmp_path / "b.npz", "--features", "digits", "--metrics", "fid")
    assert (other.code, "'pixels'" in other.err, "'digits' are asked for" in other.err) == (78, True, True)
    np.savez(theirs, mu=np.zeros(4), sigma=-eye)
    refused = ddpm("distance", theirs, theirs, "--metrics", "fid")
    assert (refused.code, "sigma is no covariance, it has the eigenvalue -1" in refused.err) == (65, True)


def test_a_set_and_itself(ddpm, two):
    """Its distance is 0, not what rounding leaves, and it is said that the two are one."""
    said = ddpm("distance", two[0], two[0], "--metrics", "fid,fid-infinity", "--json", "-")
    assert json.loads(said.out)["fid"]["value"] == 0
    assert "A and B are the same images" in said.err
    assert "so few images" in ddpm("distance", *two, "--metrics", "fid-infinity").err


def test_the_interval_is_of_the_value_before_it(ddpm, two):
    said = ddpm("distance", *two, "--metrics", "fid", "--json", "-")
    (line,) = [line for line in said.err.splitlines() if line.startswith("Frechet distance (fid)")]
    found = json.loads(said.out)["fid"]
    value, bias, left, low, _, high = line.removeprefix("Frechet distance (fid)").split()
    assert float(left) == pytest.approx(float(value) - float(bias), rel=1e-3)
    assert float(low) <= max(float(left), 0) <= float(high)  # a distance is not below 0, an estimate of it may be
    assert float(left) == pytest.approx(found["value"] - found["bias"], rel=1e-4)


@pytest.mark.parametrize(
    ("names", "hint"),
    [("memorized", "did you mean 'memorised'?"), ("FID", "did you mean 'fid'?"), ("fdi", "did you mean 'fid'?")],
)
def test_the_nearest_metric_is_named(ddpm, trained, two, names, hint):
    said = ddpm("evaluate", trained, "--data", "digits", "--metrics", names)
    assert (said.code, f"hint: {hint}" in said.err) == (2, True)
    assert ddpm("distance", *two, "--metrics", "sliced,", "--features", "pixels").code == 0


@pytest.mark.parametrize(
    "words",
    [("--num-samples", 5), ("--sampler", "ddim"), ("--features", "pixels"), ("--eta", 0.5), ("--option", "order=2")],
)
def test_flags_of_samples_need_such_a_metric(ddpm, trained, words):
    said = ddpm("evaluate", trained, "--data", "digits", *words)
    assert (said.code, f"{words[0]} is of metrics of samples" in said.err) == (2, True)


def test_features_of_your_own():
    class Mean(library.Extractor):
        name, digest, how = "mean", "none", "the mean of each image"

        def outputs(self, images):
            return type(Pixels().outputs(images))(images.float().mean((2, 3)))

    digits = library.images("digits")
    found = library.distance(
        digits[:50], digits[50:120], ["fid", "sliced"], Mean(), choices={"directions": 4}, progress=False
    )
    assert found["fid"].about["features"] == 1
    assert found["sliced"].about["directions"] == 4
    with pytest.raises(library.UsageError, match="unknown choice: 'direction'"):
        library.distance(digits[:50], digits[50:120], choices={"direction": 4}, progress=False)


def test_the_hints_hold(ddpm, trained, two, tmp_path):
    """What is refused with a hint is done as the hint says."""
    a, b = two
    kept = ("--features", "pixels", "--metrics", "fid", "--save-moments")
    assert ddpm("distance", a, b, *kept, tmp_path / "b.npz").code == 0
    evaluated = (
        "evaluate",
        trained,
        "--data",
        "digits",
        "--num-images",
        20,
        "--steps",
        2,
        "--features",
        "pixels",
        "--metrics",
        "fid",
    )
    for refused, hint, done in (
        (
            ("distance", a, tmp_path / "b.npz", "--features", "pixels"),
            "--metrics fid takes moments",
            ("--metrics", "fid"),
        ),
        (
            ("distance", a, b, "--features", "pixels", "--metrics", "is"),
            "--features digits has them",
            ("--features", "digits"),
        ),
        (
            ("distance", a, b, "--num-images", 20, "--metrics", "fid-infinity"),
            "--metrics fid needs fewer",
            ("--metrics", "fid"),
        ),
        ((*evaluated, "--csv", tmp_path / "x.csv"), "--metrics bpd,fid", None),
        (("distance", a, tmp_path / "b.npz", *kept, tmp_path / "c.npz"), "--save-moments is of images", None),
    ):
        said = ddpm(*refused)
        assert said.code == 2, said.err
        assert f"hint: {hint}" in said.err
        if done:
            assert ddpm(*refused, *done).code == 0
    assert ddpm(*evaluated, "--json", tmp_path / "x.json").code == 0
    assert json.loads((tmp_path / "x.json").read_text())["fid"]["value"] > 0


def test_in_korean(ddpm, two):
    said = ddpm("distance", *two, "--metrics", "fid,is,precision-recall", "--language", "ko")
    assert said.code == 0, said.err
    assert all(word in said.out for word in ("프레셰 거리 (fid)", "95% 구간", "정밀도", "이미지 120장", "기준:"))


def test_a_distance_is_read_at_a_glance():
    digits = library.images("digits")
    found = library.distance(digits[:60], digits[60:120], "fid,kid", "pixels", progress=False)
    fid, kid = found["fid"], found["kid"]
    less = f"less bias {fid.value - fid.bias:.4g}"
    said = f"fid {fid.value:.4g}, {less} [{fid.low:.4g}, {fid.high:.4g}]; kid {kid.value:.4g} [{kid.low:.4g}, {kid.high:.4g}]"
    assert repr(found) == f"Distances({said}; features pixels)"
    assert fid.low <= fid.without_bias <= fid.high
    assert (list(found), "kid" in found, dict(found)["fid"] is fid, len(found)) == (["fid", "kid"], True, True, 2)
    with pytest.raises(KeyError, match="'FID' was not measured, but fid, kid"):
        found["FID"]
    assert "FID" not in found
