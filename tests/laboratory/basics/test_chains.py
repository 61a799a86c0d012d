"""Kernels as matrices, joint laws as products, starts and where they end: each against a formula of its own."""

import math

import pytest
import torch

from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.schedule import SCHEDULES, linear
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.basics.chains import (
    LEVELS,
    MOVE,
    binary,
    by_matrices,
    ends,
    integrated,
    log_joint,
    neighbours,
    transition_matrix,
)
from ddpm.laboratory.basics.quarter import V, exact, few
from ddpm.laboratory.questions import ask, find
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.seeds import generator
from tests.laboratory.test_verdicts import EVERYWHERE, SCHEDULE, _ask, _says

F64 = torch.float64


def test_a_transition_matrix_is_a_law_for_each_column():
    grid, start = torch.linspace(-4, 4, 81, dtype=F64), torch.tensor([-1.0, 0.5], dtype=F64)
    found = transition_matrix(grid, start, torch.tensor(0.8, dtype=F64), torch.tensor(0.25, dtype=F64))
    assert torch.allclose(found.sum(0), torch.ones(2, dtype=F64))
    q = torch.distributions.Normal(0.8 * start, 0.5)
    assert torch.allclose(found, q.log_prob(grid[:, None]).exp() * 0.1, atol=1e-9)


def test_the_product_of_matrices_is_the_jump():
    """Two steps by hand: the middle point summed out."""
    schedule = linear(2, 0.3, 0.5)
    assert by_matrices(schedule, 8) == (113, pytest.approx(0, abs=1e-12))
    assert by_matrices(schedule, 1)[1] > 1e-8
    assert float(schedule.alpha_bar[2]) == pytest.approx(0.35)


def test_neighbours_by_their_eigenvectors():
    """A reflected walk has cosines as eigenvectors, and decays by 1 - 0.4 (1 - cos(pi k/5)) each step."""
    k, j = torch.arange(LEVELS, dtype=F64), torch.arange(LEVELS, dtype=F64)
    decay = 1 - 2 * MOVE * (1 - torch.cos(math.pi * k / LEVELS))
    weight = torch.where(k == 0, 1, 2) / LEVELS * torch.cos(math.pi * k / (2 * LEVELS))
    for t in (1, 10, 100):
        exact_law = (weight * decay**t * torch.cos(math.pi * k * (j[:, None] + 0.5) / LEVELS)).sum(1)
        assert torch.allclose(torch.linalg.matrix_power(neighbours(), t)[:, 0], exact_law, atol=1e-12)


def test_kernel_at_the_papers_setting(answers):
    rows, levels = (table.rows for table in answers("kernel").tables)
    assert [row[3] for row in rows] == sorted((row[3] for row in rows), reverse=True)
    assert rows[-1][3] < 1e-10
    assert levels[3][1] == pytest.approx(0.373822, abs=5e-7)


@SCHEDULE
@EVERYWHERE
def test_kernel_whether_the_grid_is_fine_enough(name, T):
    schedule, text, rows = _ask("kernel", name, T)
    narrowest = float(few(schedule, 10).beta[1:].min().sqrt())
    _says(
        text,
        rows[-1][3] < 1e-10,
        ("On the finest grid", "가장 촘촘한 격자에서 곱은"),
        ("is finer than the finest grid", "격자("),
    )
    if rows[-1][3] >= 1e-10:
        assert narrowest < rows[-1][0]


def test_bits_by_counting():
    """The joint law of three bits against a million chains drawn from x_2 down; its marginal by hand."""
    random = generator(0, "bits")
    x_2 = (torch.rand(1_000_000, generator=random) < 0.5).long()
    x_1 = (torch.rand(len(x_2), generator=random) < torch.tensor([0.2, 0.7])[x_2]).long()
    x_0 = (torch.rand(len(x_2), generator=random) < torch.tensor([0.1, 0.9])[x_1]).long()
    counted = torch.bincount(4 * x_0 + 2 * x_1 + x_2, minlength=8) / len(x_2)
    assert torch.allclose(counted.double(), binary().flatten(), atol=2.5e-3)
    assert float(binary().sum()) == pytest.approx(1, abs=1e-15)
    assert float(binary()[1].sum()) == pytest.approx(0.45 * 0.9 + 0.55 * 0.1)


