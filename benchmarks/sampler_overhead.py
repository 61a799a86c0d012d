"""What a step costs besides the network and the noise: ours beside diffusers' DDPMScheduler.step, microseconds.

`python -m benchmarks.sampler_overhead`. Batch 16, 3x32x32, float32, one thread; the network returns a tensor that is there
already, and noise is drawn in advance for both. Rounds of ours and theirs alternate; ratios are of medians.
"""

import statistics
import time
from collections.abc import Callable

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.schedulers import scheduling_ddpm

from benchmarks.machine import save
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.sampling import DDIM, Ancestral, DPMSolver, Sampler
from ddpm.sampling.chain import chain

SHAPE, T, ROUNDS = (16, 3, 32, 32), 1000, 15
Loop = Callable[[], None]


def ours(sampler: Sampler, x_T: torch.Tensor, output: torch.Tensor, z: torch.Tensor) -> Loop:
    """A whole chain."""
    p = ReverseProcess(lambda _x, _t: output, linear(T))

    def loop() -> None:
        for _ in chain(p, x_T, sampler, lambda _: z):
            pass

    return loop


def theirs(scheduler: object, x_T: torch.Tensor, output: torch.Tensor) -> Loop:
    """The loop of a pipeline."""

    def loop() -> None:
        scheduler.set_timesteps(T)
        x = x_T
        for t in scheduler.timesteps:
            x = scheduler.step(output, t, x).prev_sample

    return loop


def main() -> None:
    """All pairs, in turn."""
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    x_T, output, z = (torch.randn(SHAPE, generator=random) for _ in range(3))
    scheduling_ddpm.randn_tensor = lambda *_, **__: z
    pairs = {
        "ancestral / DDPMScheduler": (ours(Ancestral(), x_T, output, z), theirs(DDPMScheduler(), x_T, output)),
        "ddim / DDIMScheduler": (ours(DDIM(), x_T, output, z), theirs(DDIMScheduler(), x_T, output)),
        "dpm-solver / DPMSolverMultistepScheduler": (
            ours(DPMSolver(), x_T, output, z),
            theirs(DPMSolverMultistepScheduler(), x_T, output),
        ),
    }
    result = {}
    for name, loops in pairs.items():
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for loop, found in zip(loops, times, strict=True):
                began = time.perf_counter()
                loop()
                found.append((time.perf_counter() - began) / T * 1e6)
        mine, others = (statistics.median(found) for found in times)
        result[name] = {"ours_us": round(mine, 1), "theirs_us": round(others, 1), "ratio": round(others / mine, 2)}
        print(f"{name:42} {mine:7.1f} {others:7.1f}   {others / mine:.2f}", flush=True)
    print(save("sampler_overhead", {"shape": SHAPE, "rounds": ROUNDS, "microseconds_per_step": result}))


if __name__ == "__main__":
    main()
