"""`ddpm interpolate`: from one image to another through the latents of step t (section 4.4)."""

from collections.abc import Iterator
from itertools import chain

from ddpm.commands.run import Trained
from ddpm.errors import UsageError
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Step, run, start
from ddpm.sampling.latent import mixture
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import Images


def interpolate(trained: Trained, x_0: Images, other: Images, t: int, num: int, seed: int) -> Iterator[Step]:
    """The chains of `num` mixtures, from x_0 (lambda = 0) to the other image (lambda = 1): the start and t steps.

    Both the latents and the way down use the same noise for every lambda.

    Raises:
        UsageError: t is not in 0..T, or fewer than 2 images were asked for.
    """
    p = trained.process
    if not 0 <= t <= p.schedule.T:
        raise UsageError(f"--timestep must be in 0..{p.schedule.T}: {t}")
    if num < 2:
        raise UsageError(f"--num must be at least 2, for the two ends: {num}")
    fractions = [i / (num - 1) for i in range(num)]
    noise = NoiseForEach([generator(seed, "interpolation")])
    mixed = mixture(p, x_0.to(trained.device), other.to(trained.device), t, fractions, noise)
    down = NoiseForEach([generator(seed, "interpolation, down") for _ in range(num)])
    begin = start(p, mixed, t)
    return chain([begin], run(p, begin, Ancestral(), down))
