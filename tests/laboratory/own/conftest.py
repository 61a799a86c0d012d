"""A subject whose network is the exact model itself, and one that is the tiny trained run."""

import shutil

import pytest
import torch

from ddpm.analytic.mixture import mixture
from ddpm.analytic.process import Diffused
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import cosine
from ddpm.diffusion.variance import FixedLarge
from ddpm.laboratory.own.questions import ON_MODEL, ask_on_model
from ddpm.laboratory.own.subject import Subject, subject
from ddpm.seeds import generator
from ddpm.trained.evaluate import images_to_evaluate
from ddpm.trained.loaded import load_run

LEVELS = 256


def grey_images(law, count, seed):
    """Draws of a law as images of one row, on the levels."""
    x = law.sample(count, generator(seed, "images")).clamp(-1, 1)
    pixels = ((x + 1) / 2 * (LEVELS - 1)).round().to(torch.uint8)
    return ImageSet("drawn", pixels.reshape(count, 1, 1, -1), LEVELS)


def stood_in(scale=1.0, num=24, T=12, variance=None):
    """The best network for a Gaussian in six dimensions, its output multiplied by `scale`, in the place of a trained one."""
    random = generator(0, "law")
    a = 0.12 * torch.randn(6, 6, generator=random, dtype=torch.float64)
    law = mixture(torch.ones(1), 0.2 * torch.randn(1, 6, generator=random), (a @ a.T + 0.004 * torch.eye(6))[None])
    best = Diffused(law, cosine(T)).process(variance or FixedLarge(), decoder=discretised(LEVELS))

    def network(x_t, timestep):
        return scale * best.network(x_t, timestep)

    p = ReverseProcess(network, best.schedule, best.prediction, best.variance, decoder=best.decoder)
    return Subject("stood in", p, law, grey_images(law, num, 1), grey_images(law, 200, 2))


@pytest.fixture(scope="session")
def exact_subject():
    """Theory and network are the same."""
    return stood_in()


@pytest.fixture(scope="session")
def exact_answers(exact_subject):
    """All answers on it."""
    return {name: ask_on_model(name, exact_subject) for name in ON_MODEL}


@pytest.fixture(scope="session")
def own_subject(trained, tmp_path_factory):
    """The tiny run on eight held-out digits; a copy, in which the codec's profile is kept."""
    run = shutil.copytree(trained, tmp_path_factory.mktemp("own") / "run")
    model = load_run(str(run), "ema", torch.device("cpu"))
    return subject(model, images_to_evaluate(model, "digits", "test").take(torch.arange(8)), "tiny")


@pytest.fixture(scope="session")
def own_answers(own_subject):
    """All answers on it."""
    return {name: ask_on_model(name, own_subject) for name in ON_MODEL}
