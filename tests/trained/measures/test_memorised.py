"""`ddpm evaluate --metrics memorised`: what it says, writes and refuses; and that a copying net is found out."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as face
from ddpm.data.open import open_source
from ddpm.errors import NotFound, RunWarning
from ddpm.figures.pictures import shown
from ddpm.trained.measured_curve import images_for_curve
from ddpm.trained.measures import memorised
from tests.harness.commands import TINY


def test_the_command(ddpm, trained, tmp_path):
    """The numbers of --json are those of the call, its words name them, and with bpd nothing of bpd changes."""
    flags = ["--data", "digits", "--num-samples", 20, "--batch-size", 8]
    files = ["--json", tmp_path / "both.json", "--pairs", tmp_path / "pairs.png", "--csv", tmp_path / "rows.csv"]
    said = ddpm("evaluate", trained, *flags, "--metrics", "bpd,memorised", "--num-images", 120, *files)
    assert said.code == 0, said.err
    both = json.loads((tmp_path / "both.json").read_text())
    assert "bits_per_dim" in both
    found = both["memorised"]
    expected = face.memorised(trained, "digits", num_images=120, num_samples=20, batch_size=7, progress=False)
    assert found == json.loads(json.dumps(expected.about))
    assert (found["samples"], found["held_out"], found["training"], found["neighbours"]) == (20, 120, 1497, 50)
    assert found["rate"] == pytest.approx(1 / 121)
    assert f"{found['suspected']} of 20 samples" in said.out
    assert "p = 1\n" in said.out
    assert found["manifest"]["training_digest"] == open_source("digits", "train").digest()
    drawn = face.load(trained).sample(20, progress=False).tensor
    assert torch.equal(expected.drawn, ((drawn + 1) * 8).round().to(torch.uint8))
    nearest = found["per_sample"][3]
    image = open_source("digits", "train").tensor()[nearest["training_image"]].double()
    distance = (expected.drawn[3].double() - image).square().mean().sqrt() * 255 / 16
    assert nearest["distance"] == pytest.approx(float(distance), rel=1e-6)
    with Image.open(tmp_path / "pairs.png") as picture:
        assert picture.size == expected.picture().size


def test_the_picture_has_each_sample_above_its_image(trained):
    """The closest first, in bands of eight; a mirrored image is shown mirrored."""
    found = face.memorised(trained, num_samples=10, progress=False)
    sheet = np.asarray(found.picture(10)).astype(int)
    worst = found.closeness.worst(10)
    assert bool((found.closeness.samples.ratio[worst].diff() >= 0).all())
    samples = shown(found.drawn, 17)
    images = shown(found.train.tensor(), 17)

    def at(row, column):
        return sheet[row * 52 : row * 52 + 48 : 6, column * 52 : column * 52 + 48 : 6]

    for place, one in enumerate(worst.tolist()):
        band, column = divmod(place, 8)
        assert (at(2 * band, column) == samples[one, 0].numpy()).all()
        assert (at(2 * band + 1, column) == images[found.closeness.samples.rows[one], 0].numpy()).all()


@pytest.mark.parametrize("name", ["--num-samples", "--pairs"])
def test_its_flags_are_of_it(ddpm, trained, tmp_path, name):
    value = 3 if name == "--num-samples" else tmp_path / "pairs.png"
    said = ddpm("evaluate", trained, "--data", "digits", name, value)
    assert said.code == 2
    assert f"{name} is of " in said.err
    alone = ["evaluate", trained, "--data", "digits", "--csv", tmp_path / "rows.csv", "--metrics"]
    said = ddpm(*alone, "memorised")
    assert said.code == 2
    assert "hint: --metrics bpd,memorised measures both" in said.err
    assert ddpm(*alone, "bpd,memorised", "--num-images", 20, "--num-samples", 2).code == 0


def test_training_images_cannot_be_held_out(ddpm, trained):
    flags = ["evaluate", trained, "--data", "digits", "--metrics", "memorised", "--num-samples", 2]
    said = ddpm(*flags, "--split", "train", "--num-images", 100)
    assert said.code == 2
    assert "100 of 100 images that should be held out are among the training images" in said.err
    assert "hint: --split test" in said.err
    assert ddpm(*flags, "--split", "test", "--num-images", 100).code == 0
    said = ddpm(*flags, "--num-images", 10)
    assert said.code == 2
    assert "at least 19 held-out images that differ from each other, not 10" in said.err


def test_samples_of_classes_are_compared_with_the_same_classes(ddpm, tmp_path):
    """Of one class with those of it; without labels they cannot be judged, and with a rare class not by few."""
    run = tmp_path / "run"
    assert ddpm("train", "--output-dir", run, *TINY, "--conditional").code == 0
    flags = ["evaluate", run, "--metrics", "memorised", "--num-samples", 10, "--json", tmp_path / "x.json", "--data"]
    held_out = open_source("digits", "test")
    there = held_out.labels.bincount(minlength=10)
    for more, count in ((["--label", 3], int(there[3])), ([], 10 * int(there.min()))):
        said = ddpm(*flags, "digits", *more)
        assert said.code == 0, said.err
        assert f"compared with {count} of the 300 held-out images" in said.out
        found = json.loads((tmp_path / "x.json").read_text())["memorised"]
        assert (found["held_out"], found["held_out_given"], found["same_classes"]) == (count, 300, True)
    pixels, labels = held_out.tensor()[:, 0].numpy(), held_out.labels.numpy()
    np.savez(tmp_path / "unlabelled.npz", images=pixels, levels=17)
    said = ddpm(*flags, tmp_path / "unlabelled.npz", "--split", "all")
    assert said.code == 78
    assert "samples of classes are judged by held-out images of the same ones: the images have no labels" in said.err
    rare = np.concatenate([np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:1]])
    np.savez(tmp_path / "rare.npz", images=pixels[rare], labels=labels[rare], levels=17)
    said = ddpm(*flags, tmp_path / "rare.npz", "--split", "all")
    assert said.code == 2
    assert "1 of the class '3' leave 10 to compare with" in said.err
    assert "hint: more images of this class are needed, or another --label" in said.err
    assert ddpm(*flags, tmp_path / "rare.npz", "--split", "all", "--label", 4).code == 0


def test_other_images_than_those_of_the_training_are_refused(ddpm, trained, run, tmp_path):
    """They have the shape and the levels of the digits, so that nothing else would notice; and the place that is named is followed."""
    others = np.random.default_rng(0).integers(0, 17, (400, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "others.npz", images=others, levels=17)
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "others.npz")
    (run / "config.json").write_text(json.dumps(config))
    flags = ["evaluate", run, "--data", "digits", "--metrics", "memorised", "--num-samples", 2]
    said = ddpm(*flags)
    assert said.code == 78, said.err
    assert "the images are no longer those that the run began with" in said.err
    assert "hint: --set data.source=SOURCE says where they are now" in said.err
    assert ddpm(*flags, "--set", "data.source=digits").code == 0


def test_the_best_steps_of_other_images_are_warned_of(run, tmp_path):
    others = np.random.default_rng(0).integers(0, 17, (400, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "others.npz", images=others, levels=17)
    model = face.load(run, device="cpu", settings={"data.source": str(tmp_path / "others.npz")})
    with pytest.warns(RunWarning, match="measured on other images than the model was trained on"):
        images_for_curve(model.loaded)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images_for_curve(face.load(run, device="cpu").loaded)


def test_too_few_training_images_say_nothing(ddpm, tmp_path):
    np.savez(tmp_path / "nine.npz", images=open_source("digits", "train").tensor()[:9, 0].numpy(), levels=17)
    run = tmp_path / "run"
    more = ["--set", "data.held_out=0", "--steps", 2]
    assert ddpm("train", "--output-dir", run, *TINY, "--data", tmp_path / "nine.npz", *more).code == 0
    said = ddpm("evaluate", run, "--data", "digits", "--metrics", "memorised", "--num-samples", 2)
    assert said.code == 2
    assert "at least 10 of them, not 9" in said.err
    assert "hint: so few images are compared with the samples by eye" in said.err


class Nameless(face.Extractor):
    """Says its name and not what it is."""

    name = "nameless"

    def outputs(self, images):
        raise AssertionError("it is refused before it is used")


@pytest.mark.parametrize("missing", ["digest", "how"])
def test_an_extractor_that_does_not_say_what_it_is(trained, missing):
    features = Nameless()
    setattr(features, "how" if missing == "digest" else "digest", "x")
    digits = face.images("digits")[:30]
    for call in (
        lambda: face.distance(digits, digits, "fid", features, progress=False),
        lambda: face.memorised(face.load(trained, device="cpu"), features=features, progress=False),
    ):
        with pytest.raises(face.UsageError, match=f"must say its `{missing}`, .*: Nameless does not"):
            call()


def test_a_model_whose_training_data_are_not_known(ddpm, trained, tmp_path):
    for words in (("export", trained, tmp_path / "theirs"), ("import", tmp_path / "theirs", tmp_path / "again")):
        assert ddpm(*words).code == 0
    np.savez(tmp_path / "held.npz", images=np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8))
    flags = [
        "evaluate",
        tmp_path / "again",
        "--data",
        tmp_path / "held.npz",
        "--split",
        "all",
        "--metrics",
        "memorised",
    ]
    said = ddpm(*flags, "--num-samples", 2)
    assert said.code == 66
    assert "this model does not say what it was trained on" in said.err
    assert "hint: --set data.source=SOURCE says where they are now" in said.err
    images = np.random.default_rng(1).integers(0, 256, (90, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "trained.npz", images=images)
    said = ddpm(*flags, "--num-samples", 2, "--set", f"data.source={tmp_path / 'trained.npz'}")
    assert said.code == 0, said.err
    assert "training images" in said.out


def test_images_that_were_handed_over_in_memory_go_with_the_run(run, tmp_path, monkeypatch):
    """The folder may move."""
    images = open_source("digits", "train").tensor()[:60, 0].numpy()
    np.savez(run / "data.npz", images=images, levels=17)
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone" / "data.npz")
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("ddpm.trained.training_images.fingerprint_of", lambda *_: "")  # it was not trained on these
    moved = shutil.move(run, tmp_path / "moved")
    found = face.memorised(moved, "digits", num_samples=2, progress=False)
    assert 50 < found.closeness.training < 60
    (tmp_path / "moved" / "data.npz").unlink()
    with pytest.raises(NotFound, match="copies are looked for among the training data"):
        face.memorised(moved, "digits", num_samples=2, progress=False)


def test_mirror_images_count_where_training_mirrored(run):
    config = json.loads((run / "config.json").read_text())
    config["data"]["augmentation"] = "horizontal-flip"
    (run / "config.json").write_text(json.dumps(config))
    found = face.memorised(run, num_samples=5, progress=False)
    assert found.about["mirror_images"] is True
    assert bool(found.closeness.held_out.mirrored.any())
    assert set(memorised.MIRRORS) == {"horizontal-flip"}


def test_the_call_is_the_command(ddpm, trained, tmp_path):
    """In pixels and in features of a network, which are other distances."""
    values = {}
    for features in (None, "pixels", "digits"):
        flags = [] if features is None else ["--features", features]
        said = ddpm(
            *("evaluate", trained, "--data", "digits", "--metrics", "memorised", "--num-samples", 8, "--seed", 3),
            *(*flags, "--num-images", 30, "--json", tmp_path / "x.json"),
        )
        assert said.code == 0, said.err
        values[features] = json.loads((tmp_path / "x.json").read_text())["memorised"]
        found = face.memorised(
            face.load(trained, device="cpu"),
            "digits",
            num_samples=8,
            num_images=30,
            seed=3,
            features=features,
            progress=False,
        )
        assert found.about["per_sample"] == values[features]["per_sample"]
        assert found.about["space"] == values[features]["space"]
    assert values["digits"]["median_ratio"] != values[None]["median_ratio"]
    assert (values[None]["unit"], values["digits"]["unit"]) == ("RMSE on 0..255", "length of a difference of features")


def test_the_call_draws_as_the_command_does(ddpm, trained, tmp_path):
    """By any sampler, on fewer steps: the numbers are those of the command with the same flags, and others than by Algorithm 2."""
    flags = ["--sampler", "ddim", "--steps", 5, "--spacing", "trailing", "--eta", 0.5, "--num-samples", 6]
    target = tmp_path / "x.json"
    said = ddpm("evaluate", trained, "--data", "digits", "--metrics", "memorised", *flags, "--json", target)
    assert said.code == 0, said.err
    how = {"sampler": face.DDIM(eta=0.5), "steps": 5, "spacing": "trailing", "progress": False}
    found = face.memorised(str(trained), num_samples=6, **how)
    assert json.loads(json.dumps(found.about)) == json.loads(target.read_text())["memorised"]
    assert (found.about["manifest"]["sampler"], found.about["manifest"]["steps"]) == ("ddim", 5)
    drawn = face.load(trained).sample(6, **how)
    assert torch.equal(found.drawn, ((drawn.tensor + 1) * 8).round().to(torch.uint8))
    whole = face.memorised(trained, num_samples=6, progress=False)
    assert whole.about["per_sample"] != found.about["per_sample"]


def test_what_is_no_model(tmp_path):
    unchecked = getattr(face.load, "__wrapped__", face.load)  # the tests' type checker refuses it first
    with pytest.raises(face.UsageError, match="a model is named by its folder, not by int"):
        unchecked(3)
    with pytest.raises(NotFound):
        face.memorised(tmp_path / "nowhere")


def test_a_network_of_ones_own_is_told_its_data_by_what_made_it():
    """No setting of a run can: it has none. The hint is followed."""
    p = face.ReverseProcess(lambda x_t, timestep: torch.zeros_like(x_t), face.linear(T=5), decoder=face.discretised(17))
    for data in (None, "digits"):
        with pytest.raises(NotFound, match="does not say what it was trained on") as refused:
            face.memorised(face.model(p, (1, 8, 8)), data, num_samples=2, progress=False)
        assert refused.value.hints == ("ddpm.model(p, shape, data=SOURCE) says it",)
    told = face.model(p, (1, 8, 8), data="digits")
    assert face.memorised(told, num_samples=2, progress=False).closeness.training == 1497


def test_a_held_out_image_counts_once(ddpm, trained, tmp_path):
    """Thirty black images are one, which judges nothing; by thirty every sample would be close. Of others the repeats are said."""
    black = np.zeros((30, 8, 8), np.uint8)
    images = face.Images(torch.from_numpy(black)[:, None] / 8 - 1.0, levels=17)
    with pytest.raises(face.UsageError, match="at least 19 held-out images that differ from each other, not 1"):
        face.memorised(trained, images, num_samples=20, progress=False)
    digits = open_source("digits", "test").tensor()[:40, 0].numpy()
    np.savez(tmp_path / "twice.npz", images=np.concatenate([digits, digits[:25]]), levels=17)
    np.savez(tmp_path / "once.npz", images=digits, levels=17)
    flags = ["--split", "all", "--metrics", "memorised", "--num-samples", 4, "--json", tmp_path / "x.json"]
    found = {}
    for name in ("once", "twice"):
        said = ddpm("evaluate", trained, "--data", tmp_path / f"{name}.npz", *flags)
        assert said.code == 0, said.err
        assert ("held-out images that repeat others count once: 25 left out" in said.out) == (name == "twice")
        found[name] = json.loads((tmp_path / "x.json").read_text())["memorised"]
    assert [found[name].pop("held_out_repeated") for name in ("once", "twice")] == [0, 25]
    assert [found[name].pop("held_out_given") for name in ("once", "twice")] == [40, 65]
    assert found["once"] == found["twice"]
    assert found["once"]["held_out"] == 40
