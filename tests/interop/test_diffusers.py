"""diffusers -> ours -> diffusers: the same outputs from networks that their code made, whatever their configuration."""

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import ddpm as face
from ddpm import interop
from ddpm.interop import diffusers as format_of_diffusers

if os.environ.get("DDPM_CI"):
    import diffusers as theirs
else:
    theirs = pytest.importorskip("diffusers", reason="the package diffusers is what is compared with")

PAPER = {  # google/ddpm-cifar10-32
    "sample_size": 32,
    "block_out_channels": (128, 256, 256, 256),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
SMALL = {
    **PAPER,
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "layers_per_block": 1,
}
THEIR_DEFAULTS = {
    "downsample_padding": 1,
    "attention_head_dim": 8,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "norm_eps": 1e-5,
}
"""What diffusers' own training script leaves as it is: the same keys and shapes as the paper's network, other outputs."""
SCRIPT = {  # examples/unconditional_image_generation/train_unconditional.py, of smaller widths
    "sample_size": 64,
    "block_out_channels": (32, 32, 64, 64, 96, 96),
    "down_block_types": (*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
}


def made(folder, config, scheduler=None, *, safe=True):
    """A network by their code with random weights, none of them 0, saved by their code; and an input."""
    torch.manual_seed(0)
    network = theirs.UNet2DModel(**config).eval()
    with torch.no_grad():
        for weight in network.parameters():  # also what begins at 0 or 1, so that no two could be exchanged
            weight.add_(0.2 * torch.randn_like(weight) if weight.ndim == 1 else 0)
    network.save_pretrained(folder / "unet", safe_serialization=safe)
    (scheduler or theirs.DDPMScheduler()).save_pretrained(folder / "scheduler")
    return network


def outputs(network, like, *, ours, labels=None):
    """At three times, as their code is asked, or ours."""
    torch.manual_seed(1)
    side = like.sample_size if isinstance(like.sample_size, int) else like.sample_size[0]
    x, t = 1.7 * torch.randn(3, like.in_channels, side, side), torch.tensor([0, 250, 999])
    with torch.no_grad():
        if ours:
            return network(x, t, *(() if labels is None else (labels,)))
        return network(x, t, class_labels=labels).sample


def ours_of(foreign):
    """Our network with what was read."""
    network = foreign.experiment.network()
    network.load_state_dict(dict(foreign.ema))
    return network.eval()


def apart(found, expected):
    """The norm of the difference, relative to what is expected."""
    return float((found - expected).norm() / expected.norm())


def both_ways(folder, config, labels=None):
    """Their network, ours with its weights, and theirs again with what ours wrote: all give the same."""
    network = made(folder / "there", config)
    expected = outputs(network, network.config, ours=False, labels=labels)
    foreign = interop.read(folder / "there")
    ours = ours_of(foreign)
    assert apart(outputs(ours, network.config, ours=True, labels=labels), expected) < 1e-6
    (folder / "back").mkdir()
    format_of_diffusers.write(foreign.experiment, foreign.ema, folder / "back")
    again = theirs.UNet2DModel.from_pretrained(folder / "back" / "unet", low_cpu_mem_usage=False).eval()
    assert apart(outputs(again, network.config, ours=False, labels=labels), expected) < 1e-6
    assert foreign.experiment.size()[1] == sum(weight.numel() for weight in network.parameters())
    return foreign


def test_the_papers_configuration(tmp_path):
    foreign = both_ways(tmp_path, PAPER)
    assert foreign.experiment.size() == (328, 35_746_307)


@pytest.mark.parametrize("key", THEIR_DEFAULTS)
def test_each_of_their_defaults_alone(tmp_path, key):
    """Also: read as the paper's, it would give other numbers."""
    foreign = both_ways(tmp_path, {**SMALL, key: THEIR_DEFAULTS[key]})
    network = theirs.UNet2DModel.from_pretrained(tmp_path / "there" / "unet", low_cpu_mem_usage=False).eval()
    network.register_to_config(**{key: SMALL[key]})
    as_the_papers = theirs.UNet2DModel(**{**SMALL, key: SMALL[key]}).eval()
    as_the_papers.load_state_dict(network.state_dict())
    found = outputs(ours_of(foreign), as_the_papers.config, ours=True)
    assert apart(found, outputs(as_the_papers, as_the_papers.config, ours=False)) > 2e-6


def test_all_of_their_defaults_together(tmp_path):
    both_ways(tmp_path, {**SMALL, **THEIR_DEFAULTS})


def test_a_network_of_their_training_script(tmp_path):
    both_ways(tmp_path, SCRIPT)


def test_classes(tmp_path):
    """Theirs are as many here; ours are one more there, which is no class, and come back."""
    labels = torch.tensor([0, 3, 1])
    foreign = both_ways(tmp_path, {**SMALL, "num_class_embeds": 4}, labels)
    assert foreign.experiment.model.classes == 4
    again = interop.read(tmp_path / "back")
    assert again.experiment == foreign.experiment
    assert all(torch.equal(again.ema[name], foreign.ema[name]) for name in foreign.ema)
    there = theirs.UNet2DModel.from_pretrained(tmp_path / "back" / "unet", low_cpu_mem_usage=False).eval()
    assert there.config.num_class_embeds == 5
    nothing = outputs(there, there.config, ours=False, labels=torch.full((3,), 4))
    torch.testing.assert_close(outputs(ours_of(foreign), there.config, ours=True, labels=torch.full((3,), -1)), nothing)


WIDTHS = st.lists(st.sampled_from([16, 24, 32, 40]), min_size=1, max_size=3)


@st.composite
def configurations(draw):
    """Of all that we say we can express."""
    widths = tuple(draw(WIDTHS))
    resnet = draw(st.booleans())
    attends = [draw(st.booleans()) for _ in widths]
    attends_up = attends if draw(st.booleans()) else [draw(st.booleans()) for _ in widths]
    down, up = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if resnet else ("DownBlock2D", "UpBlock2D")
    return {
        "sample_size": draw(st.sampled_from([8, 12])),
        "in_channels": (channels := draw(st.sampled_from([1, 3]))),
        "out_channels": channels,
        "block_out_channels": widths,
        "down_block_types": tuple("AttnDownBlock2D" if attend else down for attend in attends),
        "up_block_types": tuple("AttnUpBlock2D" if attend else up for attend in reversed(attends_up)),
        "downsample_type": "resnet" if resnet else "conv",
        "upsample_type": "resnet" if resnet else "conv",
        "layers_per_block": draw(st.integers(1, 2)),
        "downsample_padding": draw(st.sampled_from([0, 1])),
        "attention_head_dim": draw(st.sampled_from([None, 4, 8])),
        "norm_num_groups": draw(st.sampled_from([1, 4, 8])),
        "norm_eps": draw(st.sampled_from([1e-6, 1e-5, 1e-3])),
        "flip_sin_to_cos": draw(st.booleans()),
        "freq_shift": draw(st.sampled_from([0, 1])),
        "resnet_time_scale_shift": draw(st.sampled_from(["default", "scale_shift"])),
        "add_attention": draw(st.booleans()),
        "mid_block_type": draw(st.sampled_from(["UNetMidBlock2D", None])),
        "time_embedding_dim": draw(st.sampled_from([None, 24])),
    }


@settings(
    max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
@given(configurations())
def test_any_configuration(tmp_path_factory, config):
    both_ways(tmp_path_factory.mktemp("any"), config)


def test_a_folder_that_an_older_version_wrote(shared_data):
    """To its own output."""
    foreign = interop.read(shared_data / "checkpoints" / "diffusers-tiny-ddpm")
    kept = np.load(shared_data / "checkpoints" / "diffusers-tiny-ddpm" / "expected.npz")
    network = ours_of(foreign)
    with torch.no_grad():
        found = [network(torch.tensor(kept["x"]), torch.full((2,), int(t))) for t in kept["t"]]
    torch.testing.assert_close(torch.stack(found), torch.tensor(kept["out"]), atol=1e-5, rtol=0)
    assert foreign.experiment.process.variance == "fixed-large"


def test_a_run_of_ours_is_a_pipeline_of_theirs(ddpm, trained, tmp_path):
    """It draws the same images from the same noise; read again it is the same model."""
    said = ddpm("export", trained, tmp_path / "theirs")
    assert said.code == 0, said.err
    assert "17 levels" in said.err
    pipeline = theirs.DDPMPipeline.from_pretrained(tmp_path / "theirs", low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    random = torch.Generator().manual_seed(0)
    found = pipeline(batch_size=3, generator=random, num_inference_steps=12, output_type="np").images
    p, random = face.load(trained, device="cpu").process, torch.Generator().manual_seed(0)
    with torch.no_grad():
        *_, last = face.chain(p, torch.randn(3, 1, 8, 8, generator=random), face.Ancestral(), random)
    expected = (last.x.clamp(-1, 1) / 2 + 0.5).movedim(1, -1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    again = interop.read(tmp_path / "theirs")
    weights = dict(p.network.named_parameters())
    assert all(torch.equal(again.ema[name], weight) for name, weight in weights.items())
    assert again.experiment.model == face.load(trained).experiment.model


def test_three_commands(ddpm, tmp_path):
    """From a folder of diffusers to bits/dim and images; and without the first one, the same numbers."""
    made(tmp_path / "theirs", {**SMALL, "in_channels": 1, "out_channels": 1}, theirs.DDPMScheduler(20, beta_end=0.3))
    said = ddpm("import", tmp_path / "theirs", tmp_path / "run", "--json", tmp_path / "found.json")
    assert said.code == 0, said.err
    assert "each matched by name and shape" in said.out
    assert json.loads((tmp_path / "found.json").read_text())["format"] == "diffusers"
    pictures = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", images=pictures)
    numbers = []
    for run in (tmp_path / "run", tmp_path / "theirs"):
        said = ddpm("evaluate", run, "--data", tmp_path / "pictures.npz", "--split", "all", "--json", "-")
        assert said.code == 0, said.err
        numbers.append(json.loads(said.out)["bits_per_dim"])
        assert ddpm("sample", run, "--num", 2, "--output-dir", tmp_path / f"images-{run.name}").code == 0
    assert numbers[0] == numbers[1]
    files = [(tmp_path / f"images-{name}" / "000000.png").read_bytes() for name in ("run", "theirs")]
    assert files[0] == files[1]
    model = face.load(tmp_path / "theirs")
    assert model.sample(2, progress=False).tensor.shape == (2, 1, 8, 8)


def test_a_new_run_begins_with_it(ddpm, tmp_path):
    """`--init-from` takes the folder itself."""
    made(tmp_path / "theirs", {**SMALL, "in_channels": 1, "out_channels": 1}, theirs.DDPMScheduler(20, beta_end=0.3))
    np.savez(tmp_path / "pictures.npz", images=np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    flags = ["--data", tmp_path / "pictures.npz", "--steps", 1, "--batch-size", 4, "--set", "rhythm.evaluate=0"]
    said = ddpm("train", "--output-dir", tmp_path / "run", "--init-from", tmp_path / "theirs", *flags)
    assert said.code == 0, said.err
    assert "begins with the weights 'ema' of step 0" in said.err + said.out
    first = interop.read(tmp_path / "theirs").raw
    now = dict(face.load(tmp_path / "run", "raw").network.named_parameters())
    assert all(float((now[name].detach() - weight).abs().max()) < 0.01 for name, weight in first.items())
