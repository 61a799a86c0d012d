"""Classifier-free guidance: its score in closed form, what it asks of the network, and its interval."""

import math
from itertools import pairwise

import pytest
import torch

from ddpm.analytic.mixture import Mixture, mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import Learned
from ddpm.sampling import SAMPLERS
from ddpm.sampling.chain import chain
from ddpm.sampling.guidance import Guidance, guided
from ddpm.seeds import NoiseForEach, generator
from tests.harness.oracles import AT_STEPS, rough_network

F64 = torch.float64
SCHEDULE = linear(50, 1e-3, 0.2)
LAW = mixture(
    torch.tensor([1.0, 2.0, 1.0]),
    torch.tensor([[-0.6, 0.1], [0.5, 0.4], [0.2, -0.7]]),
    torch.tensor([[[0.05, 0.01], [0.01, 0.03]], [[0.04, 0.0], [0.0, 0.09]], [[0.1, -0.04], [-0.04, 0.06]]]),
)
KNOWN = torch.randn(6, 2, generator=torch.Generator().manual_seed(3), dtype=F64)
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


def _of_class(c):
    """The data that have this label: one component of the mixture."""
    return Mixture(torch.zeros(1, dtype=F64), LAW.mean[c : c + 1], LAW.axes[c : c + 1], LAW.spread[c : c + 1])


def _told(prediction):
    """The best network that can be told the component: E[target|x_t, c], and E[target|x_t] for -1."""
    best = [Diffused(data, SCHEDULE).network(prediction) for data in (LAW, *map(_of_class, range(3)))]

    def network(x_t, timestep, label):
        every = torch.stack([f(x_t, timestep) for f in best])
        return every[label + 1, torch.arange(len(x_t))]

    return network


def _process(prediction="eps"):
    return ReverseProcess(_told(PREDICTIONS[prediction]), SCHEDULE, PREDICTIONS[prediction], limit=unlimited)


