"""On a GPU: a training step, and a step of sampling, of the paper's CIFAR-10 network, ours beside diffusers' in turn.

`python -m benchmarks.gpu [--compile] [--profile]`: bf16 (autocast) at batch 128, float32 in and out, whole steps: noise,
network, loss, gradient, clipping, Adam, moving average. Each result is the median of rounds that alternate, every one timed
to the end of the GPU's work. `--compile` adds both networks by torch.compile, whose compilation is not counted.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice

import torch
from diffusers import DDPMScheduler

from benchmarks.machine import save
from benchmarks.peer import Peer, peer_training
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.parallel.device import pick_device
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.seeds import NoiseForEach, generator
from ddpm.training.trainer import Recipe, State, train

BATCH, ROUNDS, SAMPLES = 128, 12, 256
Step = Callable[[], object]


def our_training(device: torch.device, *, compiled: bool) -> Step:
    """A step of `ddpm train --preset cifar10`."""
    network = UNet(UNetShape(), 3, 3).to(device)
    state = State.start(network, 2e-4, torch.amp.GradScaler(device.type, enabled=False))
    p = ReverseProcess(in_precision(_compiled(network, compiled), "bf16", device), linear(), limit=unlimited)
    images = ImageSet("random", torch.randint(0, 256, (4096, 3, 32, 32), dtype=torch.uint8))
    steps = train(state, lambda: p, simple, Batches(images, BATCH, 0), Recipe(batch_size=BATCH))
    return lambda: next(steps)


def their_training(device: torch.device, *, compiled: bool) -> Step:
    """A step of their example, in bf16."""
    network = Peer(UNetShape(), 32, 3).to(device).train()
    images = torch.rand(4096, 3, 32, 32) * 2 - 1
    return peer_training(network, _compiled(network, compiled), images, BATCH, bf16=True)


def our_sampling(device: torch.device, *, compiled: bool) -> Step:
    """Ten steps of the ancestral chain in bf16, for 256 images, with noise of which image i's depends on i alone."""
    network = UNet(UNetShape(), 3, 3).to(device).eval()
    p = ReverseProcess(in_precision(_compiled(network, compiled), "bf16", device), linear())
    x_T = torch.randn(SAMPLES, 3, 32, 32, device=device)
    noise = NoiseForEach([generator(0, "noise", image) for image in range(SAMPLES)])

    @torch.no_grad()
    def steps() -> None:
        for _ in islice(chain(p, x_T, Ancestral(), noise), SAMPLED):
            pass

    return steps


def their_sampling(device: torch.device, *, compiled: bool) -> Step:
    """As many of `DDPMPipeline`'s loop, with autocast."""
    network = Peer(UNetShape(), 32, 3).to(device).eval()
    called, scheduler = _compiled(network, compiled), DDPMScheduler(num_train_timesteps=1000)
    scheduler.set_timesteps(1000)
    x_t = torch.randn(SAMPLES, 3, 32, 32, device=device)

    @torch.no_grad()
    def steps() -> None:
        x = x_t
        for t in scheduler.timesteps[:SAMPLED]:
            with torch.autocast(device.type, torch.bfloat16):
                output = called(x, t.to(device).expand(SAMPLES)).float()
            x = scheduler.step(output, t, x).prev_sample

    return steps


SAMPLED = 10
MAKERS = {
    "training": {"ours": our_training, "diffusers": their_training},
    "sampling": {"ours": our_sampling, "diffusers": their_sampling},
}


def _compiled(network: torch.nn.Module, compiled: bool) -> torch.nn.Module:  # noqa: FBT001
    return torch.compile(network) if compiled else network  # pyright: ignore[reportReturnType]


def timed(step: Step) -> float:
    """Seconds, to the end of what the GPU was given."""
    torch.cuda.synchronize()
    begin = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def medians(steps: dict[str, Step]) -> dict[str, float]:
    """Of rounds in which all take turns; the first three warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(ROUNDS + 3):
        for name, step in steps.items():
            took = timed(step)
            if round_ >= 3:
                seconds[name].append(took)
    return {name: statistics.median(times) for name, times in seconds.items()}


def profile(step: Step) -> str:
    """Where a step's time goes, on both sides."""
    for _ in range(3):
        step()
    with torch.profiler.profile() as found:
        step()
        torch.cuda.synchronize()
    return found.key_averages().table(sort_by="self_cuda_time_total", row_limit=25, max_name_column_width=60)


def main() -> None:
    """Measure, print, save."""
    device = pick_device("cuda")
    if "--profile" in sys.argv:
        print(profile(our_training(device, compiled=False)))
        return
    ways = [False, True] if "--compile" in sys.argv else [False]
    result: dict[str, object] = {"device": torch.cuda.get_device_name(), "batch": BATCH, "samples": SAMPLES}
    for what, makers in MAKERS.items():
        found = {}
        for compiled in ways:
            steps = {name: make(device, compiled=compiled) for name, make in makers.items()}
            found["compiled" if compiled else "plain"] = times = medians(steps)
            times["diffusers / ours"] = times["diffusers"] / times["ours"]
            del steps
            torch.cuda.empty_cache()
        result[what] = found
    result["unit"] = f"seconds: one training step; {SAMPLED} steps of sampling"
    print(json.dumps(result, indent=1))
    print(save("gpu", result))


if __name__ == "__main__":
    main()
