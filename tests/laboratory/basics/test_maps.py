"""The map of DDIM against the probability flow, integrated by an adaptive solver, and Algorithm 2 by simulation."""

import math

import pytest
import torch

from ddpm.analytic.process import Diffused
from ddpm.diffusion.flow import integrate
from ddpm.diffusion.schedule import cosine, linear
from ddpm.laboratory.basics.maps import distribution, flow_map, quantiles, spread_given_x_T
from ddpm.laboratory.basics.quarter import V, exact
from ddpm.laboratory.score import on_a_line
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.seeds import generator
from tests.laboratory.test_verdicts import EVERYWHERE, SCHEDULE, _ask, _says

F64 = torch.float64


def test_quantiles_and_their_law():
    """Back and forth; and the law of a mixture by counting draws."""
    law, shares = on_a_line(), torch.tensor([0.02, 0.3, 0.5, 0.99], dtype=F64)
    places = quantiles(law, shares)
    assert torch.allclose(distribution(law, places), shares, atol=1e-12)
    drawn = law.sample(200_000, generator(0, "quantiles")).flatten()
    counted = (drawn[:, None] <= places.flatten()).double().mean(0)
    assert torch.allclose(counted, shares, atol=4 * 0.5 / math.sqrt(200_000))


def test_the_flow_keeps_the_order_of_points():
    """The same map by integrating dx/d(log SNR) from x_T to where no noise is left."""
    diffused = Diffused(on_a_line(), cosine(50))
    x_T, x_0 = (column[::14] for column in flow_map(diffused))
    end = integrate(diffused.velocity, x_T, float(diffused.schedule.log_snr[-1]), 16.0, 1e-7)
    assert torch.allclose(end, x_0, atol=1e-3)


def test_what_x_T_says_of_x_0():
    """Variance of Algorithm 2's samples that begin at one x_T."""
    schedule, random = linear(15, 0.02, 0.4), generator(0, "one x_T")
    *_, last = chain(
        exact(schedule),
        torch.full((40_000, 1), 0.7, dtype=F64),
        Ancestral(),
        lambda like: torch.randn(like.shape, generator=random, dtype=F64),
    )
    assert float(last.x.var()) == pytest.approx(spread_given_x_T(schedule), rel=4 * math.sqrt(2 / 40_000))


@pytest.mark.long
def test_implicit_at_the_papers_setting(answers):
    rows = answers("implicit").tables[0].rows
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    steps, off, by_map, by_chain, spread = rows[-1]
    assert steps == 1000
    assert off < 0.01
    assert abs(by_map - 1) < 0.01
    assert abs(by_chain - 1) < 0.001
    assert spread > 0.999


@SCHEDULE
@EVERYWHERE
def test_implicit_whether_steps_help_and_laws_agree(name, T):
    _, text, rows = _ask("implicit", name, T)
    _says(text, rows[-1][1] < 0.5 * rows[0][1], ("off the flow", "흐름과"), ("hardly help", "별로 나아지지 않는다"))
    alike = max(abs(rows[-1][2] - 1), abs(rows[-1][3] - 1)) < 0.02
    _says(text, alike, ("Yet both end with the same", "같은 분산에 이른다"), ("neither of them needs", "보장이 없다"))
    assert rows[-1][4] <= rows[-1][3] <= 5 * max(1, V)
