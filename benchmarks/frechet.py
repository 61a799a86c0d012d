"""Frechet distance of 2,000 digits at a few evaluations of one network: every sampler of ours beside diffusers' best.

`python -m benchmarks.frechet DATA [RUN] [--budgets 5,10,20] [--images 2000] [--seed 0] [--only "WORD;..."]`. DATA holds `features/` (a
LeNet, and statistics of the 60,000 training images), `checkpoints/pulfer-mnist` and `mnist/`; without RUN the network is
the one that others trained. Same weights, same x_T for image i, and as many evaluations of the network; what is there is
kept, with the commit that measured it, and several processes may fill one table. Another number of images, or another seed,
has a results file of its own. `--compile` evaluates the network by torch.compile, for ours and theirs alike: the same
numbers but for the order of sums, in about half of the time where a network is small; the commit says so.
"""

import argparse
import fcntl
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from torch import Tensor

from benchmarks.foreign import Features, digest_of, subject
from benchmarks.machine import RESULTS, commit, save
from ddpm.data.imageset import to_bytes
from ddpm.data.open import open_source
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.curve import curve, errors
from ddpm.evaluation.images.frechet import frechet
from ddpm.evaluation.images.moments import Moments
from ddpm.sampling import SAMPLERS
from ddpm.sampling.chain import chain
from ddpm.sampling.optimal import Curve, best_steps
from ddpm.sampling.timesteps import SPACINGS
from ddpm.seeds import NoiseForEach, generator

BATCH, CPU = 50, torch.device("cpu")
Drawn = Callable[[Tensor, NoiseForEach], Tensor]

OURS = [
    ("ancestral", "uniform", {}),
    ("ancestral, best variance", "optimal", {}),
    ("ddim", "uniform", {}),
    ("ddim", "log-snr", {}),
    ("ddim", "quadratic", {}),
    ("dpm-solver", "uniform", {}),
    ("dpm-solver", "log-snr", {}),
    ("dpm-solver", "quadratic", {}),
    ("dpm-solver", "trailing", {}),
    ("dpm-solver-sde", "trailing", {}),
    ("unipc", "trailing", {"order": 2}),
    ("dpm-solver-2s", "quadratic", {}),
    ("dpm-solver-sde", "quadratic", {}),
    ("dpm-solver-sde", "log-snr", {}),
    ("multistep", "quadratic", {"order": 3}),
    ("unipc", "quadratic", {"order": 2}),
    ("unipc", "log-snr", {"order": 2}),
    ("unipc", "quadratic", {"order": 3}),
    ("heun", "quadratic", {}),
    ("corrected", "quadratic", {}),
]


class Contest:
    """One network, and the digits that each sampler draws from it."""

    def __init__(self, p: ReverseProcess, data: Path, images: int, seed: int, kept_curve: Path) -> None:
        self.p, self.images, self.seed, self.kept_curve = p, images, seed, kept_curve
        self.features = Features(data / "features" / "mnist_lenet_csinva.pth")
        real = np.load(data / "features" / "real_stats.npz")
        mean, covariance = (torch.from_numpy(real[f"mnist_lenet84/train60k/{name}"]) for name in ("mu", "sigma"))
        self.real = Moments(None, mean.double(), covariance.double())
        self.mnist = data / "mnist"

    @cache  # noqa: B019 (one object a run)
    def curve(self) -> Curve:
        """Of the error on 64 training images, measured once."""
        if not self.kept_curve.exists():
            train = open_source(str(self.mnist), "train").take(torch.arange(64))
            found = curve(errors(self.p, train, 0, 64, CPU), self.p.schedule)
            self.kept_curve.write_text(json.dumps([table.tolist() for table in astuple(found)]))
        return Curve(*(torch.tensor(table, dtype=torch.float64) for table in json.loads(self.kept_curve.read_text())))

    def ours(self, name: str, spacing: str, options: dict[str, float], budget: int) -> Drawn:
        """A sampler of ours on as many steps as `budget` evaluations allow (Heun: one fewer where that is even)."""
        sampler, p = SAMPLERS[name.split(",", maxsplit=1)[0]](**options), self.p
        steps = [K for K in range(1, budget + 1) if sampler.evaluations(K) <= budget][-1]
        if "variance" in name:
            p = replace(p, variance=self.curve().variance(p.variance.outputs))
        kept = (
            best_steps(p.schedule, self.curve(), steps)[0]
            if spacing == "optimal"
            else SPACINGS[spacing](p.schedule, steps)
        )
        short = p.respace(kept)

        def draw(x_T: Tensor, noise: NoiseForEach) -> Tensor:
            *_, last = chain(short, x_T, sampler, noise)
            return last.x

        return draw

    def theirs(self, scheduler: Callable[[], object], budget: int) -> Drawn:
        """A scheduler of diffusers with the network as a function of (x, t)."""

        def draw(x_T: Tensor, _noise: NoiseForEach) -> Tensor:
            made = scheduler()
            made.set_timesteps(budget)
            x = x_T * made.init_noise_sigma
            for t in made.timesteps:
                timestep = torch.full((len(x),), int(t))
                with torch.no_grad():
                    output = self.p.network(made.scale_model_input(x, t), timestep)
                x = made.step(output[:, :1], t, x).prev_sample
            return x

        return draw

    def distance(self, draw: Drawn) -> tuple[float, float]:
        """The Frechet distance of `images` digits to the training set, and the seconds that it took."""
        torch.manual_seed(self.seed)  # diffusers' noise
        began, found = time.monotonic(), []
        for rows in torch.arange(self.images).split(BATCH):
            noise = NoiseForEach([generator(self.seed, "sample", int(row)) for row in rows])
            x = draw(noise(torch.empty(len(rows), 1, 28, 28)), noise)
            with torch.no_grad():
                found.append(self.features(to_bytes(x).float() / 255))
        return frechet(Moments.of(torch.cat(found)), self.real), time.monotonic() - began


