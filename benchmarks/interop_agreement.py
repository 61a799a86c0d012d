"""Networks that others' own code made, with random weights, read by ours: how far the outputs are apart.

`python -m benchmarks.interop_agreement FOLDER`: FOLDER holds checkouts of ermongroup/ddim, openai/improved-diffusion and
openai/guided-diffusion under their names (`ddim`, `improved-diffusion`, `guided-diffusion`), and in `lucidrains` a folder for each
version, made by `pip install --no-deps --target FOLDER/lucidrains/2.3.4 denoising-diffusion-pytorch==2.3.4`, and one called `needs`
with einops, ema-pytorch and accelerate. Nothing of them is here. The numbers are norms of the difference, relative to their
output's, float32, at three times.
"""

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.machine import save
from ddpm.interop import Told, read

PORT = {
    "cifar10, a quarter of the width": {"ch": 32, "ch_mult": [1, 2, 2, 2], "attn_resolutions": [16], "image_size": 32},
    "three levels, two that attend": {"ch": 32, "ch_mult": [1, 1, 2], "attn_resolutions": [16, 8], "image_size": 32},
}
OPENAI = {
    "improved-diffusion, its default": "--image_size 64 --num_channels 32 --num_res_blocks 1",
    "improved-diffusion, cifar10's flags": "--image_size 32 --num_channels 32 --num_res_blocks 3 --learn_sigma True "
    "--dropout 0.3 --diffusion_steps 4000 --noise_schedule cosine",
    "improved-diffusion, added and with classes": "--image_size 64 --num_channels 32 --num_res_blocks 1 --class_cond True "
    "--use_scale_shift_norm False --num_heads 1",
    "guided-diffusion, 64x64's flags": "--image_size 64 --num_channels 64 --num_head_channels 32 --num_res_blocks 1 "
    "--attention_resolutions 32,16,8 --class_cond True --learn_sigma True --resblock_updown True "
    "--use_new_attention_order True --use_scale_shift_norm True --noise_schedule cosine",
    "guided-diffusion, the legacy order": "--image_size 64 --num_channels 64 --num_head_channels 32 --num_res_blocks 1 "
    "--attention_resolutions 16,8 --learn_sigma True --resblock_updown True",
    "guided-diffusion, 512's widths": "--image_size 64 --num_channels 64 --channel_mult 1,2 --num_heads 4 --num_res_blocks 1 "
    "--attention_resolutions 64",
}
LUCIDRAINS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the default, a quarter of the width": ({"dim": 16}, {}),
    "grey, two levels that attend otherwise, eps, linear": (
        {
            "dim": 16,
            "dim_mults": (1, 2),
            "full_attn": (True, False),
            "attn_heads": (2, 3),
            "attn_dim_head": (8, 16),
            "channels": 1,
        },
        {"objective": "pred_noise", "beta_schedule": "linear"},
    ),
    "three levels, x_0, cosine, min-SNR, flash": (
        {"dim": 24, "dim_mults": (1, 2, 4), "flash_attn": True},
        {"objective": "pred_x0", "beta_schedule": "cosine", "min_snr_loss_weight": True},
    ),
    "one level, v, min-SNR": ({"dim": 16, "dim_mults": (1,)}, {"timesteps": 100, "min_snr_loss_weight": True}),
    "a learned variance": ({"dim": 16, "dim_mults": (1, 2), "learned_variance": True}, {"objective": "pred_noise"}),
}
"""Arguments of its Unet, and of its GaussianDiffusion."""


