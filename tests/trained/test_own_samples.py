"""A run scores its own samples, whatever their levels, channels and classes: from the folder, from the npz and in memory."""

import numpy as np
import pytest
import torch

import ddpm
from ddpm.data.imageset import to_model
from ddpm.errors import Mismatch, UsageError

TINY = {
    "model.channels": 8,
    "model.groups": 4,
    "model.multipliers": [1],
    "model.attention": [],
    "model.blocks": 1,
    "schedule.T": 4,
    "rhythm.sample": 0,
    "rhythm.evaluate": 0,
    "data.held_out": 0.0,
}
NAMES = tuple(sorted(map(str, range(11))))
"""0, 1, 10, 2, ...: the class "10" is number 2."""


def _images(levels, channels, classes):
    values = torch.from_numpy(np.random.default_rng(0).integers(0, levels, (11, channels, 5, 5)))
    return ddpm.Images(to_model(values, levels), levels, torch.arange(11) if classes else None, classes)


@pytest.fixture(scope="module")
def models(tmp_path_factory, without_reports):
    made = {}

    def of(levels, channels, classes=()):
        key = levels, channels, classes
        if key not in made:
            folder = tmp_path_factory.mktemp("own") / "run"
            data = _images(levels, channels, classes)
            about = {"steps": 1, "batch_size": 4, "settings": TINY, "conditional": bool(classes), "progress": False}
            made[key] = ddpm.fit(data, folder, **about)
        return made[key]

    return of


@pytest.mark.parametrize(
    ("levels", "channels", "classes"),
    [(2, 1, ()), (17, 3, NAMES), (256, 4, ()), (256, 2, NAMES), (1024, 1, NAMES), (65536, 3, ())],
)
def test_a_run_scores_its_own_samples(ddpm, models, tmp_path, levels, channels, classes):
    model = models(levels, channels, classes)
    run = model.loaded.folder.path
    said = ddpm("sample", run, "--num", 3, "--output-dir", tmp_path / "out", "--npz", tmp_path / "out.npz")
    assert said.code == 0, said.err
    drawn = model.sample(3, progress=False)
    drawn.save(tmp_path / "called")
    drawn.save_npz(tmp_path / "called.npz")
    for number in range(3):
        name = f"{number:06d}.png"
        assert (tmp_path / "called" / name).read_bytes() == (tmp_path / "out" / name).read_bytes()
    with np.load(tmp_path / "out.npz") as ours, np.load(tmp_path / "called.npz") as called:
        assert set(ours) == set(called) == {"arr_0", "levels", "layout"} | ({"arr_1", "classes"} if classes else set())
        assert all(np.array_equal(ours[name], called[name]) for name in ours)
        assert (ours["arr_0"].dtype, ours["arr_0"].shape) == (
            np.uint8 if levels <= 256 else np.uint16,
            (3, 5, 5, channels),
        )
    bound = model.bits_per_dim(drawn, progress=False).per_image
    for source in ("out", "out.npz"):
        found = model.bits_per_dim(tmp_path / source, split="all", progress=False)
        assert torch.equal(found.per_image, bound), source
    edited = ddpm(
        "edit", run, tmp_path / "out" / "000001.png", "--timestep", 1, "--num", 1, "--output-dir", tmp_path / "e"
    )
    assert edited.code == 0, edited.err


def test_samples_of_other_levels_are_refused(models, tmp_path):
    """They were read as those of the model: 0..255 as 0..1023."""
    deep, bytes_ = models(1024, 1, NAMES), models(2, 1)
    few = bytes_.sample(2, progress=False)
    few.save_npz(tmp_path / "few.npz")
    few.save(tmp_path / "few")
    np.savez(tmp_path / "says nothing.npz", arr_0=few.numpy())
    for source in ("few.npz", "few", "says nothing.npz"):
        with pytest.raises(Mismatch, match="of 1024 levels, not"):
            deep.bits_per_dim(tmp_path / source, split="all", label="none", progress=False)


def test_numbers_of_classes_are_not_taken_for_names(models, tmp_path):
    """The npz of a model whose classes are called 0, 1, 10, 2, ... held their numbers, which were read as names."""
    model = models(1024, 1, NAMES)
    drawn = model.sample(11, progress=False)
    assert drawn.labels is not None
    np.savez(tmp_path / "old.npz", arr_0=drawn.numpy(), arr_1=drawn.labels.numpy())
    with pytest.raises(Mismatch, match=r"class 2 without a name: the model's class 2 is '10'.*'2' is 3") as refused:
        model.bits_per_dim(tmp_path / "old.npz", split="all", progress=False)
    assert '"classes"' in refused.value.hints[0]
    np.savez(tmp_path / "named.npz", arr_0=drawn.numpy(), arr_1=drawn.labels.numpy(), classes=list(NAMES))
    named = model.bits_per_dim(tmp_path / "named.npz", split="all", progress=False)
    assert torch.equal(named.per_image, model.bits_per_dim(drawn, progress=False).per_image)
    np.savez(tmp_path / "two.npz", arr_0=drawn.numpy()[:2], arr_1=drawn.labels.numpy()[:2])
    assert model.bits_per_dim(tmp_path / "two.npz", split="all", progress=False).images == 2


def test_images_that_are_all_but_black_are_refused_until_they_are_meant(ddpm, tmp_path):
    """Masks of 0 and 1 in bytes were trained on as 256 levels, and 8 bits in uint16 as 65,536, without a word."""
    values = np.random.default_rng(0).integers(0, 2, (8, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "mask.npy", values)
    np.save(tmp_path / "deep.npy", values.astype(np.uint16) * 255)
    settings = {**TINY, "model.multipliers": "1,2", "model.attention": 1}
    flags = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    base = ("train", "--steps", 1, "--batch-size", 4, "--output-dir", tmp_path / "run")
    for source, top, levels in (("mask.npy", 1, 256), ("deep.npy", 255, 65536)):
        refused = ddpm(*base, "--data", tmp_path / source, *flags)
        assert refused.code == 2
        assert f"values up to {top} of {levels} levels" in refused.err
        assert f"--set data.levels={top + 1}" in refused.err
        assert f"--set data.levels={levels}" in refused.err
        assert not (tmp_path / "run").exists()
    followed = ddpm(*base, "--data", tmp_path / "mask.npy", *flags, "--set", "data.levels=2")
    assert followed.code == 0, followed.err
    assert "1x4x4 of 2 levels" in followed.err
    meant = ddpm(*base[:-1], tmp_path / "dark", "--data", tmp_path / "mask.npy", *flags, "--set", "data.levels=256")
    assert meant.code == 0, meant.err
    np.save(tmp_path / "ten.npy", values.astype(np.uint16) * 1023)
    noted = ddpm(*base[:-1], tmp_path / "ten", "--data", tmp_path / "ten.npy", *flags)
    assert noted.code == 0, noted.err
    assert "values up to 1023 of 65536 levels" in noted.err


def test_values_between_the_levels_make_no_bound(models):
    """`terms` gave a number for them."""
    p = models(17, 3, NAMES).process
    good = to_model(torch.arange(75).reshape(1, 3, 5, 5) % 17, 17)
    assert len(list(ddpm.terms(p, good, torch.Generator().manual_seed(0)))) == 5
    for x_0 in (good + 0.01, good * 2, to_model(torch.arange(75).reshape(1, 3, 5, 5), 256)):
        with pytest.raises(UsageError, match=r"in \[-1, 1\]|17 levels"):
            list(ddpm.terms(p, x_0))
