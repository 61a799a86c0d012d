"""Sampling and the bound in bf16 beside fp32, on networks of the presets digits and mnist, one thread.

`python -m benchmarks.precision`. Weights are new (they do not matter for time). In each round a step of the chain and a term of the
bound are timed in both precisions in turn, in one process; ratios are of medians of processor time. On a processor that does not
compute in bf16 it is imitated, which the result says; there only the smaller batches are timed.
"""

import statistics
import time
from collections.abc import Callable, Iterator

import torch

from benchmarks.machine import save
from ddpm.data.imageset import ImageSet
from ddpm.evaluation.rate import measure
from ddpm.experiment.presets import PRESETS
from ddpm.experiment.settings import changed
from ddpm.models.precision import in_precision, is_native
from ddpm.sampling.images import Plan, sample

CPU = torch.device("cpu")
CASES = (("digits", (1, 8, 8), 17, (16, 128)), ("mnist", (1, 28, 28), 256, (16, 64)))
ROUNDS = {True: 15, False: 5}
"""So many, where bf16 is native and where it is imitated."""


def steps(preset: str, shape: tuple[int, ...], levels: int, batch: int, precision: str) -> dict[str, Iterator[object]]:
    """Endless steps of chains, and terms of bounds; each asks the network once."""
    experiment = changed(PRESETS[preset](), {"data.shape": shape, "data.levels": levels})
    torch.manual_seed(0)
    network = in_precision(experiment.network().eval(), precision, CPU)
    p = experiment.reverse_process(network, "unit-clamp", experiment.schedule.build(levels))
    random = torch.Generator().manual_seed(0)
    images = ImageSet("random", torch.randint(0, levels, (batch, *shape), generator=random, dtype=torch.uint8), levels)

    def bound() -> Iterator[object]:
        terms = measure(p, images, 0, batch, CPU)
        next(terms)  # L_T asks no network
        return terms

    return {"sampling": sample(p, shape, Plan(batch, batch_size=batch), CPU), "bound": bound()}


def timed(step: Callable[[], object]) -> float:
    """Processor seconds."""
    began = time.process_time()
    step()
    return time.process_time() - began


def main() -> None:
    """All cases, one after the other."""
    torch.set_num_threads(1)
    native = is_native("bf16", CPU)
    rounds, found = ROUNDS[native], {}
    for preset, shape, levels, batches in CASES:
        for batch in batches if native else batches[:1]:
            running = {name: steps(preset, shape, levels, batch, name) for name in ("fp32", "bf16")}
            for what in ("sampling", "bound"):
                seconds: dict[str, list[float]] = {name: [] for name in running}
                with torch.no_grad():
                    for round_ in range(rounds + 1):
                        for name, iterators in running.items():
                            spent = timed(lambda iterator=iterators[what]: next(iterator))
                            if round_:
                                seconds[name].append(spent)
                medians = {name: statistics.median(times) for name, times in seconds.items()}
                found[f"{what}, {preset}, batch {batch}"] = {
                    "ms": {name: round(1000 * median, 2) for name, median in medians.items()},
                    "bf16 / fp32": round(medians["bf16"] / medians["fp32"], 3),
                }
                print(what, preset, batch, found[f"{what}, {preset}, batch {batch}"], flush=True)
    print(save("precision", {"native": native, "rounds": rounds, "step": found}))


if __name__ == "__main__":
    main()
