"""T9, T15: three estimators of one bound: identical sums, and the variances of Q20 with their surprise."""

import math

import pytest
import torch

from ddpm.diffusion.bound import terms
from ddpm.diffusion.estimators import COUPLINGS, ESTIMATORS, estimates
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import FixedLarge, beta_1
from tests.harness.oracles import GaussianData, rough_network

F64 = torch.float64


def _noise(seed):
    random = torch.Generator().manual_seed(seed)
    return lambda like: torch.randn(like.shape, generator=random, dtype=like.dtype)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("T", [1, 2, 30])
def test_eq_3_and_eq_21_agree_samplewise_on_a_chain(coupling, T):
    """Eq. 3 and 21; T9: along one trajectory the two sums are the same number; on independent pairs they are not."""
    p = ReverseProcess(rough_network, linear(T, 0.05, 0.4) if T > 2 else linear(T, 0.99, 0.99))
    x_0 = (torch.randint(0, 256, (5, 1, 2, 2)) / 127.5 - 1).to(F64)
    raw, ratio = (
        sum(nats for _, nats in estimates(p, x_0, name, coupling, _noise(3))) for name in ("raw", "log-ratio")
    )
    if coupling == "trajectory":
        torch.testing.assert_close(raw, ratio, rtol=1e-9, atol=1e-9)
    else:
        assert (raw - ratio).abs().max() > 1e-3


def test_the_closed_form_is_the_bound():
    """The closed form is Eq. 5, term by term."""
    p = ReverseProcess(rough_network, linear(20, 1e-3, 0.5))
    x_0 = (torch.randint(0, 256, (2, 1, 2, 2)) / 127.5 - 1).to(F64)
    torch.manual_seed(5)
    ours = [nats for _, nats in estimates(p, x_0, "closed-form", "independent", torch.ones_like)]
    bound = [term.nats for term in terms(p, x_0, torch.ones_like)]
    torch.testing.assert_close(torch.stack(ours), torch.stack(bound))


@pytest.fixture(scope="module")
def variances():
    """Q20's experiment at a fifth of its length: D = 16, N(0, 1/4), a slightly wrong network, variance over images."""
    torch.manual_seed(0)
    data, schedule = GaussianData(0.25), linear(200, 5e-4, 0.1)
    exact = data.eps(schedule)
    p = data.process(schedule, FixedLarge(beta_1))
    p = ReverseProcess(lambda x, t: 1.02 * exact(x, t), schedule, p.prediction, p.variance, p.limit, p.decoder)
    x_0 = 0.5 * torch.randn(1500, 16, dtype=F64)
    found = {}
    for coupling in COUPLINGS:
        for name in ESTIMATORS:
            by_t = [nats for _, nats in estimates(p, x_0, name, coupling, _noise(7))]
            stacked = torch.stack(by_t)
            found[name, coupling] = stacked.var(1), float(stacked.sum(0).var()), stacked.sum(0)
    return found


def test_all_estimators_have_one_mean(variances):
    """Eq. 3, 21 and 22: E20 = E25 = E26 within four standard errors."""
    totals = [total for _, _, total in variances.values()]
    for total in totals[1:]:
        error = math.sqrt((total.var() + totals[0].var()) / len(total))
        assert abs(total.mean() - totals[0].mean()) < 4 * error


def test_term_by_term_the_closed_form_varies_least(variances):
    """T15, E37: Rao-Blackwell, for every t in 2..T (entries 1..T-1 of the stack)."""
    closed, ratio = variances["closed-form", "independent"][0], variances["log-ratio", "independent"][0]
    assert (closed[1:-1] <= ratio[1:-1]).all()
    assert float((ratio[1:-1] / closed[1:-1]).median()) > 100


def test_with_fresh_noise_the_sum_varies_least_too(variances):
    closed, ratio, raw = (variances[name, "independent"][1] for name in ("closed-form", "log-ratio", "raw"))
    assert 3 * closed < ratio
    assert 3 * closed < raw


def test_along_one_chain_it_is_the_other_way_round(variances):
    """The surprise of Q20, and why the evaluator draws a fresh x_t for every t."""
    assert variances["closed-form", "trajectory"][1] > 3 * variances["raw", "trajectory"][1]
