"""The usual things, each in one call: open, train, sample, score. Each is the loop below it, and what the command line does."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddpm.data.inputs import on_levels
from ddpm.data.splits import Options
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.evaluation.rate import Bound, measure, summarise
from ddpm.figures.images import Data, Images, image_set, images_of
from ddpm.parallel.device import pick_device
from ddpm.sampling import Sampler
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import start
from ddpm.sampling.condition import ANYTHING
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.images import Plan, chains, finished
from ddpm.trained.loaded import load_run
from ddpm.trained.model import TrainedModel

ANCESTRAL = Ancestral()


def load(path: str | Path, weights: str = "ema", device: str = "auto") -> TrainedModel:
    """Open a trained model.

    Args:
        path: a run folder (then its newest whole checkpoint is taken), or one of its checkpoints.
        weights: "ema", the moving average; "raw", the last ones; or another average of the run, such as "ema-0.999".
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "mps".

    Raises:
        NotFound: no such folder, no run in it, or no checkpoint yet.
        DataError: the checkpoint is damaged (all of them, if a run folder was named).
        UsageError: weights that the run does not have, or no such device.

    Example:
        >>> import ddpm
        >>> model = ddpm.load(run)
        >>> model.schedule.T, model.shape
        (12, (1, 8, 8))
    """
    return TrainedModel(load_run(str(path), weights, pick_device(device)))


def images(
    source: Data, split: str = "all", *, resolution: int | tuple[int, int] | None = None, channels: int | None = None
) -> Images:
    """Images of a source, in memory: what may be given to all that takes data.

    Args:
        source: "digits", a path to a folder of images or to a file of them, "hf:OWNER/NAME"; or an array, a tensor, Pillow images.
        split: "train", "test" or "all".
        resolution: height and width, or one number for both; None keeps the size. Scaled to cover it, the centre cut out.
        channels: 1 or 3; None keeps them.

    Raises:
        NotFound: no such source, or nothing in it.
        DataError: damaged files, or images that do not fit together.
        UsageError: real numbers outside [-1, 1] or off 256 levels.

    Example:
        >>> import ddpm
        >>> ddpm.images("digits", "test")
        Images(300 of 1x8x8, 17 levels)
    """
    size = (resolution, resolution) if isinstance(resolution, int) else resolution
    options = Options(resolution=size or (), channels=channels or 0)
    return images_of(image_set(source, split, options))


def sample(
    p: ReverseProcess,
    shape: tuple[int, ...],
    sampler: Sampler = ANCESTRAL,
    *,
    steps: int | None = None,
    spacing: str = "uniform",
    seed: int = 0,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw from any process: Algorithm 2, or another sampler. Example i depends on `seed` and i alone.

    Args:
        p: any network read as a Markov chain.
        shape: of the result: (N, C, H, W), or (N, D) for points.
        sampler: such as ``ddpm.DDIM()``, or one of your own.
        steps: how many of the T steps are visited; None for all.
        spacing: which ones: a name of "uniform", "quadratic", "trailing", "leading", "log-snr".
        seed: of all random numbers.
        batch_size: examples at a time.
        device: where the network is.

    Returns:
        x_0, of `shape`, float32, on the CPU.

    Raises:
        UsageError: too many steps, or no such spacing.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x, t: torch.zeros_like(x), ddpm.linear(T=1000))
        >>> ddpm.sample(p, (2, 3, 8, 8), ddpm.DDIM(), steps=10).shape
        torch.Size([2, 3, 8, 8])
    """
    p = FewSteps(steps, spacing).of(p)
    number, *example = shape
    plan = Plan(number, sampler, seed=seed, batch_size=batch_size)

    def begin(drawn: Tensor) -> Any:  # noqa: ANN401
        return start(p, drawn, p.schedule.T)

    network = p.network
    if isinstance(network, torch.nn.Module):
        network.eval()
    drawn = chains(p, begin, sampler, tuple(example), plan, torch.device(device), ANYTHING, "sample")
    return torch.cat([torch.zeros(0, *example), *(x for _, x in finished(drawn))])


def bound(
    p: ReverseProcess,
    x_0: Tensor | Images,
    levels: int = 256,
    *,
    seed: int = 0,
    batch_size: int = 128,
    device: torch.device | str = "cpu",
) -> Bound:
    """The variational bound of images under any process (Eq. 5): L_T, every L_{t-1} and L_0 of every image, in bits/dim.

    Args:
        p: any network read as a Markov chain. Its decoder is taken to be that of `levels`.
        x_0: (N, C, H, W) in [-1, 1], on the levels; or Images, which know theirs.
        levels: how many values a pixel's channel can have.
        seed: of the noise.
        batch_size: images at a time.
        device: where the network is.

    Raises:
        UsageError: x_0 lies outside [-1, 1], or off the levels.

    Example:
        >>> import ddpm, torch
        >>> p = ddpm.ReverseProcess(lambda x, t: torch.zeros_like(x), ddpm.linear(T=100, beta_T=0.2))
        >>> found = ddpm.bound(p, ddpm.images("digits")[:4])
        >>> found.images, found.T, bool(found.total > found.L_0)
        (4, 100, True)
    """
    from dataclasses import replace

    found = x_0 if isinstance(x_0, Images) else Images(on_levels(x_0, levels), levels)
    data = image_set(found, "all")
    p = replace(p, decoder=discretised(found.levels))
    measured = measure(p, data, seed, batch_size, torch.device(device))
    return summarise(measured, p.schedule, len(data), data.images.shape[1:].numel())