@pytest.mark.parametrize("weight", [-1.0, 0.0, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("t", [1, 20, 50])
def test_the_guided_score_is_that_of_the_sharpened_density(prediction, weight, t):
    """The gradient of log q(x_t) + w log q(c|x_t), by differentiating the densities; the same for all predictions."""
    x = KNOWN.clone().requires_grad_()
    anything = Diffused(LAW, SCHEDULE).log_prob(x, t)
    given = torch.stack([Diffused(_of_class(c), SCHEDULE).log_prob(x, t) for c in range(3)])[LABELS, torch.arange(6)]
    (expected,) = torch.autograd.grad((anything + weight * (given - anything)).sum(), x)
    found = guided(_process(prediction), LABELS, Guidance(weight)).score(KNOWN, t)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


def test_its_ends_are_the_conditional_and_the_unconditional_process():
    p = _process()
    for weight, label in ((1.0, LABELS), (0.0, torch.full_like(LABELS, -1))):
        assert torch.equal(
            guided(p, LABELS, Guidance(weight)).estimate(KNOWN, 20), p.given(label).estimate(KNOWN, 20)
        ), weight


class _Counted:
    """A network that remembers with which labels it was asked."""

    def __init__(self, network):
        self.network, self.asked = network, []

    def __call__(self, x_t, timestep, label):
        self.asked.append((timestep.tolist(), label.tolist()))
        return self.network(x_t, timestep, label)


def _counted():
    network = _Counted(_told(PREDICTIONS["eps"]))
    return network, ReverseProcess(network, SCHEDULE, limit=unlimited)


@pytest.mark.parametrize(("weight", "evaluations"), [(0.0, 6), (1.0, 6), (2.0, 12)])
def test_one_call_of_the_network_and_only_the_evaluations_that_are_needed(weight, evaluations):
    network, p = _counted()
    guided(p, LABELS, Guidance(weight)).estimate(KNOWN, 20)
    ((times, labels),) = network.asked
    assert len(labels) == evaluations
    assert times == [19] * evaluations
    if evaluations == 12:
        assert labels == [*LABELS.tolist(), *[-1] * 6]


@pytest.mark.parametrize("kept", [list(range(1, 51)), [3, 10, 20, 21, 33, 50]])
def test_the_interval_is_in_the_steps_of_the_whole_chain(kept):
    """Guidance at 10..21 of 50, both included, in the whole chain and in one of six steps; outside, one evaluation."""
    network, p = _counted()
    short, original = p.respace(kept), {i + 1: t for i, t in enumerate(kept)}
    some = guided(short, LABELS, Guidance(3.0, (10, 21)))
    always, never = guided(short, LABELS, Guidance(3.0)), short.given(LABELS)
    for t in short.schedule.steps:
        network.asked.clear()
        found = some.estimate(KNOWN, t)
        inside = 10 <= original[t] <= 21
        assert len(network.asked[0][1]) == (12 if inside else 6)
        assert torch.equal(found, (always if inside else never).estimate(KNOWN, t))


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_images_at_different_steps(weight):
    """A batch of which some are in the interval: each is as if it were alone."""
    p, guidance, t = _process(), Guidance(weight, (10, 21)), torch.tensor([1, 10, 15, 21, 22, 50])
    together = guided(p, LABELS, guidance).estimate(KNOWN, t)
    for i in range(6):
        alone = guided(p, LABELS[i : i + 1], guidance).estimate(KNOWN[i : i + 1], int(t[i]))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-12, atol=1e-12)
    plain = p.given(LABELS).estimate(KNOWN, t)
    assert torch.equal(together[[0, 4, 5]], plain[[0, 4, 5]])
    assert not torch.isclose(together[1:4], plain[1:4], rtol=1e-3).any()


@pytest.mark.parametrize("weight", [0.5, 4.0])
def test_the_variance_is_the_conditional_one(weight):
    def network(x_t, timestep, label):
        v = torch.tanh(x_t) * (label + 2)[:, None]
        return torch.cat([rough_network(x_t, timestep) * (label + 2)[:, None], v], dim=1)

    p = ReverseProcess(network, SCHEDULE, variance=Learned(), limit=unlimited)
    found, plain = guided(p, LABELS, Guidance(weight)), p.given(LABELS)
    assert torch.equal(found(KNOWN, 20)[0].log_var, plain(KNOWN, 20)[0].log_var)
    assert not torch.allclose(found(KNOWN, 20)[0].mean, plain(KNOWN, 20)[0].mean)


@pytest.mark.parametrize(
    "sampler", [pytest.param(name, marks=pytest.mark.long) if "langevin" in name else name for name in AT_STEPS]
)
def test_every_sampler_is_guided_to_the_class(sampler):
    """Samples of one class of three: the more guidance, the larger the class' share where they land."""
    count = 150
    p, labels = _process(), torch.zeros(count, dtype=torch.int64)
    shares = []
    for weight in (0.0, 1.0, 3.0):
        noise = NoiseForEach([generator("guidance", i) for i in range(count)])
        x_T = noise(torch.empty(count, 2, dtype=F64))
        *_, last = chain(guided(p, labels, Guidance(weight)), x_T, SAMPLERS[sampler](), noise)
        odds = Diffused(_of_class(0), SCHEDULE).log_prob(last.x, 1) + math.log(0.25)
        shares.append(float((odds - Diffused(LAW, SCHEDULE).log_prob(last.x, 1)).exp().mean()))
    assert all(b > a for a, b in pairwise(shares))
    assert shares[0] == pytest.approx(0.25, abs=0.1)
    assert shares[1] > 0.85
    assert shares[2] > 0.97


@pytest.mark.parametrize(
    ("weight", "interval"), [(math.nan, None), (math.inf, None), (2.0, (0, 5)), (2.0, (6, 5)), (2.0, (1, 51))]
)
def test_impossible_guidance(weight, interval):
    with pytest.raises(ValueError, match=r"finite|FIRST|1\.\.50"):
        guided(_process(), LABELS, Guidance(weight, interval))
