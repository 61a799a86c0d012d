"""Table 2 once more: networks that are trained alike, scored on the same images with the same noise."""

import re

import pytest
import torch

from ddpm.data.open import open_source
from ddpm.diffusion.schedule import linear
from ddpm.evaluation.rate import measure, summarise
from ddpm.laboratory.own import ablation
from ddpm.laboratory.own.ablation import KINDS, PAPER, Kind, answer, least, trained, usual_chain


@pytest.fixture(scope="module")
def three():
    """Three rows after two steps each."""
    kinds = (PAPER, Kind("eps", "learned", "variational"), Kind("mean", "fixed-large", "simple"))
    return trained(usual_chain(10), steps=2, num_images=6, kinds=kinds)


def test_the_table_is_the_papers_and_a_row_of_x_0():
    assert len(set(KINDS)) == 9
    assert [(k.variance, k.loss) for k in KINDS if k.prediction == "eps"] == [
        ("learned", "L"),
        ("fixed-large", "L"),
        ("fixed-large", "L_simple"),
    ]
    assert [k.loss for k in KINDS if k.prediction == "mean"] == ["L", "L", "|mu-tilde - mu|^2"]
    assert PAPER in KINDS
    assert all(row in KINDS for pair in ablation.PAIRS for row in pair[:2])


def test_the_usual_chain_is_the_papers_with_fewer_steps():
    published = linear(1000)
    assert torch.allclose(usual_chain(1000).beta, published.beta, rtol=1e-9)
    assert torch.allclose(usual_chain(100).alpha_bar, published.alpha_bar[::10])
    assert torch.equal(usual_chain(100).kept, torch.arange(101))  # Mean speaks of the steps of this chain
    assert usual_chain(4).T == 4
    assert float(usual_chain(2000).alpha_bar[-1]) < 1e-4


def test_differences_are_of_pairs(three):
    """The same images with the same noise: the difference is known better than either bound."""
    assert three.steps == 2
    learned = Kind("eps", "learned", "variational")
    difference = three.against(learned, PAPER)
    a, b = (three.bounds[kind].per_image for kind in (PAPER, learned))
    assert difference.mean == pytest.approx(float((b - a).mean()))
    assert difference.stderr == pytest.approx(float((b - a).std() / 6**0.5))
    assert difference.stderr < three.bounds[PAPER].stderr
    assert three.against(learned, Kind("x0", "fixed-large", "simple")) is None


def test_it_is_the_bound_of_the_average_on_held_out_digits(three):
    """The paper's row, trained once more alone, is the same to the bit: others do not touch it."""
    alone = trained(usual_chain(10), steps=2, num_images=6, kinds=(PAPER,))
    assert torch.equal(alone.bounds[PAPER].per_image, three.bounds[PAPER].per_image)
    images = open_source("digits", "test").take(torch.arange(6))
    p = ablation._process(PAPER, usual_chain(10), images, 0)
    untrained = summarise(measure(p, images, 0, 6, torch.device("cpu")), p.schedule, 6, 64)
    assert float((untrained.per_image - three.bounds[PAPER].per_image).abs().min()) > 0


def test_the_answer(three):
    found = answer(three, "linear, T = 10")
    numbers = [set(re.findall(r"\d+\.\d+", text)) for text in (found.text.en, found.text.ko)]
    assert numbers[0] == numbers[1]
    assert "FIDs, and they are left out" in found.text.en
    assert "FID는 뺐다" in found.text.ko
    rows = {tuple(row[:3]): row[3:] for row in found.tables[0].rows}
    assert len(rows) == 9
    assert rows["eps", "fixed-large", "L_simple"][0] == three.bounds[PAPER].total
    assert rows["eps", "fixed-large", "L_simple"][2:] == ("-", "-")
    assert rows["x0", "learned", "L"] == ("diverged", "-", "-", "-")  # as those of which there is no bound
    best = min(three.bounds, key=lambda kind: three.bounds[kind].total)
    assert f"are those of ({best.name})" in least(three).en


def test_time_ends_it(monkeypatch):
    """All have made as many steps, however short the time."""
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(ablation.time, "monotonic", lambda: next(clock))
    told = []

    def followed(parts, total, label):
        seconds = list(parts) if "seconds" in label else parts
        told.extend([(total, seconds)] if "seconds" in label else [])
        return iter(seconds)

    kinds = (PAPER, Kind("eps", "fixed-large", "variational"))
    found = trained(usual_chain(4), budget=7.0, num_images=2, kinds=kinds, followed=followed)
    assert found.steps == 2
    assert told == [(7, list(range(7)))]


def test_one_that_diverges_leaves_the_others(monkeypatch):
    """A network whose loss is not finite: no row of numbers, and the rest goes on."""
    broken = Kind("eps", "fixed-large", "variational")
    monkeypatch.setitem(
        ablation.OBJECTIVES, "variational", lambda p, x, t, eps: p(x, t)[0].mean.flatten(1).sum(1) * float("nan")
    )
    found = trained(usual_chain(4), steps=12, num_images=2, kinds=(PAPER, broken))
    assert list(found.bounds) == [PAPER]
    assert found.steps == 12