def filled(network: nn.Module) -> nn.Module:
    """With random weights where theirs begin at 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight) * (0.1 if weight.ndim == 1 else 0.02))
    return network.eval()


def apart(network: nn.Module, held: Mapping[str, Any] | list[Any], told: Told, call: Callable[..., Tensor]) -> float:
    """Ours against `call`, which asks theirs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.pt"
        torch.save(held, file)
        foreign = read(file, told)
    ours = foreign.experiment.network()
    ours.load_state_dict(dict(foreign.ema))
    ours.eval()
    channels, side, _ = foreign.experiment.shape
    schedule = foreign.experiment.schedule.build(256)
    x, t = torch.randn(3, channels, side, side), torch.tensor([1, schedule.T // 2, schedule.T])
    labels = [torch.tensor([0, 3, 7])] if foreign.experiment.model.classes else []
    with torch.no_grad():
        found = ours(x, schedule.timestep_map[t].float(), *labels)
        expected = call(x, t - 1, *labels)
    return float((found - expected).norm() / expected.norm())


def of_the_port(folder: Path) -> dict[str, float]:
    """Of ermongroup/ddim's model; saved as its training saves it, with the average apart."""
    sys.path.insert(0, str(folder / "ddim"))
    made = importlib.import_module("models.diffusion").Model
    found = {}
    for name, numbers in PORT.items():
        model = SimpleNamespace(
            **{key: value for key, value in numbers.items() if key != "image_size"},
            out_ch=3,
            in_channels=3,
            num_res_blocks=2,
            dropout=0.1,
            resamp_with_conv=True,
            type="simple",
        )
        side = numbers["image_size"]
        config = SimpleNamespace(
            model=model, data=SimpleNamespace(image_size=side), diffusion=SimpleNamespace(num_diffusion_timesteps=1000)
        )
        network = filled(made(config))
        average = {f"module.{key}": value for key, value in network.state_dict().items()}
        other = {key: torch.zeros_like(value) for key, value in average.items()}
        found[name] = apart(network, [other, {"step": 1}, 1, 2, average], Told(resolution=(side,)), network)
    return found


def of_openai(folder: Path) -> dict[str, float]:
    """Of OpenAI's two, called through their own rescaling of timesteps."""
    found = {}
    for name, flags in OPENAI.items():
        repository = name.split(",")[0]
        package = repository.replace("-", "_")
        sys.path.insert(0, str(folder / repository))
        script = importlib.import_module(f"{package}.script_util")
        words = flags.replace("--", "").split()
        given = dict(zip(words[::2], words[1::2], strict=True))
        options = script.model_and_diffusion_defaults()
        for key, value in given.items():
            kind = type(options.get(key, ""))
            options[key] = value == "True" if kind is bool else kind(value)
        network, diffusion = made(script, options)
        wrapped = diffusion._wrap_model(filled(network))
        call = _called(wrapped)
        found[name] = apart(network, network.state_dict(), Told(flags=flags), call)
    return found


def made(script: Any, options: dict[str, Any]) -> tuple[nn.Module, Any]:
    """As their scripts do."""
    return script.create_model_and_diffusion(**options)


def of_lucidrains(folder: Path) -> dict[str, dict[str, float]]:
    """Of every version that is there, each in a process of its own."""
    found = {}
    for version in sorted(one.name for one in (folder / "lucidrains").iterdir() if one.name != "needs"):
        command = [sys.executable, "-m", "benchmarks.interop_agreement", str(folder), version]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[version] = json.loads(said.splitlines()[-1])
    return found


def of_version(folder: Path, version: str) -> dict[str, float]:
    """A file as its Trainer saves it, and what the network of its average gives."""
    sys.path[:0] = [str(folder / "lucidrains" / version), str(folder / "lucidrains" / "needs")]
    for name in (
        "torchvision",
        "torchvision.transforms",
        "torchvision.utils",
    ):  # for its data and sheets of images alone
        sys.modules[name] = ModuleType(name)
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    sys.modules["torchvision"].utils = sys.modules["torchvision.utils"]  # type: ignore[attr-defined]
    for name in ("pytorch_fid", "pytorch_fid.fid_score", "pytorch_fid.inception"):  # which the first versions import
        sys.modules[name] = ModuleType(name)
    sys.modules["pytorch_fid.fid_score"].calculate_frechet_distance = None  # type: ignore[attr-defined]
    sys.modules["pytorch_fid.inception"].InceptionV3 = None  # type: ignore[attr-defined]
    theirs = importlib.import_module("denoising_diffusion_pytorch.denoising_diffusion_pytorch")
    learned = importlib.import_module("denoising_diffusion_pytorch.learned_gaussian_diffusion").LearnedGaussianDiffusion
    averaged = importlib.import_module("ema_pytorch").EMA
    found = {}
    for name, (of_network, of_process) in LUCIDRAINS.items():
        network = filled(theirs.Unet(**of_network))
        kind = learned if of_network.get("learned_variance") else theirs.GaussianDiffusion
        process = kind(network, image_size=32, **of_process)
        average = averaged(process)
        average.ema_model.load_state_dict({key: 1.1 * one for key, one in process.state_dict().items()})
        held = {
            "step": 7,
            "model": process.state_dict(),
            "opt": {},
            "ema": average.state_dict(),
            "scaler": None,
            "version": version,
        }
        found[name] = apart(network, held, Told(resolution=(32,)), average.ema_model.model.eval())
    return found


def _called(wrapped: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, t, *labels: wrapped(x, t, **({"y": labels[0]} if labels else {}))


def main() -> None:
    """Measure, print, save."""
    folder = Path(sys.argv[1])
    if sys.argv[2:]:
        print(json.dumps(of_version(folder, sys.argv[2])))
        return
    result = {"port": of_the_port(folder), "openai": of_openai(folder), "lucidrains": of_lucidrains(folder)}
    print(json.dumps(result, indent=1))
    print(save("interop_agreement", {"relative_difference": result}))


if __name__ == "__main__":
    main()