def theirs(betas: np.ndarray) -> dict[str, Callable[[], object]]:
    """Diffusers' schedulers, by default and as its users set them for few steps."""
    common = {"num_train_timesteps": len(betas), "trained_betas": betas}
    clamp = {"thresholding": True, "sample_max_value": 1.0}  # estimates of x_0 in [-1, 1], as ours and their DDIM's are
    return {
        "diffusers DDIM (default: leading)": lambda: DDIMScheduler(**common),
        "diffusers DDIM, trailing": lambda: DDIMScheduler(**common, timestep_spacing="trailing"),
        "diffusers DPM-Solver++ 2M (default)": lambda: DPMSolverMultistepScheduler(**common),
        "diffusers DPM-Solver++ 2M, lu lambdas": lambda: DPMSolverMultistepScheduler(**common, use_lu_lambdas=True),
        "diffusers DPM-Solver++ 2M, clamped": lambda: DPMSolverMultistepScheduler(**common, **clamp),
        "diffusers DPM-Solver++ 2M, clamped, lu lambdas": lambda: DPMSolverMultistepScheduler(
            **common, **clamp, use_lu_lambdas=True
        ),
        "diffusers DPM-Solver++ 2M, clamped, trailing": lambda: DPMSolverMultistepScheduler(
            **common, **clamp, timestep_spacing="trailing"
        ),
        "diffusers DPM-Solver++ 2M of the SDE, clamped, trailing": lambda: DPMSolverMultistepScheduler(
            **common, **clamp, timestep_spacing="trailing", algorithm_type="sde-dpmsolver++"
        ),
        "diffusers DPM-Solver++ 2M of the SDE, clamped": lambda: DPMSolverMultistepScheduler(
            **common, **clamp, algorithm_type="sde-dpmsolver++"
        ),
        "diffusers DPM-Solver++ 2M of the SDE, clamped, lu lambdas": lambda: DPMSolverMultistepScheduler(
            **common, **clamp, use_lu_lambdas=True, algorithm_type="sde-dpmsolver++"
        ),
        "diffusers UniPC, clamped": lambda: UniPCMultistepScheduler(**common, **clamp),
        "diffusers UniPC, clamped, trailing": lambda: UniPCMultistepScheduler(
            **common, **clamp, timestep_spacing="trailing"
        ),
        "diffusers UniPC (default)": lambda: UniPCMultistepScheduler(**common),
        "diffusers UniPC, trailing": lambda: UniPCMultistepScheduler(**common, timestep_spacing="trailing"),
    }


def contestants(contest: Contest, budget: int) -> Iterator[tuple[str, Callable[[], Drawn]]]:
    """Names and how to draw."""
    for name, spacing, options in OURS:
        text = ", ".join([f"{name}", f"{spacing} steps", *(f"{key} {value}" for key, value in options.items())])
        yield text, lambda name=name, spacing=spacing, options=options: contest.ours(name, spacing, options, budget)
    betas = contest.p.schedule.beta[1:].numpy()
    for text, scheduler in theirs(betas).items():
        yield text, lambda scheduler=scheduler: contest.theirs(scheduler, budget)


@dataclass(frozen=True)
class Table:
    """The results file: distances by budget and sampler, and the commit of each."""

    name: str
    about: dict[str, int | str]
    how: str = ""

    def read(self) -> dict[str, Any]:
        """What is there; of other weights it ends the program."""
        path = RESULTS / f"{self.name}.json"
        if not path.exists():
            return self.about | {"frechet": {}, "commits": {}}
        found = json.loads(path.read_text())
        if found["weights"] != self.about["weights"]:
            sys.exit(f"{path} is of other weights, {found['weights']}, not {self.about['weights']}: move it away")
        return found

    def add(self, budget: int, text: str, distance: float) -> None:
        """One distance, measured by the sources of now; what other processes have added stays."""
        with (Path(gettempdir()) / f"ddpm-{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self.read()
            for part, value in (("frechet", round(distance, 3)), ("commits", commit() + self.how)):
                found[part].setdefault(str(budget), {})[text] = value
                found[part] = {key: found[part][key] for key in sorted(found[part], key=int)}
            save(self.name, self.about | {part: found[part] for part in ("frechet", "commits")})


def main() -> None:
    """What is not in the results yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--budgets", default="5,10,20,50,100")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    suffix, p = subject(options.data, options.run)
    name = f"frechet{suffix}" if options.images == 2000 else f"frechet{suffix}_{options.images}"
    name += f"_seed{options.seed}" if options.seed else ""
    weights = digest_of(p)
    kept_curve = RESULTS.parent / f".frechet{suffix}-{weights[:8]}-curve.json"
    p = replace(p, network=torch.compile(p.network, options={"freezing": True})) if options.compile else p
    contest = Contest(p, options.data, options.images, options.seed, kept_curve)
    about = {"images": options.images, "seed": options.seed, "T": p.schedule.T, "weights": weights}
    table = Table(name, about, ", compiled" if options.compile else "")
    table.read()
    for budget in map(int, options.budgets.split(",")):
        for text, draw in contestants(contest, budget):
            wanted = any(word in text for word in options.only.split(";"))
            if not wanted or text in table.read()["frechet"].get(str(budget), {}):
                continue
            distance, seconds = contest.distance(draw())
            table.add(budget, text, distance)
            print(f"{budget:>4} {text:50} {distance:8.3f}   {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
