"""The latents x_t of images without noise: DDIM's chain upwards."""

from dataclasses import replace

import torch
from torch import Tensor

from ddpm.data.imageset import ImageSet
from ddpm.figures.progress import followed
from ddpm.sampling.chain import last_of, start
from ddpm.sampling.encode import encode
from ddpm.sampling.images import in_full_batches
from ddpm.trained.draw import few_steps
from ddpm.trained.interpolate import ESTIMATES
from ddpm.trained.loaded import LoadedModel


def latents(
    trained: LoadedModel, images: ImageSet, t: int, steps: int | None, batch_size: int, *, progress: bool
) -> Tensor:
    """(N, C, H, W), of all images, in `steps` of the steps up to t: what `TrainedModel.encode` gives.

    Raises:
        UsageError: there is no such step, or too many.
    """
    few = few_steps(steps)
    p = few.of(trained.process, t=t)
    p, place = replace(p, network=in_full_batches(p.network, trained.device)), few.place(t)
    up = [torch.zeros(0, *trained.experiment.shape)]
    for rows in torch.arange(len(images)).split(batch_size):
        x_0 = images.scaled(rows).to(trained.device)
        with followed(encode(p, start(p, x_0, 0), place, ESTIMATES), place, "encoding", progress) as moved:
            up.append(last_of(moved).x.cpu())
    return torch.cat(up)