@pytest.mark.parametrize("name", ["linear", "cosine", "log-snr"])
def test_a_gaussian_chain_multiplied_and_integrated(name):
    """By hand for two steps: p(x_0) = N(0, k_1^2 (k_2^2 + s_2) + s_1)."""
    schedule = few(SCHEDULES[name](30), 2)
    p = exact(schedule)
    (m_2, s_2), (m_1, s_1) = (
        (float(kernel.mean), float(kernel.var)) for kernel, _ in (p(torch.ones(1, 1, dtype=F64), t) for t in (2, 1))
    )
    variance = m_1**2 * (m_2**2 + s_2) + s_1
    law = torch.distributions.Normal(torch.zeros((), dtype=F64), math.sqrt(variance))
    assert integrated(p, 0.5, 0.01) == pytest.approx(float(law.log_prob(torch.tensor(0.5)).exp()), rel=1e-8)
    parts = ((0, 1), (0.3 * m_2, s_2), (0.3 * m_1, s_1))
    by_hand = sum(-0.5 * (math.log(2 * math.pi * s) + (0.3 - m) ** 2 / s) for m, s in parts)
    assert log_joint(p, 0.3) == pytest.approx(by_hand, rel=1e-10)


@SCHEDULE
@EVERYWHERE
def test_joint_two_ways_and_a_density_above_one(name, T):
    schedule = SCHEDULES[name](T)
    p, answer = exact(few(schedule, 3)), ask(find("joint"), Setting(name, schedule))
    (_, product, other), (_, found, closed), (_, peak, cell) = answer.tables[1].rows
    assert product == pytest.approx(other, abs=1e-8)
    assert found == pytest.approx(closed, rel=1e-6)
    assert peak == pytest.approx(math.exp(log_joint(p, 0.0)))
    assert cell < 1
    assert ("more than one" in answer.text.en, "1보다 크다" in answer.text.ko) == (peak > 1,) * 2


def test_starts_by_closed_form_and_by_simulation():
    """x_0 = x_T times sqrt(alpha_bar_T) v/Var(x_T), plus what does not depend on x_T."""
    schedule = linear(20, 0.01, 0.3)
    p, in_x_T = exact(schedule), 1 + float(schedule.alpha_bar[-1]) * (V - 1)
    factor = float(schedule.alpha_bar[-1].sqrt()) * V / in_x_T
    for mean, variance in ((0.0, in_x_T), (0.0, 4.0), (2.0, 1.0)):
        end_mean, end_variance = ends(p, mean, variance)[-1]
        assert end_mean == pytest.approx(factor * mean, rel=1e-9, abs=1e-15)
        assert end_variance == pytest.approx(V + factor**2 * (variance - in_x_T), rel=1e-9)
    random = generator(0, "starts")

    def noise(like):
        return torch.randn(like.shape, generator=random, dtype=like.dtype)

    x_T = 2 + torch.randn(40_000, 1, generator=random, dtype=F64)
    *_, last = chain(p, x_T, Ancestral(), noise)
    added = float(p.variance.table(schedule)[1])  # Algorithm 2 leaves it out at t = 1
    assert float(last.x.mean()) == pytest.approx(factor * 2, abs=4 * math.sqrt(V / 40_000))
    assert float(last.x.var()) + added == pytest.approx(ends(p, 2.0, 1.0)[-1][1], rel=4 * math.sqrt(2 / 40_000))
    assert len(ends(p, 0.0, 1.0)) - 1 == ForwardProcess(schedule).schedule.T


@SCHEDULE
@EVERYWHERE
def test_start_whether_it_is_forgotten(name, T):
    schedule, text, rows = _ask("start", name, T)
    alpha_bar = float(schedule.alpha_bar[-1])
    in_x_T = 1 + alpha_bar * (V - 1)
    for _, before, mean, ratio, after in rows:
        variance = V * ratio
        by_hand = 0.5 * (V / variance + mean**2 / variance - 1 + math.log(variance / V))
        assert after == pytest.approx(by_hand, abs=1e-12)
        assert after <= before + 1e-12  # no kernel can tell two laws further apart
    worst = max(rows[2:], key=lambda row: row[4])
    _says(
        text, worst[4] < 0.01 * worst[1], ("The chain forgets", "출발점을 잊는다"), ("does not forget", "잊지 못한다")
    )
    assert rows[1][1] == pytest.approx(0.5 * (in_x_T - 1 - math.log(in_x_T)), abs=1e-12)
