"""Copies: the training images that are nearest to some images, such as samples."""

import torch

from ddpm.data.imageset import to_levels, to_model
from ddpm.evaluation.closeness import Nearest, pixels, search
from ddpm.explorer.asks.asked import Array, Parameters
from ddpm.explorer.asks.reverse import MOST
from ddpm.explorer.subject import Subject
from ddpm.explorer.wire import NoAsk, array, tensor
from ddpm.explorer.worker import Steps
from ddpm.trained.measures.memorised import MIRRORS, NEEDED
from ddpm.trained.training_images import same_images


class Copies(Parameters):
    """Images, (N, C, H, W)."""

    x: Array


def copies(subject: Subject, asked: Copies) -> Steps:
    """Of each image the nearest training image, its number, and how far it is: RMSE on 0..255, and in units of its neighbours'."""
    model = subject.model
    given = tensor(asked.x, "x", (None, *model.shape))
    if len(given) > MOST:
        raise NoAsk(f"x has {len(given)} images, more than {MOST}")
    train = same_images(model.loaded, NEEDED)
    yield {"of": len(train)}
    mirrors = MIRRORS.get(model.experiment.data.augmentation, 1)
    parts: list[Nearest] = []
    for part in search(pixels(to_levels(given, model.levels), model.levels), train, mirrors=mirrors):
        parts = [part]
        yield None
    (nearest,) = parts
    found = to_model(torch.stack([train.images[row][0] for row in nearest.rows[:, None]]), model.levels)
    found = torch.where(nearest.mirrored[:, None, None, None], found.flip(-1), found)
    numbers = {"rows": nearest.rows.tolist(), "rmse": nearest.distance.tolist(), "ratio": nearest.ratio.tolist()}
    yield {**numbers, "x_0": array(found), "done": True}
