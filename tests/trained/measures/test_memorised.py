"""`ddpm evaluate --metrics memorised`: what it says, writes and refuses; and that a copying net is found out."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as face
from ddpm.data.open import open_source
from ddpm.errors import NotFound
from ddpm.figures.pictures import shown
from ddpm.trained.measures import memorised
from ddpm.trained.measures.memorised import MemorisedOptions, measure


def test_the_command(ddpm, trained, tmp_path):
    """The numbers of --json are those of the call, its words name them, and with bpd nothing of bpd changes."""
    flags = ["--data", "digits", "--num-samples", 20, "--batch-size", 8]
    files = ["--json", tmp_path / "both.json", "--pairs", tmp_path / "pairs.png", "--csv", tmp_path / "rows.csv"]
    said = ddpm("evaluate", trained, *flags, "--metrics", "bpd,memorised", "--num-images", 120, *files)
    assert said.code == 0, said.err
    both = json.loads((tmp_path / "both.json").read_text())
    assert "bits_per_dim" in both
    found = both["memorised"]
    held_out = open_source("digits", "test").take(torch.arange(120))
    expected = measure(face.load(trained).loaded, held_out, MemorisedOptions(num_samples=20, batch_size=7))
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
    held_out = open_source("digits", "test")
    found = measure(face.load(trained).loaded, held_out, MemorisedOptions(num_samples=10))
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
    assert "at least 19 held-out images, not 10" in said.err


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


def test_images_that_were_handed_over_in_memory_go_with_the_run(run, tmp_path):
    """The folder may move."""
    images = open_source("digits", "train").tensor()[:60, 0].numpy()
    np.savez(run / "data.npz", images=images, levels=17)
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = str(tmp_path / "gone" / "data.npz")
    (run / "config.json").write_text(json.dumps(config))
    moved = shutil.move(run, tmp_path / "moved")
    held_out = open_source("digits", "test")
    found = measure(face.load(moved).loaded, held_out, MemorisedOptions(num_samples=2))
    assert 50 < found.closeness.training < 60
    (tmp_path / "moved" / "data.npz").unlink()
    with pytest.raises(NotFound, match="copies are looked for among the training data"):
        measure(face.load(moved).loaded, held_out, MemorisedOptions(num_samples=2))


def test_mirror_images_count_where_training_mirrored(run):
    config = json.loads((run / "config.json").read_text())
    config["data"]["augmentation"] = "horizontal-flip"
    (run / "config.json").write_text(json.dumps(config))
    found = measure(face.load(run).loaded, open_source("digits", "test"), MemorisedOptions(num_samples=5))
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
