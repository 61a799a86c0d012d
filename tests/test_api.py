"""The public face: what `import ddpm` gives, and that a command and a call write the same bytes."""

import ast
import doctest
import json
import shutil
import subprocess
import sys
import traceback
import warnings
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import ddpm as public
from ddpm.errors import CannotCreate, Mismatch, UsageError
from ddpm.run.folder import RunFolder
from ddpm.sampling.chain import last_of

SMALL = {
    "model.channels": 8,
    "model.multipliers": (1, 2),
    "model.blocks": 1,
    "model.groups": 4,
    "model.dropout": 0.1,
    "schedule.T": 12,
    "rhythm.images": 8,
    "rhythm.evaluate": 3,
    "rhythm.sample": 6,
    "rhythm.log": 2,
    "rhythm.save": 3,
    "rhythm.samples": 4,
}
"""The settings of `TINY`, as a call gives them."""


@pytest.fixture(scope="module")
def model(trained):
    return public.load(trained, device="cpu")


@pytest.fixture(scope="module")
def digit(tmp_path_factory):
    """One of the held-out digits, as a picture that lies on the model's levels."""
    pixels = public.images("digits", "test").numpy()[0, :, :, 0]
    path = tmp_path_factory.mktemp("digit") / "a.png"
    Image.fromarray((pixels.astype(float) * 255 / 16).round().astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def mask(tmp_path_factory):
    hole = np.zeros((8, 8), np.uint8)
    hole[2:6, 2:6] = 255
    path = tmp_path_factory.mktemp("mask") / "mask.png"
    Image.fromarray(hole).save(path)
    return path


def _same_files(one, other, pattern="*.png"):
    names = sorted(path.name for path in Path(one).glob(pattern))
    assert names
    assert names == sorted(path.name for path in Path(other).glob(pattern))
    for name in names:
        assert (Path(one) / name).read_bytes() == (Path(other) / name).read_bytes(), name


def test_the_names_are_the_same_at_run_time_and_for_type_checkers():
    tree = ast.parse(Path(public.__file__).read_text())
    checked, _ = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {(f"{node.module}", alias.name) for node in checked.body for alias in node.names}
    assert imported == {(module, name) for name, module in public._MODULES.items()}
    assert dir(public) == sorted(public.__all__)
    for name in public.__all__:
        assert getattr(public, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        public.nonsense  # noqa: B018


def test_a_public_class_shares_its_name_with_no_other():
    public_names = {name for name in public.__all__ if isinstance(getattr(public, name), type)}
    found = [
        node.name
        for path in Path(public.__file__).parent.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name in public_names
    ]
    assert sorted(found) == sorted(public_names)


def test_importing_it_loads_nothing_heavy():
    code = (
        "import sys, ddpm; dir(ddpm); print(sorted({'torch', 'numpy', 'PIL', 'pydantic', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_public_name_says_what_it_is():
    for name in public.__all__:
        thing = getattr(public, name)
        if callable(thing):
            assert thing.__doc__, name


def test_the_examples_of_the_docstrings_run(run, tmp_path, monkeypatch):
    """Of every public name, and of the methods of public classes, where `ddpm demo` left its run."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner(verbose=False)
    ran = 0
    for name in public.__all__:
        thing = getattr(public, name)
        if not (callable(thing) and getattr(thing, "__module__", "").startswith("ddpm")):
            continue
        for test in finder.find(thing, name, globs={}):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ran += runner.run(test).attempted
    assert ran > 20
    assert runner.failures == 0


def test_a_run_or_a_checkpoint_is_loaded(model, trained):
    assert repr(model).endswith("ema weights of step 6: 1x8x8 images of 17 levels, T = 12)")
    checkpoint = public.load(str(trained / "checkpoints" / "step-000000003"), weights="raw")
    assert (checkpoint.step, checkpoint.loaded.weights) == (3, "raw")
    assert (model.shape, model.levels, model.classes, model.schedule.T) == ((1, 8, 8), 17, (), 12)


@pytest.mark.parametrize(
    ("flags", "how"),
    [
        ((), {}),
        (("--seed", "3", "--first", "2", "--batch-size", "2"), {"seed": 3, "first": 2, "batch_size": 2}),
        (("--sampler", "ddim", "--eta", "0.5", "--steps", "5"), {"sampler": public.DDIM(eta=0.5), "steps": 5}),
        (
            ("--sampler", "multistep", "--spacing", "log-snr", "--steps", "4"),
            {"sampler": "multistep", "spacing": "log-snr", "steps": 4},
        ),
    ],
)
def test_samples_are_those_of_the_command(ddpm, model, trained, tmp_path, flags, how):
    assert ddpm("sample", trained, "--num", 3, "--output-dir", tmp_path / "command", *flags).code == 0
    found = model.sample(3, **how, progress=False)
    found.save(tmp_path / "call")
    _same_files(tmp_path / "command", tmp_path / "call")
    again = torch.cat([step.x for step in model.chain(3, **how) if step.t == 0])
    assert torch.equal(again.cpu(), found.tensor)


def test_bits_are_those_of_the_command(ddpm, model, trained, tmp_path):
    flags = ("--data", "digits", "--num-images", 5, "--batch-size", 2, "--json", tmp_path / "e.json")
    assert ddpm("evaluate", trained, *flags).code == 0
    said = json.loads((tmp_path / "e.json").read_text())["bits_per_dim"]
    found = model.bits_per_dim("digits", num_images=5, batch_size=2, progress=False)
    assert (found.total, found.stderr, found.L_T, found.L_0) == (
        said["total"],
        said["stderr"],
        said["L_T"],
        said["L_0"],
    )
    assert found.by_t[2:].tolist() == said["L_t"]


def test_holes_are_filled_as_by_the_command(ddpm, model, trained, digit, mask, tmp_path):
    flags = ("--num", 2, "--resamplings", 2, "--jump", 2, "--seed", 1, "--output-dir", tmp_path / "command")
    assert ddpm("inpaint", trained, digit, mask, *flags).code == 0
    found = model.inpaint(digit, mask, 2, resamplings=2, jump=2, seed=1, progress=False)
    found.save(tmp_path / "call")
    _same_files(tmp_path / "command", tmp_path / "call")
    by_value = model.inpaint(
        Image.open(digit), np.array(Image.open(mask)) > 0, 2, resamplings=2, jump=2, seed=1, progress=False
    )
    assert torch.equal(by_value.tensor, found.tensor)


@pytest.mark.parametrize(
    ("flags", "edit"),
    [
        (("--timestep", "6", "--steps", "3"), lambda m, image: m.edit(image, 2, timestep=6, steps=3, progress=False)),
        (("--timestep", "6"), lambda m, image: m.edit(image, 2, timestep=6, progress=False)),
    ],
)
def test_edits_are_those_of_the_command(ddpm, model, trained, digit, tmp_path, flags, edit):
    assert ddpm("edit", trained, digit, *flags, "--num", 2, "--output-dir", tmp_path / "command").code == 0
    edit(model, digit).save(tmp_path / "call")
    _same_files(tmp_path / "command", tmp_path / "call")


def test_a_small_image_is_enlarged_as_by_the_command(ddpm, model, trained, tmp_path):
    Image.fromarray(np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4)).save(tmp_path / "small.png")
    flags = ("--super-resolve", 2, "--num", 2, "--output-dir", tmp_path / "command")
    assert ddpm("edit", trained, tmp_path / "small.png", *flags).code == 0
    model.super_resolve(tmp_path / "small.png", 2, factor=2, progress=False).save(tmp_path / "call")
    _same_files(tmp_path / "command", tmp_path / "call")


def test_the_way_between_images_is_that_of_the_command(ddpm, model, trained, digit, mask, tmp_path):
    flags = ("--timestep", 6, "--num", 3, "--output-dir", tmp_path / "command")
    assert ddpm("interpolate", trained, digit, mask, *flags).code == 0
    model.interpolate(digit, mask, timestep=6, num=3, progress=False).save(tmp_path / "call")
    _same_files(tmp_path / "command", tmp_path / "call", "0*.png")


def test_training_is_that_of_the_command(trained, tmp_path):
    """Weights, averages, moments and pictures; and a call goes on with what a command began."""
    run = tmp_path / "call"
    fields = {"preset": "digits", "batch_size": 8, "precision": "fp32", "settings": SMALL, "progress": False}
    model = public.fit("digits", run, steps=6, **fields)
    assert model.step == 6
    for name in ("model", "ema", "optimizer"):
        place = f"checkpoints/step-000000006/{name}.safetensors"
        assert (run / place).read_bytes() == (trained / place).read_bytes(), name
    assert (run / "config.json").read_bytes() == (trained / "config.json").read_bytes()
    _same_files(run / "samples", trained / "samples")
    assert json.loads((run / "exit.json").read_text())["code"] == 0
    shutil.copytree(trained, tmp_path / "command")
    with pytest.warns(public.RunWarning, match="decays towards the last step: with 7 steps instead of 6"):
        assert public.fit("digits", tmp_path / "command", steps=7, **fields).step == 7


def test_data_in_memory_are_kept_with_the_run(tmp_path):
    """So that the same call goes on; another set is refused."""
    pixels = np.random.default_rng(0).integers(0, 17, (30, 8, 8), dtype=np.uint8)
    data = public.Images(
        torch.from_numpy(pixels)[:, None] / 8 - 1, levels=17, labels=torch.arange(30) % 2, classes=("a", "b")
    )
    fields = {"batch_size": 8, "preset": "digits", "settings": SMALL, "progress": False, "conditional": True}
    model = public.fit(data, tmp_path / "run", steps=2, **fields)
    assert (model.classes, model.levels) == (("a", "b"), 17)
    with pytest.warns(public.RunWarning, match="decays towards the last step: with 3 steps instead of 2"):
        assert public.fit(data, tmp_path / "run", steps=3, **fields).step == 3
    with pytest.raises(Mismatch, match="begun with other data"):
        public.fit(data[:20], tmp_path / "run", steps=4, **fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resolutoin": 8}, "no setting 'resolutoin'"),
        ({"channels": 8}, "several settings are called 'channels'"),
        ({"lr": -1.0}, "training.lr"),
        ({"preset": "digit"}, "unknown preset"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"source": "digits"}, "no setting data.source"),
    ],
)
@pytest.mark.parametrize("data", ["digits", np.zeros((9, 8, 8), np.uint8)], ids=["source", "memory"])
def test_what_cannot_be_fitted_is_refused_before_anything_is_made(tmp_path, data, fields, words):
    with pytest.raises(UsageError, match=words):
        public.fit(data, tmp_path / "run", steps=1, **fields)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_fitted_are_refused_before_anything_is_made(tmp_path):
    """And a run of other data, or another process's, is left as it is."""
    pixels, run = np.zeros((9, 8, 8), np.uint8), tmp_path / "run"
    with pytest.raises(UsageError, match="no labels"):
        public.fit(pixels, run, steps=1, conditional=True, progress=False)
    with pytest.raises(UsageError, match="no images"):
        public.fit(public.images(pixels)[:0], run, steps=1, progress=False)
    assert not run.exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    with pytest.raises(CannotCreate, match="other files"):
        public.fit(pixels, tmp_path / "letters", steps=1, progress=False)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["one.txt"]


def test_a_run_is_not_given_other_images_in_memory(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    with pytest.raises(Mismatch, match="other data"):
        public.fit(np.zeros((9, 8, 8), np.uint8), tmp_path / "run", steps=7, preset="digits", progress=False)
    assert not (tmp_path / "run" / "data.npz").exists()
    folder = RunFolder(tmp_path / "new")
    folder.create()
    code = f"""
from pathlib import Path
from ddpm.run.folder import RunFolder
with RunFolder(Path({str(folder.path)!r})).locked():
    print(flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as other:
        other.stdout.readline()
        with pytest.raises(CannotCreate):
            public.fit(np.zeros((9, 8, 8), np.uint8), folder.path, steps=1, progress=False)
        assert not folder.data.exists()
        other.communicate(b"\n")


def test_what_a_command_would_say_is_a_warning(trained, tmp_path):
    """That a damaged checkpoint was passed over, by `load` and by `fit`."""
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "checkpoints" / "step-000000006" / "ema.safetensors").write_bytes(b"")
    with pytest.warns(public.RunWarning, match="passed over"):
        assert public.load(run).step == 3
    fields = {"preset": "digits", "batch_size": 8, "precision": "fp32", "settings": SMALL, "progress": False}
    with pytest.warns(public.RunWarning, match="passed over"):
        assert public.fit("digits", run, steps=6, **fields).step == 6


class Forgetful(nn.Module):
    """What it answers depends on whether it is in training."""

    def __init__(self):
        super().__init__()
        self.layer, self.frozen = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)

    def forward(self, x, timestep):
        return nn.functional.dropout(self.layer(x), 0.5, self.training)


def test_a_network_in_training_is_asked_in_evaluation_and_left_in_training():
    network = Forgetful().train()
    network.frozen.eval()
    p = public.ReverseProcess(network, public.cosine(T=20))
    some = public.images("digits")[:3]
    found = public.bound(p, some)
    assert found.total == public.bound(p, some).total
    assert torch.equal(public.sample(p, (2, 1, 8, 8)), public.sample(p, (2, 1, 8, 8)))
    assert network.training
    assert not network.frozen.training


def test_a_bound_is_that_of_the_decoder_that_p_has():
    """A process that was given none is read with that of the images' levels; a decoder of its own is not taken from it."""
    p = public.ReverseProcess(lambda x, t: torch.zeros_like(x), public.cosine(T=4))
    of_17, of_9 = (replace(p, decoder=public.discretised(levels)) for levels in (17, 9))
    some = public.images("digits")[:3]
    found = public.bound(p, some).total
    assert found == public.bound(of_17, some).total == public.bound(of_17, some.tensor).total
    with pytest.raises(Mismatch, match="the decoder of p is for 9 levels, and the images have 17") as refused:
        public.bound(of_9, some)
    assert refused.value.hints == ("p with decoder=ddpm.discretised(17) scores them",)
    assert public.bound(replace(of_9, decoder=public.discretised(17)), some).total == found
    density = public.bound(replace(p, decoder=public.log_density), some)
    assert torch.equal(density.by_t[2:], public.bound(p, some).by_t[2:])
    assert density.L_0 < public.bound(p, some).L_0  # its bins are not wide


def test_a_chain_holds_no_step_that_is_past(model):
    """Of a way of many steps only the last is needed: what is behind is let go."""
    held, most = weakref.WeakSet(), 0

    class Counting(public.Sampler):
        def step(self, p, here, noise):
            nonlocal most
            most = max(most, len(held))
            there = here.down(here.x + 0, here.x_0)
            held.add(there.x)
            return there

    p = model.process
    last_of(public.chain(p, torch.zeros(1, *model.shape), Counting()))
    assert most <= 3


@pytest.mark.parametrize("answer", [lambda here: here, lambda here: here.x], ids=["no step down", "a tensor"])
def test_a_sampler_that_leads_nowhere_is_noticed(model, answer):
    class Standing(public.Sampler):
        def step(self, p, here, noise):
            return answer(here)

    with pytest.raises(TypeError, match=r"Standing\.step must return the next step"):
        model.sample(1, sampler=Standing(), progress=False)


def test_hints_are_in_the_traceback(model):
    with pytest.raises(UsageError) as caught:
        model.sample(1, sampler="ddmi")
    assert "did you mean 'ddim'?" in "".join(traceback.format_exception(caught.value))


class Tiny(nn.Module):
    """A network that nobody here has seen: (x_t, timestep) -> output."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x, timestep):
        return self.layer(x)


@pytest.mark.parametrize(
    "data",
    [
        lambda x: x.tensor,
        lambda x: x,
        lambda _: "digits",
        lambda x: [x.tensor[:8], x.tensor[8:13]],
        lambda x: torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(x.tensor[:32]), 8, collate_fn=lambda rows: torch.stack([r[0] for r in rows])
        ),
        lambda x: x.pil() and x[:16],
    ],
    ids=["tensor", "Images", "source", "list", "DataLoader", "slice"],
)
def test_any_network_learns_from_any_batches(data):
    """The loss of a network that begins at random falls, and its average is another than itself."""
    digits = public.images("digits", "train")
    p = public.ReverseProcess(Tiny(), public.cosine(T=50))
    seen = list(public.train(p, data(digits), steps=30, batch_size=16, lr=3e-2, ema=0.9))
    assert [progress.step for progress in seen] == list(range(1, 31))
    assert sum(progress.loss for progress in seen[-5:]) < 0.7 * sum(progress.loss for progress in seen[:5])
    x, t = digits.tensor[:2], torch.tensor([3, 9])
    assert not torch.equal(seen[-1].average.estimate(x, t), p.estimate(x, t))


def test_training_by_hand_is_a_function_of_the_seed():
    digits = public.images("digits", "train").tensor[:40]

    def trained(seed, optimizer=None):
        torch.manual_seed(5)
        network = Tiny()
        p = public.ReverseProcess(network, public.cosine(T=50))
        given = optimizer(network.parameters()) if callable(optimizer) else optimizer
        return [
            progress.loss for progress in public.train(p, digits, steps=4, batch_size=16, seed=seed, optimizer=given)
        ]

    assert trained(1) == trained(1)
    assert trained(1) != trained(2)
    assert trained(1, "adam") == trained(1) != trained(1, "muon")
    assert trained(1, lambda w: torch.optim.SGD(w, lr=0.1)) != trained(1)


def test_labels_reach_a_network_of_ones_own():
    told = []

    class Labelled(Tiny):
        def forward(self, x, timestep, label):
            told.append(label.tolist())
            return self.layer(x)

    p = public.ReverseProcess(Labelled(), public.cosine(T=50))
    x = torch.zeros(4, 1, 8, 8)
    for _ in public.train(p, [(x, torch.tensor([0, 1, 2, -1]))], steps=1):
        pass
    assert told == [[0, 1, 2, -1]]


def test_labels_reach_a_network_for_classes_that_is_wrapped():
    """And are refused to one where the data have none."""
    shape = public.UNetShape(channels=8, multipliers=(1,), attention=(), blocks=1, groups=4, classes=10)
    told = []

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = public.UNet(shape, 1, 1)

        def forward(self, x, timestep, label):
            told.append(label)
            return self.inner(x, timestep, label)

    p, digits = public.ReverseProcess(Wrapped(), public.cosine(T=50)), public.images("digits")
    next(public.train(p, digits, steps=1, batch_size=4))
    assert set(told[0].tolist()) <= set(range(10))
    with pytest.raises(UsageError, match="the data have no labels"):
        public.train(p, digits.tensor, steps=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"steps": -1}, "steps"),
        ({"lr": -1}, "learning rate"),
        ({"seed": True}, "seed"),
    ],
)
def test_what_cannot_be_trained_with_is_refused(fields, words):
    p = public.ReverseProcess(Tiny(), public.cosine(T=50))
    with pytest.raises(UsageError, match=words):
        public.train(p, torch.zeros(4, 1, 8, 8), **{"steps": 1, **fields})


def test_batches_that_end_are_asked_for_again():
    p = public.ReverseProcess(Tiny(), public.cosine(T=50))
    seen = []
    with pytest.raises(UsageError, match="ended after 2 batches"):
        seen.extend(public.train(p, iter([torch.zeros(2, 1, 8, 8)] * 2), steps=3))
    assert len(list(public.train(p, [(torch.zeros(2, 1, 8, 8), None)], steps=3))) == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "no batch"),
        (torch.zeros(0, 1, 8, 8), "empty"),
        ([(torch.zeros(2, 1, 8, 8), torch.zeros(3))], "one label for each"),
        ([torch.zeros(2, 1, 8, 8, dtype=torch.uint8)], "float tensor"),
        ([torch.full((2, 1, 8, 8), 3.0)], r"in \[-1, 1\], got 3.0"),
        (torch.full((2, 1, 8, 8), torch.nan), "got nan"),
    ],
)
def test_batches_that_are_none_are_refused(data, words):
    p = public.ReverseProcess(Tiny(), public.cosine(T=50))
    with pytest.raises(UsageError, match=words):
        next(public.train(p, data, steps=1))
    with pytest.raises(UsageError, match="nothing to train"):
        public.train(public.ReverseProcess(lambda x, t: x, public.cosine(T=50)), data, steps=1)


def test_any_process_is_sampled_and_scored(model):
    """`ddpm.sample` and `ddpm.bound` on a model's own process are its own `sample` and `bits_per_dim`."""
    drawn = public.sample(model.process, (3, *model.shape), public.DDIM(), steps=4, seed=2)
    assert torch.equal(drawn, model.sample(3, sampler="ddim", steps=4, seed=2, progress=False).tensor)
    some = public.images("digits", "test")[:5]
    assert public.bound(model.process, some).total == model.bits_per_dim(some, progress=False).total
    assert public.bound(model.process, some.tensor, levels=17).total == public.bound(model.process, some).total


def test_points_are_sampled_too():
    p = public.ReverseProcess(lambda x, t: torch.zeros_like(x), public.linear(T=20, beta_T=0.5))
    assert public.sample(p, (70, 2), seed=1).shape == (70, 2)


def test_images_that_are_scaled_stay_on_their_levels():
    """Where the filter overshoots, as beside an edge."""
    large = public.images("digits", resolution=16)
    assert large.numpy().max() == 16
    assert float(large.tensor.abs().max()) == 1


def test_a_sample_is_edited_as_its_file_is(model, tmp_path):
    """Its tensor lies between the levels, its file on the nearest ones."""
    images = model.sample(1, progress=False)
    images.save(tmp_path)
    by_file = model.edit(tmp_path / "000000.png", 1, timestep=3, progress=False)
    for given in (images, images.tensor, images.tensor[0], images.numpy()[0]):
        assert torch.equal(model.edit(given, 1, timestep=3, progress=False).tensor, by_file.tensor)


def test_a_sampler_of_ones_own(model):
    class Halfway(public.Sampler):
        def step(self, p, here, noise):
            x_0 = p.estimate(here.x, here.t)
            return here.down((here.x + x_0) / 2, x_0)

    images = model.sample(2, sampler=Halfway(), progress=False)
    assert json.loads(images.texts[0])["sampler"].endswith("Halfway")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.estimate(torch.zeros(1, 3, 8, 8), 1), r"\(batch, 1, 8, 8\)"),
        (lambda m: m.estimate(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 1), "float tensor"),
        (lambda m: m.estimate(torch.zeros(1, 1, 8, 8), 0), r"1\.\.12"),
        (lambda m: m.score(torch.zeros(1, 1, 8, 8), torch.tensor([1.5])), "whole numbers"),
        (lambda m: m.bits_per_dim(torch.full((1, 1, 8, 8), 0.01)), "17 levels"),
        (lambda m: m.bits_per_dim(torch.full((1, 1, 8, 8), 2.0)), r"\[-1, 1\]"),
        (lambda m: m.sample(-1), "n must be a whole number"),
        (lambda m: m.sample(1, sampler="dim"), "unknown sampler"),
        (lambda m: m.sample(1, steps=13), r"1\.\.12"),
        (lambda m: m.sample(1, label="cat"), "no classes"),
        (lambda m: m.sample(1, sampler="ddim", variance="fixed-small"), "does not draw with a variance"),
        (lambda m: m.sample(True), "n must be a whole number"),
        (lambda m: m.sample(1, seed=-1), "seed must be a whole number"),
        (lambda m: m.sample(1, batch_size=0), "batch_size must be"),
        (lambda m: m.bits_per_dim("digits", num_images=0), "num_images must be"),
        (lambda m: m.bits_per_dim("digits", batch_size=0), "batch_size must be"),
        (lambda m: m.bits_per_dim("digits", label=-1), "no class -1"),
        (lambda m: public.bound(m.process, public.images("digits")[:0]), "no images"),
        (lambda m: public.sample(m.process, (-4, 1, 8, 8)), "a size must be"),
        (lambda m: m.estimate(torch.zeros(1, 1, 8, 8), 1, label=3), "no class"),
    ],
)
def test_arguments_are_checked_at_the_door(model, call, words):
    with pytest.raises(UsageError, match=words):
        call(model)


WRONG_TYPES = """
import sys, numpy, torch, ddpm
m = ddpm.load(sys.argv[1])
class Mute(torch.nn.Linear):
    def forward(self, x, t):
        pass
net, cosine, mute = m.network, ddpm.cosine(T=9), ddpm.ReverseProcess(Mute(1, 1), ddpm.cosine(T=9))
p, image = m.process, numpy.zeros((8, 8, 1), numpy.uint8)
calls = [
    (lambda: m.sample(1, sampler=ddpm.DDIM), "made like ddpm.DDIM"),
    (lambda: m.sample(1.5), "n must be"),
    (lambda: m.sample(1, seed=1.5), "seed must be"),
    (lambda: m.sample(1, steps="many"), "steps must be"),
    (lambda: m.sample(1, first=None), "first must be"),
    (lambda: m.encode("digits", timestep=1.5), "timestep must be"),
    (lambda: m.edit(image, timestep="far"), "timestep must be"),
    (lambda: m.super_resolve(image, factor=2.0), "factor must be"),
    (lambda: ddpm.images("digits")[:1].paste(None), "no images: NoneType"),
    (lambda: m.inpaint(image, image[..., 0], jump=1.5), "jump must be"),
    (lambda: m.interpolate(image, image, timestep=3, num=2.5), "num must be"),
    (lambda: m.bits_per_dim("digits", num_images="all"), "num_images must be"),
    (lambda: ddpm.bound(p, "digits", seed="now"), "seed must be"),
    (lambda: ddpm.sample(p, (1.5, 1, 8, 8)), "a size must be"),
    (lambda: ddpm.fit("digits", sys.argv[1] + "-no", steps=1, schedule=ddpm.cosine(T=100)), "schedule is a name"),
    (lambda: ddpm.train(p, "digits", steps=1.5), "steps must be"),
    (lambda: next(ddpm.train(p, [[5]], steps=1)), "a batch is a float tensor"),
    (lambda: ddpm.train(p, "digits", steps=0), "steps must be"),
    (lambda: ddpm.train(p, None, steps=1), "nothing to train on: NoneType"),
    (lambda: ddpm.train(p, "digits", steps=1, lr="much"), "learning rate must be a number"),
    (lambda: ddpm.train(p, "digits", steps=1, ema="slow"), "decay of the moving average"),
    (lambda: ddpm.train(p, "digits", steps=1, objective=5), "an objective is a name, or a function"),
    (lambda: ddpm.train(p, "digits", steps=1, optimizer=torch.optim.Adam), "adam, muon or one of torch.optim, not <class"),
    (lambda: ddpm.train(p, "digits", steps=1, optimizer="adamw"), "unknown optimizer: 'adamw'"),
    (lambda: ddpm.train(net, "digits", steps=1), "p is a ddpm.ReverseProcess, not UNet"),
    (lambda: ddpm.bound(net, "digits"), "p is a ddpm.ReverseProcess, not UNet"),
    (lambda: ddpm.sample(net, (1, 1, 8, 8)), "p is a ddpm.ReverseProcess, not UNet"),
    (lambda: next(ddpm.train(p, torch.zeros(4, 3, 8, 8), steps=1)), "(batch, 1, height, width), got the shape"),
    (lambda: ddpm.sample(p, (1, 3, 8, 8)), "(batch, 1, height, width), got the shape"),
    (lambda: ddpm.sample(p, 5), "the shape is that of the result"),
    (lambda: ddpm.sample(p, (3,)), "the shape is that of the result"),
    (lambda: ddpm.sample(p, (1, 1, 8, 8), steps=0), "steps must be"),
    (lambda: ddpm.sample(p, (1, 1, 8, 8), spacing=None), "spacing is a name, not NoneType"),
    (lambda: ddpm.sample(p, (1, 1, 8, 8), device=3), "no device '3'"),
    (lambda: ddpm.sample(mute, (1, 1, 8, 8)), "needs an output of shape"),
    (lambda: next(ddpm.train(mute, torch.zeros(4, 1, 8, 8), steps=1)), "needs an output of shape"),
    (lambda: ddpm.ReverseProcess(net, cosine, "v"), "is a Prediction, such as"),
    (lambda: ddpm.ReverseProcess(net, cosine, ddpm.Epsilon), "is a Prediction, such as"),
    (lambda: ddpm.ReverseProcess(net, cosine, variance="learned"), "is a Variance, such as"),
    (lambda: ddpm.ReverseProcess(net, "cosine"), "is a Schedule, such as"),
    (lambda: ddpm.ReverseProcess(None, cosine), "the network of a process is a function, not None"),
    (lambda: ddpm.ReverseProcess(net, cosine, limit="unlimited"), "the limit of a process is a function"),
    *((lambda make=make: make(T=1.5), "T must be a whole number") for make in ddpm.SCHEDULES.values()),
    (lambda: ddpm.linear(T="1000"), "T must be a whole number"),
    (lambda: ddpm.load(3), "a model is named by its folder, not by int"),
    (lambda: ddpm.load(None), "a model is named by its folder, not by NoneType"),
    (lambda: ddpm.model(p, 28), "the shape of an image is (channels, height, width), not 28"),
    (lambda: ddpm.from_denoiser(Mute(1, 1), "cosine"), "the schedule is a ddpm.Schedule"),
    (lambda: ddpm.from_denoiser(3, cosine), "a denoiser is a function (x, sigma), and labels third, not int"),
    (lambda: ddpm.from_denoiser(lambda x: x, cosine), "a denoiser is called with (x, sigma)"),
    (lambda: ddpm.ReverseProcess(lambda x: x, cosine), "a network is called with (x_t, timestep), and labels third"),
    (lambda: ddpm.model(ddpm.ReverseProcess(Mute(1, 1), cosine), (1, 8, 8), classes=3), "is called with (x_t, timestep, label)"),
    (lambda: ddpm.model(ddpm.ReverseProcess(lambda x, t, y: x, cosine), (1, 8, 8)), "is called with (x_t, timestep), as classes=0"),
]
for number, (call, words) in enumerate(calls):
    try:
        call()
    except ddpm.UsageError as error:
        assert words in str(error), (number, error)
    else:
        raise AssertionError(number)
m.sample(numpy.int64(1), seed=torch.tensor(3), progress=False)
[progress] = ddpm.train(p, [[torch.zeros(2, 1, 8, 8)]], steps=1)
print(len(calls))
"""


def test_wrong_types_are_refused_in_a_sentence(trained):
    """In a process of its own: here the annotations are checked before the library is reached."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRONG_TYPES, str(trained)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "59\n"), done.stderr


WARNED = """
import sys, ddpm
model = ddpm.fit("digits", sys.argv[1], steps=1, schedule="linear", settings=eval(sys.argv[2]), progress=False)
schedule = ddpm.linear(T=10)
"""


def test_a_warning_is_shown_once_at_the_line_of_the_caller(tmp_path):
    """As Python shows it by itself: no line of the library."""
    program = tmp_path / "program.py"
    program.write_text(WARNED)
    call = [sys.executable, program, tmp_path / "run", str(SMALL)]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    places = [line.split(": ")[0] for line in done.stderr.splitlines() if "SignalRemains" in line]
    assert places == [f"{program}:{line}" for line in (3, 4)], done.stderr


def test_the_wrong_size_is_a_mismatch(model):
    """Of arrays and tensors; pictures are scaled, which is said."""
    for data in (np.zeros((2, 9, 9), np.uint8), torch.zeros(2, 3, 8, 8)):
        with pytest.raises(Mismatch):
            model.bits_per_dim(data)
    with pytest.raises(Mismatch, match="9, 9"):
        model.edit(np.zeros((9, 9), np.uint8), timestep=3)
    with pytest.warns(public.RunWarning, match="9x9.*scaled"):
        model.edit(Image.new("L", (9, 9)), 1, timestep=3, steps=2, progress=False)


def test_images_are_a_value(tmp_path):
    digits = public.images("digits")
    assert len(digits) == 1797
    assert digits.numpy().max() == 16
    some = digits[3:7]
    assert torch.equal(some.tensor, digits.tensor[3:7])
    assert torch.equal(some[1].tensor, digits.tensor[4:5])
    assert some[[0, 2]].labels.tolist() == digits.labels[[3, 5]].tolist()
    assert [picture.size for picture in some.pil()] == [(8, 8)] * 4
    assert some._repr_png_().startswith(b"\x89PNG")
    some.grid(tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size == some.grid().size
    some.save(tmp_path / "folder")
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [f"00000{i}.png" for i in range(3, 7)]
    with pytest.raises(CannotCreate, match=r"000003\.png"):
        some.save(tmp_path / "folder")


@pytest.mark.parametrize("kind", ["array", "NCHW", "tensor", "pictures", "paths", "Images"])
def test_data_are_taken_in_every_shape(kind, tmp_path):
    """The same four images of 256 levels, however they are given."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 6, 3), dtype=np.uint8)
    original = public.images(pixels)
    original.save(tmp_path / "folder")
    given = {
        "array": pixels,
        "NCHW": pixels.transpose(0, 3, 1, 2),
        "tensor": original.tensor,
        "pictures": [Image.fromarray(one) for one in pixels],
        "paths": tmp_path / "folder",
        "Images": original,
    }[kind]
    found = public.images(given)
    assert torch.equal(found.tensor, original.tensor)
    assert np.array_equal(found.numpy(), pixels)
    assert found.levels == 256


def test_latents_lead_back_to_their_images(model):
    """DDIM up and down again, on a network that has hardly learned: near, and nearer than another image."""
    some = public.images("digits", "test")[:3]
    latents = model.encode(some, progress=False)
    assert latents.shape == (3, 1, 8, 8)
    process = model.process
    from ddpm.sampling.chain import run, start

    *_, last = run(process, start(process, latents, process.schedule.T), public.DDIM())
    error = (last.x - some.tensor).flatten(1).norm(dim=1)
    assert bool((error < 0.5 * (some.tensor.roll(1, 0) - some.tensor).flatten(1).norm(dim=1)).all())
