"""`ddpm interpolate`: from one image to another through the latents of step t (section 4.4)."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError, chosen
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Step, run, start
from ddpm.sampling.condition import ANYTHING, Condition
from ddpm.sampling.ddim import DDIM
from ddpm.sampling.encode import encode
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.latent import arc, mix_latents
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch
from ddpm.trained.loaded import LoadedModel

ESTIMATES = 2
"""In each step of the encoding. At equal evaluations two come back nearer to the image than one; three may diverge."""

Told = Callable[[int], ReverseProcess]
"""The process, told what so many images show."""
Way = Callable[[Told, ImageBatch, int, list[float], int], Iterator[Step]]
"""(process, the two images, t, fractions, seed) -> every step, the last one the images."""


def _stochastic(told: Told, ends: ImageBatch, t: int, fractions: list[float], seed: int) -> Iterator[Step]:
    """As published: latents drawn and mixed along a line, the same noise for every lambda (E80); ancestral sampling."""
    p = told(len(fractions))
    noise = NoiseForEach([generator(seed, "interpolation")])
    begin = start(p, mix_latents(p, ends[:1], ends[1:], t, fractions, noise), t)
    down = NoiseForEach([generator(seed, "interpolation, down") for _ in fractions])
    yield begin
    yield from run(p, begin, Ancestral(), down)


def _deterministic(told: Told, ends: ImageBatch, t: int, fractions: list[float], _seed: int) -> Iterator[Step]:
    """DDIM up, the noises along an arc, DDIM down: without any draw, so the two ends are nearly the two images again."""
    p = told(len(ends))
    above = begin = start(p, ends, 0)
    for above in encode(p, begin, t, ESTIMATES):
        yield above
    p = told(len(fractions))
    begin = start(p, arc(p, ends, above.x, t, fractions), t)
    yield begin
    yield from run(p, begin, DDIM())


ENCODINGS: Mapping[str, tuple[Way, int]] = {"stochastic": (_stochastic, 1), "deterministic": (_deterministic, 2)}
"""How a latent is found, and how many times the way between 0 and t is gone."""


def interpolate(
    trained: LoadedModel,
    ends: tuple[ImageBatch, ImageBatch],
    t: int,
    num: int,
    seed: int,
    encoding: str = "stochastic",
    steps: int | None = None,
    condition: Condition = ANYTHING,
) -> tuple[int, Iterator[Step]]:
    """The chains of `num` mixtures, from one image (lambda = 0) to the other (lambda = 1).

    Args:
        trained: the model.
        ends: the two images, (1, ...) each.
        t: how far to go into the noise.
        num: images, with the ends.
        seed: of the noise, if any.
        encoding: of `ENCODINGS`.
        steps: how many of the steps 1..t to take, evenly; None is all.
        condition: what all of them show: one class, or anything.

    Returns:
        How many steps there will be, and the steps.

    Raises:
        UsageError: no such encoding, t is not in 0..T, more steps than t, fewer than 2 images, or several classes were
            asked for.
    """
    way, times = chosen(ENCODINGS, encoding, "encoding")
    T = trained.process.schedule.T
    if not 0 <= t <= T:
        raise UsageError(f"timestep must be in 0..{T}: {t}")
    if num < 2:
        raise UsageError(f"num must be at least 2, for the two ends: {num}")
    if len(condition.labels) > 1:
        raise UsageError("all images of one way show the same: give one class as label, or none")
    how = FewSteps(steps)
    p, place = (how.of(trained.process, t=t), how.place(t)) if t else (trained.process, 0)
    fractions = [i / (num - 1) for i in range(num)]
    told = partial(_told, p, condition, trained.device)
    return times * place + 1, way(told, torch.cat(ends).to(trained.device), place, fractions, seed)


def _told(p: ReverseProcess, condition: Condition, device: torch.device, images: int) -> ReverseProcess:
    return condition.on(p, range(images), device)
