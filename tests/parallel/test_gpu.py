"""On a GPU: the same numbers as on a CPU, runs that go on to the bit, and every command. Skipped where there is none.

`python -m pytest tests/parallel/test_gpu.py` on a machine with one.
"""

import json
import shutil

import pytest
import torch

import ddpm as face
from ddpm.sampling import SAMPLERS
from tests.harness.commands import TINY

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
TENSORS = ("model", "ema", "optimizer")
CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(scope="module")
def on_gpu(tmp_path_factory, without_reports):
    """A run of six steps on the GPU, and what it can be measured at: `curve` is kept with it."""
    from ddpm.cli import main

    folder = tmp_path_factory.mktemp("gpu") / "run"
    assert main(["train", "--output-dir", str(folder), *TINY, "--device", "cuda", "--curve"]) == 0
    return folder


@pytest.fixture(scope="module")
def pair(on_gpu):
    """The same weights on both."""
    return face.load(on_gpu, device="cuda"), face.load(on_gpu, device="cpu")


def files_of(run, step):
    """The bytes of what a checkpoint holds."""
    folder = run / "checkpoints" / f"step-{step:09}"
    return {name: (folder / f"{name}.safetensors").read_bytes() for name in TENSORS}


def test_auto_is_the_gpu(on_gpu):
    """And what was trained there opens there."""
    assert face.load(on_gpu).device == CUDA


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_agree_with_the_cpu(pair, sampler):
    """Noise of image i is drawn on the CPU: the chains differ by rounding alone."""
    gpu, cpu = (model.sample(5, sampler=sampler, seed=3, progress=False).tensor for model in pair)
    torch.testing.assert_close(gpu, cpu, atol=2e-3, rtol=0)


@pytest.mark.parametrize("how", [{"steps": 4}, {"steps": 4, "spacing": "optimal", "variance": "optimal"}])
def test_few_steps_agree_with_the_cpu(pair, how):
    gpu, cpu = (model.sample(3, progress=False, **how).tensor for model in pair)
    torch.testing.assert_close(gpu, cpu, atol=2e-3, rtol=0)


def test_image_i_in_any_batch(pair):
    """To the levels of a pixel: cuDNN may choose another algorithm for another batch."""
    model, _ = pair
    whole = model.sample(20, seed=1, batch_size=20, progress=False)
    parts = model.sample(20, seed=1, batch_size=7, progress=False)
    one = model.sample(1, seed=1, first=4, progress=False)
    torch.testing.assert_close(whole.tensor, parts.tensor, atol=1e-4, rtol=0)
    torch.testing.assert_close(whole.tensor[4:5], one.tensor, atol=1e-4, rtol=0)


def test_the_bound_agrees_with_the_cpu(pair):
    """float32 without TF32 in convolutions and products: six digits, not three."""
    data = face.images("digits", "test")[:20]
    gpu, cpu = (model.bits_per_dim(data, progress=False) for model in pair)
    assert gpu.total == pytest.approx(cpu.total, rel=2e-5)
    assert pytest.approx(cpu.L_0, rel=2e-5) == gpu.L_0
    assert pytest.approx(cpu.L_T, rel=1e-6) == gpu.L_T


def test_estimates_scores_and_latents(pair):
    x_t, data = torch.randn(4, 1, 8, 8), face.images("digits", "test")[:4]
    for ask in (
        lambda model: model.estimate(x_t.to(model.device), 7),
        lambda model: model.score(x_t.to(model.device), 7),
        lambda model: model.encode(data, progress=False),
    ):
        gpu, cpu = (ask(model) for model in pair)
        torch.testing.assert_close(gpu.cpu(), cpu, atol=2e-3, rtol=1e-3)


def test_images_that_are_given(pair):
    """Inpainting, editing, colour and sizes on the GPU: known pixels stay."""
    model, _ = pair
    image, hole = face.images("digits", "test")[:1], torch.zeros(8, 8, dtype=torch.bool)
    hole[2:5, 2:5] = True
    filled = model.inpaint(image, hole, n=3, progress=False).tensor
    torch.testing.assert_close(filled[..., ~hole], image.tensor.expand(3, -1, -1, -1)[..., ~hole])
    assert len(model.edit(image, 2, timestep=6, progress=False)) == 2
    assert len(model.super_resolve(image.tensor[..., ::2, ::2], 2, factor=2, progress=False)) == 2


