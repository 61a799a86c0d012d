import shutil

import pytest
import torch

import ddpm
from ddpm.diffusion.variance import beta_tilde_2
from ddpm.explorer.subject import GIVEN, Subject
from tests.harness.commands import young_copy
from tests.harness.served import served


def tiny(T=20, shape=(1, 8, 8), classes=0):
    """A model of random weights, whose answers are neither 0 nor all the same."""
    torch.manual_seed(3)
    unet = ddpm.UNetShape(channels=8, multipliers=(1, 2), groups=4, blocks=1, classes=classes)
    network = ddpm.UNet(unet, inputs=shape[0], outputs=2 * shape[0])
    torch.nn.init.normal_(network.last.weight, std=0.2)
    p = ddpm.ReverseProcess(
        network,
        ddpm.SCHEDULES["log-snr"](T, 1 / 16),
        variance=ddpm.VARIANCES["learned"](beta_tilde_2),
        decoder=ddpm.discretised(17),
    )
    return ddpm.model(p, shape, classes=classes)


@pytest.fixture(scope="session")
def subject():
    """That of a tiny model, with digits."""
    digits = ddpm.images("digits")[:20]
    return Subject(tiny(), digits.tensor, torch.full((20,), -1), GIVEN)


@pytest.fixture(scope="module")
def site(subject):
    """Its page."""
    with served(subject) as found:
        yield found


SHAPE = {"model.channels": 8, "model.multipliers": [1, 2], "model.groups": 4, "model.blocks": 1, "schedule.T": 20}


@pytest.fixture(scope="session")
def grown(tmp_path_factory):
    """Of 20 steps, with checkpoints at 10 and 20."""
    folder = tmp_path_factory.mktemp("followed") / "run"
    rhythm = {"rhythm.save": 10, "rhythm.keep": 10, "rhythm.log": 5}
    ddpm.fit("digits", folder, steps=20, batch_size=8, settings=SHAPE | rhythm, progress=False)
    return folder


@pytest.fixture
def young(grown, tmp_path):
    """The same as it was before its first checkpoint; `come` brings one."""
    return young_copy(grown, tmp_path / "run")


def come(grown, young, step):
    """A checkpoint of the run appears, at once, as a training writes it."""
    (found,) = (grown / "checkpoints").glob(f"step-*{step}")
    shutil.copytree(found, young / "coming")
    (young / "coming").rename(young / "checkpoints" / found.name)
