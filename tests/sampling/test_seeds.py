"""Image i depends on the seed and i alone, to the bit: in any batch, and in a run that is cut in two processes."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.sampling import SAMPLERS
from ddpm.sampling.chain import start
from ddpm.sampling.condition import Condition
from ddpm.sampling.guidance import Guidance
from ddpm.sampling.images import Plan, chains, finished, sample
from ddpm.sampling.inpaint import Replacement, Resampled
from ddpm.sampling.langevin import Corrected
from ddpm.sampling.probability_flow import ProbabilityFlow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def process():
    """A U-Net with attention, weights far from zero, on a chain of 4 steps."""
    torch.manual_seed(0)
    network = UNet(UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(1,), groups=4), 1, 1).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return ReverseProcess(network, linear(4, 0.1, 0.97))


def _draw(p, plan, side=7):
    return torch.cat([images for _, images in finished(sample(p, (1, side, side), plan, CPU))])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_is_the_same_to_the_bit_in_batches_of_1_7_and_64(process, sampler):
    """Sides of 7 and 3 after the first level: no number of pixels fills the registers by itself."""
    alone = SAMPLERS[sampler]().image_by_image  # whatever batch is asked for: few images will do
    many, some = (4, 2) if alone else (71, 7)  # batches of 64 and 7
    together = _draw(process, Plan(many, sampler, batch_size=64))
    assert together.std(0).max() > 0.1
    for size, first in ((1, 0), (1, many - 1), (some, 0), (some, max(many - 2 * some, 1))):
        few = _draw(process, Plan(size, sampler, batch_size=size, first=first))
        assert torch.equal(few, together[first : first + size])


def test_in_16_bits_too(process):
    """A U-Net in bf16, where a machine computes in it or only imitates it: not the images of float32."""
    p = replace(process, network=in_precision(process.network, "bf16", CPU))
    together = _draw(p, Plan(35, batch_size=35))
    for size, first in ((1, 0), (1, 34), (7, 14)):
        assert torch.equal(_draw(p, Plan(size, batch_size=size, first=first)), together[first : first + size])
    assert not torch.equal(_draw(process, Plan(35, batch_size=35)), together)


def test_the_flow_is_asked_image_by_image_also_inside_another_sampler(process):
    """Nothing is filled up for it: the network sees no more rows than the flow asks for."""
    rows = []

    def counting(x_t, timestep):
        rows.append(len(x_t))
        return process.network(x_t, timestep)

    flow, p = ProbabilityFlow(0.1), replace(process, network=counting)
    hole = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    for sampler in (flow, Replacement(torch.zeros(1, 1, 4, 4), hole, flow), Resampled(flow, 2, 2)):
        drawn = chains(p, partial(start, p, t=4), sampler, (1, 4, 4), Plan(2, batch_size=2), CPU, Condition(), "edit")
        assert len(list(drawn)) == sampler.moves(4)
        assert set(rows) <= {1, 2}
    assert not Replacement(torch.zeros(1), hole, flow).uses_variance
    assert Replacement(torch.zeros(1), hole).uses_variance
    assert not Corrected(predictor=flow).uses_variance


def test_a_run_is_cut_in_two_processes(process, tmp_path):
    """Images 0..19 of one process are images 0..8 of it and 9..19 of another, which knows nothing of the first."""
    whole = _draw(process, Plan(20, "ancestral"))
    torch.save((process.network.state_dict(), process.schedule.beta), tmp_path / "network.pt")
    code = (
        "import sys, torch\n"
        "from ddpm.sampling.images import Plan, finished, sample\n"
        "from ddpm.diffusion.reverse import ReverseProcess\n"
        "from ddpm.diffusion.schedule import Schedule\n"
        "from ddpm.models.shape import UNetShape\nfrom ddpm.models.unet import UNet\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        "weights, beta = torch.load(sys.argv[1], weights_only=True)\n"
        "network = UNet(UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(1,), groups=4), 1, 1).eval()\n"
        "network.load_state_dict(weights)\n"
        "p, plan = ReverseProcess(network, Schedule(beta)), Plan(11, 'ancestral', first=9, batch_size=4)\n"
        "drawn = torch.cat([x for _, x in finished(sample(p, (1, 7, 7), plan, torch.device('cpu')))])\n"
        "torch.save(drawn, sys.argv[2])\n"
    )
    out = tmp_path / "drawn.pt"
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, tmp_path / "network.pt", out], check=True, env={**os.environ}
    )
    first = _draw(process, Plan(9, "ancestral", batch_size=64))
    assert torch.equal(torch.cat([first, torch.load(out, weights_only=True)]), whole)


@pytest.mark.parametrize("weight", [1.0, 2.0])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_labels_belong_to_their_images(sampler, weight):
    """Images of different classes in one batch are what each is alone, guided or not."""
    torch.manual_seed(0)
    network = UNet(UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4, classes=3), 1, 1).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    p, condition = ReverseProcess(network, linear(3, 0.2, 0.97)), Condition((0, 1, 2), Guidance(weight))
    drawn = {}
    for size in (1, 3):
        plan = Plan(3, sampler, batch_size=size)
        drawn[size] = torch.cat([x for _, x in finished(sample(p, (1, 4, 4), plan, CPU, condition))])
    assert torch.equal(drawn[1], drawn[3])
    other = torch.cat([x for _, x in finished(sample(p, (1, 4, 4), Plan(3, sampler), CPU, Condition((1, 1, 1))))])
    assert not torch.equal(other[0], drawn[3][0])