@pytest.mark.parametrize("more", [[], ["--precision", "bf16"], ["--precision", "fp16"]], ids=["fp32", "bf16", "fp16"])
def test_a_run_goes_on_to_the_bit(ddpm, tmp_path, more):
    """Six steps, and three and three, have the same checkpoint."""
    flags = [*TINY, "--device", "cuda", "--set", "rhythm.evaluate=0", "--set", "rhythm.sample=0", *more]
    flags += ["--set", "training.decay=constant"]
    assert ddpm("train", "--output-dir", tmp_path / "whole", *flags).code == 0
    half = [*flags, "--steps", "3"]
    assert ddpm("train", "--output-dir", tmp_path / "half", *half).code == 0
    assert ddpm("train", "--output-dir", tmp_path / "half", "--steps", "6", "--device", "cuda").code == 0
    assert files_of(tmp_path / "whole", 6) == files_of(tmp_path / "half", 6)


def test_a_run_of_the_gpu_goes_on_on_the_cpu(ddpm, on_gpu, tmp_path):
    run = shutil.copytree(on_gpu, tmp_path / "run")
    said = ddpm("train", "--output-dir", run, "--steps", "8", "--device", "cpu")
    assert said.code == 0, said.err
    assert face.load(run, device="cuda").step == 8


def test_the_first_loss_is_that_of_the_cpu(ddpm, tmp_path):
    """Weights and images of step 1 are the same everywhere; times and noise are drawn where they are needed."""
    losses = []
    for device in ("cuda", "cpu"):
        said = ddpm("train", "--output-dir", tmp_path / device, *TINY, "--device", device, "--set", "rhythm.log=1")
        assert said.code == 0, said.err
        rows = [json.loads(line) for line in (tmp_path / device / "metrics.jsonl").read_text().splitlines()]
        losses.append(next(row["loss"] for row in rows if "loss" in row))
    assert losses[0] == pytest.approx(losses[1], rel=0.5)


def test_compiled_training(ddpm, tmp_path):
    said = ddpm("train", "--output-dir", tmp_path / "run", *TINY, "--device", "cuda", "--set", "compile=true")
    assert said.code == 0, said.err
    assert face.load(tmp_path / "run").sample(2, progress=False).tensor.isfinite().all()


def test_every_command(ddpm, on_gpu, tmp_path):
    """As a user has it: no flag names the device, the GPU is taken."""
    image = tmp_path / "images" / "000000.png"
    for asked in (
        ["sample", on_gpu, "--output-dir", image.parent, "--num", 3],
        ["evaluate", on_gpu, "--data", "digits", "--num-images", 16],
        ["evaluate", on_gpu, "--data", "digits", "--num-images", 16, "--batch-size", 5],
        ["edit", on_gpu, image, "--timestep", 6, "--output-dir", tmp_path / "edited"],
        [
            "interpolate",
            on_gpu,
            image,
            image.with_name("000001.png"),
            "--timestep",
            6,
            "--output-dir",
            tmp_path / "between",
        ],
        ["compare", on_gpu, on_gpu, "--data", "digits", "--num-images", 8],
        ["verify", on_gpu],
        ["schedule", on_gpu],
    ):
        said = ddpm(*asked)
        assert said.code == 0, (asked, said.err)


def test_training_by_hand(pair):
    """`ddpm.train` and `ddpm.sample` go where the network is; the data may lie anywhere."""
    shape = face.UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4)
    p = face.ReverseProcess(face.UNet(shape, 1, 1).to(CUDA), face.linear(T=20, beta_T=0.5))
    data = face.images("digits", "train").tensor
    before = [weight.detach().clone() for weight in p.network.parameters()]
    last = list(face.train(p, data, steps=4, batch_size=16))[-1]
    assert last.step == 4
    assert any(not torch.equal(a, b) for a, b in zip(before, p.network.parameters(), strict=True))
    assert face.sample(p, (3, 1, 8, 8), seed=0).device == CPU
    found = face.bound(p, face.images("digits")[:8])
    assert found.total > found.L_0
