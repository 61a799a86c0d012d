"""Our samplers beside diffusers' schedulers, where those are right: one network, one start, the same noise, every step.

`python -m benchmarks.agreement`. The networks are a fixed smooth function, and the one of diffusers' own tests, from the
array of its tests; differences are relative to the largest value of the step. Where we differ on purpose, they are set as
we are, or given steps on which it does not matter:

- Fewer steps than T: their DDPMScheduler and DDIMScheduler go from t to `t - T // K`, which is the kept step before only
  where K divides T (else the variance is of another chain). Here they get all steps.
- Their DDIM limits x_0 but keeps the epsilon that belongs to the unlimited one, unless use_clipped_model_output: then
  x_{t-1} lies on no line to the x_0 it shows.
- Their DPM-Solver++ does not limit x_0; ours does by default.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from diffusers.schedulers import scheduling_ddpm
from tests.harness.oracles import rough_network
from torch import Tensor

from benchmarks.machine import save
from ddpm.diffusion.reverse import Network, ReverseProcess, unit_clamp, unlimited
from ddpm.diffusion.schedule import Schedule, linear
from ddpm.diffusion.variance import FixedLarge, FixedSmall
from ddpm.sampling import DDIM, Ancestral, DPMSolver, DPMSolverSDE, Sampler
from ddpm.sampling.chain import chain

SHAPE = (4, 3, 8, 8)
SHORT = {"num_train_timesteps": 100, "beta_start": 1e-3, "beta_end": 0.2, "beta_schedule": "linear"}
LONG = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}


def diffusers_model(sample: Tensor, t: Tensor) -> Tensor:
    """`SchedulerCommonTest.dummy_model`, sample * t / (t + 1), for a batch of t."""
    t = t.reshape(-1, *[1] * (sample.ndim - 1))
    return sample * t / (t + 1)


def diffusers_sample(_random: torch.Generator) -> Tensor:
    """`SchedulerCommonTest.dummy_sample_deter`: 0/768, 1/768, ..., the batch running fastest."""
    batch, *image = SHAPE
    count = math.prod(SHAPE)
    return (torch.arange(count) / count).reshape(*image, batch).permute(3, 0, 1, 2)


MODELS: dict[str, tuple[Network, Callable[[torch.Generator], Tensor]]] = {
    "smooth": (rough_network, lambda random: torch.randn(SHAPE, generator=random)),
    "diffusers' tests": (diffusers_model, diffusers_sample),
}
"""Networks, and where the chain starts."""


@dataclass(frozen=True)
class Pair:
    """A sampler of ours on a process, and diffusers' scheduler with the arguments of its step."""

    process: ReverseProcess
    sampler: Sampler
    scheduler: Any
    options: Callable[[Tensor], dict[str, Any]]


def _process(schedule: Schedule, **other: Any) -> ReverseProcess:
    return ReverseProcess(rough_network, schedule, **other)


def _solver(kind: str) -> DPMSolverMultistepScheduler:
    scheduler = DPMSolverMultistepScheduler(**LONG, algorithm_type=kind, final_sigmas_type="zero")
    scheduler.set_timesteps(20)
    return scheduler


def pairs() -> dict[str, Pair]:
    """What is compared."""
    short = linear(100, 1e-3, 0.2)
    two, sde = _solver("dpmsolver++"), _solver("sde-dpmsolver++")
    kept = linear().respace(sorted(int(t) + 1 for t in two.timesteps))
    ddpm = {rule: DDPMScheduler(**SHORT, variance_type=rule) for rule in ("fixed_large", "fixed_small")}
    ddim = DDIMScheduler(**SHORT)
    for scheduler in (*ddpm.values(), ddim):
        scheduler.set_timesteps(100)
    return {
        "DDPM, fixed large": Pair(
            _process(short, variance=FixedLarge(), limit=unit_clamp), Ancestral(), ddpm["fixed_large"], lambda _: {}
        ),
        "DDPM, fixed small": Pair(
            _process(short, variance=FixedSmall(), limit=unit_clamp), Ancestral(), ddpm["fixed_small"], lambda _: {}
        ),
        "DDIM, eta = 0": Pair(_process(short), DDIM(), ddim, lambda _: {"use_clipped_model_output": True}),
        "DDIM, eta = 1": Pair(
            _process(short),
            DDIM(1.0),
            ddim,
            lambda z: {"eta": 1.0, "variance_noise": z, "use_clipped_model_output": True},
        ),
        "DPM-Solver++ 2M": Pair(_process(kept, limit=unlimited), DPMSolver(), two, lambda _: {}),
        "SDE-DPM-Solver++ 2M": Pair(
            _process(kept, limit=unlimited), DPMSolverSDE(), sde, lambda z: {"variance_noise": z}
        ),
    }


def difference(pair: Pair, model: str) -> float:
    """The largest relative difference of any step, each started where ours stands."""
    random = torch.Generator().manual_seed(0)
    network, start = MODELS[model]
    p, x_T = replace(pair.process, network=network), start(random)
    drawn: list[Tensor] = []

    def noise(like: Tensor) -> Tensor:
        drawn.append(torch.randn(like.shape, generator=random))
        return drawn[-1]

    here, worst = x_T, 0.0
    times = [int(t) for t in pair.scheduler.timesteps]
    for t, ours in zip(times, chain(p, x_T, pair.sampler, noise), strict=True):
        z = drawn.pop() if drawn else torch.zeros(SHAPE)
        output = network(here, torch.full((len(here),), t))
        if isinstance(pair.scheduler, DDPMScheduler):
            theirs = _with_noise(pair.scheduler, output, t, here, z)
        else:
            theirs = pair.scheduler.step(output, t, here, **pair.options(z)).prev_sample
        worst = max(worst, float((ours.x - theirs).abs().max() / theirs.abs().max()))
        here = ours.x
    return worst


def _with_noise(scheduler: DDPMScheduler, output: Tensor, t: int, x_t: Tensor, z: Tensor) -> Tensor:
    """DDPMScheduler.step draws its noise itself: here it is handed z."""
    original, scheduling_ddpm.randn_tensor = scheduling_ddpm.randn_tensor, lambda *_, **__: z
    try:
        return scheduler.step(output, t, x_t).prev_sample
    finally:
        scheduling_ddpm.randn_tensor = original


def main() -> None:
    """All pairs."""
    result = {
        model: {name: float(f"{difference(pair, model):.2e}") for name, pair in pairs().items()} for model in MODELS
    }
    for model, values in result.items():
        for name, value in values.items():
            print(f"{model:18} {name:22} {value:.1e}")
    print(save("agreement", {"largest_relative_difference": result}))


if __name__ == "__main__":
    main()
