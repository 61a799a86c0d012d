"""MNIST: four minutes of a processor for our preset beside twenty for diffusers' UNet2DModel and DDPMScheduler.

Ours is `ddpm train --preset mnist`, its number of steps fitted to the time. diffusers' is trained as in its own example
(AdamW, warm-up and cosine, EMA, the linear schedule, bf16) at the same batch, the same U-Net shape and our learning rate:
the example's own, 1e-4, is far too small for so few steps (in trials of four minutes, 1e-3 gave 1.97 and 2e-3 gave
1.89 bits/dim). Of the fixed variances it gets the better one. Of both, the bound of the first test images, and the Frechet distance
of digits drawn by 50 steps of DDIM to the training set, in the features of a LeNet that others trained.
`python -m benchmarks.mnist DATA [--ours 240] [--theirs 1200] [--images 128] [--digits 2000] [--keep FOLDER] [--result NAME] [--only
NAME]`; DATA holds `mnist/` and `features/`. One thread.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel

from benchmarks.frechet import Contest
from benchmarks.machine import RESULTS, commit, save
from benchmarks.peer import Peer
from benchmarks.time_to_quality import fitted, timed
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.evaluation.rate import Bound, measure, summarise
from ddpm.experiment.presets import mnist
from ddpm.experiment.settings import changed

CPU = torch.device("cpu")
T_PEER, STEPS = 1000, 50
BOTH = ["ours", "diffusers"]


def bound_of(p: ReverseProcess, images: ImageSet) -> Bound:
    """Our evaluator, for whatever network."""
    return summarise(measure(p, images, 0, 64, CPU), p.schedule, len(images), images.tensor()[0].numel())


class Remembering:
    """A network that is evaluated once when it is asked the same twice in a row."""

    def __init__(self, network: torch.nn.Module) -> None:
        self._network, self._asked, self._answer = network, torch.empty(0), torch.empty(0)

    def __call__(self, x_t: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """The answer, new or remembered."""
        if not torch.equal(x_t, self._asked):
            self._asked, self._answer = x_t, self._network(x_t, timestep)
        return self._answer


def bounds_of_both(network: torch.nn.Module, images: ImageSet) -> dict[str, Bound]:
    """With the large and the small variance, in lockstep: the x_t are the same, so the network is evaluated once."""
    schedule = linear(T_PEER)
    remembering = Remembering(network)
    runs = {}
    for name, variance in (("large", FixedLarge()), ("small", FixedSmall())):
        runs[name] = measure(ReverseProcess(remembering, schedule, variance=variance), images, 0, 64, CPU)
    pairs = list(zip(*runs.values(), strict=True))
    dims = images.tensor()[0].numel()
    return {name: summarise((pair[i] for pair in pairs), schedule, len(images), dims) for i, name in enumerate(runs)}


def distance(p: ReverseProcess, data: Path, digits: int, folder: Path) -> float:
    """Frechet, of digits drawn by 50 steps of DDIM."""
    contest = Contest(p, data, digits, 0, folder / "curve.json")
    found, _ = contest.distance(contest.ours("ddim", "uniform", {}, STEPS))
    return round(found, 2)


def ours(data: Path, seconds: float, images: ImageSet, folder: Path) -> tuple[dict[str, Any], ReverseProcess]:
    """Train and evaluate the preset."""
    rhythm = {"rhythm.evaluate": 0, "rhythm.sample": 0}
    experiment = fitted(changed(mnist(), {"data.source": str(data / "mnist"), **rhythm}), seconds)
    trained, spent = timed(experiment, folder)
    parameters = sum(p.numel() for p in experiment.for_data(images).network().parameters())
    return described(bound_of(trained.process, images), experiment.training.steps, parameters, spent), trained.process


def described(bound: Bound, steps: int, parameters: int, seconds: float) -> dict[str, Any]:
    """The numbers of a run."""
    return {
        "bits_per_dim": round(bound.total, 4),
        "stderr": round(bound.stderr, 4),
        "L_T": float(bound.by_t[0]),
        "L_1 to L_T-1": round(float(bound.by_t[2:].sum()), 4),
        "L_0": round(float(bound.by_t[1]), 4),
        "T": bound.T,
        "steps": steps,
        "parameters": parameters,
        "training_seconds": round(seconds),
    }


def batches_of(source: str, batch_size: int) -> Iterator[torch.Tensor]:
    """The training images, shuffled."""
    batches = Batches(open_source(source, "train"), batch_size, 0)
    step = 0
    while True:
        yield batches[step]
        step += 1


def theirs(data: Path, seconds: float, images: ImageSet) -> tuple[dict[str, Any], ReverseProcess]:
    """Train diffusers' network by its example, and evaluate its moving average."""
    torch.manual_seed(0)
    preset = mnist()
    lr = preset.training.lr
    network = Peer(preset.model, 28, 1).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=lr, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    scheduler = DDPMScheduler(num_train_timesteps=T_PEER)
    batches = batches_of(str(data / "mnist"), preset.training.batch_size)

    def step() -> None:
        clean = next(batches)
        noise, t = torch.randn(clean.shape), torch.randint(0, T_PEER, (len(clean),))
        with torch.autocast("cpu", torch.bfloat16):
            output = network(scheduler.add_noise(clean, noise, t), t)
        torch.nn.functional.mse_loss(output.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    began = time.process_time()
    for _ in range(20):
        step()
    steps = max(20, int(seconds / ((time.process_time() - began) / 20)))
    rate = get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=500, num_training_steps=steps)
    done = 20
    while done < steps or time.process_time() - began < seconds:
        step()
        rate.step()
        done += 1
    spent = time.process_time() - began
    average.copy_to(network.parameters())
    network.eval()
    found = bounds_of_both(network, images)
    best = min(found, key=lambda name: found[name].total)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    p = ReverseProcess(network, linear(T_PEER), variance=FixedSmall())
    return {"lr": lr, "variance": f"fixed-{best}", **described(found[best], done, parameters, spent)}, p


def main() -> None:
    """Both, one after the other, on the same machine."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--ours", type=float, default=240)
    parser.add_argument("--theirs", type=float, default=1200)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--digits", type=int, default=2000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--only", nargs=1, choices=BOTH, default=BOTH, help="one of the two; the other stays as it is")
    parser.add_argument("--result", default="mnist_in_four_minutes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = open_source(str(options.data / "mnist"), "test").take(torch.arange(options.images))
    path = RESULTS / f"{options.result}.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    result: dict[str, Any] = {name: held[name] for name in BOTH if name in held and name not in options.only}
    result |= {"images": f"the first {options.images} of the test set", "digits": options.digits}
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside)
        for name in options.only:
            found, p = (
                ours(options.data, options.ours, images, (options.keep or folder) / "mnist")
                if name == "ours"
                else theirs(options.data, options.theirs, images)
            )
            result[name] = found | {"frechet": distance(p, options.data, options.digits, folder), "commit": commit()}
            print(name, json.dumps(result[name]), flush=True)
    print(save(options.result, result))


if __name__ == "__main__":
    main()
