"""Each question on a trained network: its numbers against evaluations of their own, and theory where the network is exact."""

import math
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddpm.analytic.bound import gaussian_spread, mmse_of_gaussian
from ddpm.analytic.mixture import gaussian, two_points
from ddpm.analytic.ordering import in_order
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import kernel_entropy, mmse
from ddpm.codec.codec import Codec
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.bound import term, terms
from ddpm.diffusion.gaussian import kl
from ddpm.diffusion.schedule import cosine, linear
from ddpm.errors import NotFound, UsageError
from ddpm.evaluation.rate import in_float64
from ddpm.figures.style import svg
from ddpm.laboratory.estimators import remembering
from ddpm.laboratory.own.questions import ON_MODEL, find_on_model
from ddpm.laboratory.own.rate import ORDERS, by_order
from ddpm.laboratory.own.subject import Subject, law_of
from ddpm.laboratory.own.variances import position
from ddpm.laboratory.questions import QUESTIONS
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import noise_from
from ddpm.trained.coded import NO_CODEC, NO_RUN, NOT_INSTALLED, codec_or_why
from ddpm.trained.coding import profile_file
from ddpm.trained.loaded import load_run
from ddpm.trained.measures.real_bytes import whole_images
from tests.laboratory.own.conftest import stood_in

LOG2 = math.log(2)


def _numbers(text):
    return set(re.findall(r"\d+\.\d+(?:e-?\d+)?", text))


@pytest.mark.parametrize("name", ON_MODEL)
def test_an_answer_is_whole(own_answers, name):
    """In both languages with the same numbers, tables without NaN, a figure that can be drawn."""
    answer = own_answers[name]
    assert answer.text.en.startswith("Theory: ")
    assert answer.text.ko.startswith("이론: ")
    assert _numbers(answer.text.en) == _numbers(answer.text.ko)
    for table in answer.tables:
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert not any(math.isnan(cell) for row in table.rows for cell in row if isinstance(cell, float))
    assert svg(answer.figure).startswith("<svg")


@pytest.mark.parametrize("name", ON_MODEL)
def test_the_columns_agree_where_the_network_is_the_exact_model(exact_answers, name):
    """Each column of the network beside that of the theory, to what a network in float32 can say."""
    pairs, close = 0, {"Q24": {"abs": 0.15}}.get(name, {"rel": 2e-3, "abs": 1e-6})  # Q24: closed form, and 24 images
    for table in exact_answers[name].tables:
        columns = list(table.columns)
        for i, column in enumerate(columns):
            if "exact model" in column and column.replace("exact model", "this network") in columns:
                pairs += 1
                for row in table.rows:
                    mine = row[columns.index(column.replace("exact model", "this network"))]
                    assert mine == pytest.approx(row[i], **close), (column, row)
    assert pairs or name == "masking"


def test_q5_has_real_files(own_subject, own_answers):
    """Those of the run's codec: the first is what `compress` makes, and all of a file is exact."""
    answer, codec = own_answers["Q5"], own_subject.codec()
    files = codec.compress(whole_images(own_subject.images))
    size = np.mean([len(file) for file in files])
    bits, bound = 8 * size / 64, own_subject.by_network.bound.total
    assert f"take {size:,.1f} bytes each, header included" in answer.text.en
    assert f"{bits:.4f} bits/dim, {bits / bound:.3f} times the bound" in answer.text.en
    table = answer.tables[1]
    assert table.columns[0] == "bytes of a file"
    assert table.rows[-1][2] == 0
    assert [row[1] for row in table.rows] == [pytest.approx(8 * row[0] / 64) for row in table.rows]
    (line,) = [one for one in answer.figure.axes[1].get_lines() if one.get_label() == "its real files"]
    assert line.get_ydata()[-1] == 0


@pytest.mark.parametrize(
    ("why", "words"), [(NO_RUN, "those of a run"), (NOT_INSTALLED, "pip install"), (NO_CODEC, "ddpm compress RUN")]
)
def test_q5_says_why_there_are_no_real_files(exact_subject, why, words):
    answer = ON_MODEL["Q5"](replace(exact_subject, codec=lambda: why))
    assert words in answer.text.en
    assert why.ko in answer.text.ko
    assert len(answer.tables) == 1


def test_a_codec_that_cannot_be_had(trained, tmp_path, monkeypatch):
    """Without the coder, of a damaged profile, and of no run."""
    model = load_run(str(shutil.copytree(trained, tmp_path / "run")), "ema", torch.device("cpu"))
    assert codec_or_why(replace(model, called="a function")) is NO_RUN
    with monkeypatch.context() as patch:
        patch.setattr("ddpm.trained.coded.find_spec", lambda name: None)
        assert codec_or_why(model) is NOT_INSTALLED
    profile_file(model).parent.mkdir(exist_ok=True)
    profile_file(model).write_text("{}")
    assert codec_or_why(model) is NO_CODEC
    profile_file(model).unlink()
    assert isinstance(codec_or_why(model), Codec)


def test_another_network_is_told_from_the_exact_one():
    answer = ON_MODEL["Q5"](stood_in(scale=0.9))
    assert "has not yet learned" in answer.text.en


def test_q22_terms_are_those_of_the_bound(own_subject, own_answers):
    p = own_subject.network
    noise = NoiseForEach([generator(0, "bound", row) for row in range(8)])
    wide = own_subject.of_network()
    found = {one.t: float(one.nats.mean()) / (64 * LOG2) for one in terms(wide, own_subject.x_0, noise)}
    parts, by_t = own_answers["Q22"].tables
    rows = {row[0]: row for row in parts.rows}
    assert rows["L"][2] == pytest.approx(sum(found.values()), rel=1e-9)
    assert rows["L_0"][2] == pytest.approx(found[1], rel=1e-9)
    assert rows["L_T, bits/dim"][2] == pytest.approx(found[p.schedule.T + 1], rel=1e-9)
    assert [row[5] for row in by_t.rows] == pytest.approx([found[row[0]] for row in by_t.rows], rel=1e-9)
    share = sum(found[t] for t in range(2, 3)) / sum(found[t] for t in range(2, 13))
    assert rows["share of t = 2..2: of the sum of L_{t-1}"][2] == pytest.approx(share, rel=1e-9)


def test_q20_a_term_is_that_of_eq_5(own_subject, own_answers):
    """Drawn once more by hand: x_T, then for each t an x_t, and an x_{t-1} that the closed form does not need."""
    repeats = 4  # 32 chains of 8 images
    x_0 = own_subject.x_0.repeat(repeats, 1, 1, 1)
    p, draw = own_subject.of_network(repeats), noise_from(generator(0, "estimators", "independent"))
    draw(x_0)
    found = {}
    for t in p.schedule.steps:
        x_t = p.q.sample(x_0, t, draw(x_0))
        if t > 1:
            draw(x_0)
            nats = kl(p.q.posterior(x_t, x_0, t), p(x_t, t)[0]).flatten(1).sum(1)
        else:
            nats = term(p, x_0, x_t, 1)[0]
        found[t] = nats
    rows = {row[0]: row for row in own_answers["Q20"].tables[1].rows}
    for t in (1, 6, 12):
        assert rows[t][3] == pytest.approx(float(found[t].mean()), rel=1e-9)
    by_image = torch.stack([found[t] for t in range(2, 13)]).unflatten(1, (repeats, -1))
    spread = float(by_image.var(1).mean(1).sum())
    assert own_answers["Q20"].tables[0].rows[2][4] == pytest.approx(spread, rel=1e-9)


def test_q20_three_estimates_of_one_sum(exact_answers):
    rows = {row[0]: row[1:] for row in exact_answers["Q20"].tables[1].rows}
    sums, errors = rows["the whole sum"], rows["its standard error"]
    assert abs(sums[0] - sums[2]) < 4 * math.hypot(errors[0], errors[2])
    assert abs(sums[1] - sums[2]) < 4 * math.hypot(errors[1], errors[2])


def test_a_network_is_asked_once_for_an_x_t():
    """Of its values, not of the tensor, which may be filled anew; and of its label."""
    asked, one = [], torch.ones(2)
    network = remembering(lambda x, t, *label: asked.append(float(t[0])) or x + t + sum(label))
    x, y = torch.zeros(2), torch.ones(2)
    found = [network(x, one), network(x, one), network(y, 2 * one), network(x, 3 * one)]
    found += [network(x.add_(4), 3 * one), network(x, 3 * one, y), network(x, 3 * one, 2 * y)]
    assert asked == [1, 2, 3, 3, 3, 3]
    assert [float(output[0]) for output in found] == [1, 1, 3, 3, 7, 8, 9]


def test_q23_by_errors_alone_is_what_is_measured(exact_answers):
    """The network's own variance is beta: its measured terms are those that its squared errors tell (E47)."""
    rows = {row[0]: row[1:] for row in exact_answers["Q23"].tables[0].rows}
    assert rows["its own"] == pytest.approx(rows["beta"], rel=1e-4)
    assert all(
        best <= min(others) for best, *others in zip(rows["optimal"], rows["beta"], rows["beta-tilde"], strict=True)
    )


def test_q24_the_entropy_is_that_of_the_kernel():
    schedule = cosine(20)
    diffused = Diffused(gaussian(0.25), schedule)
    along = schedule.beta_tilde + schedule.posterior_x_0**2 * gaussian_spread(diffused)[:, 0]
    for t in (2, 10, 20):
        low, high = (
            0.5 * math.log(2 * math.pi * math.e * float(table[t])) for table in (schedule.beta_tilde, schedule.beta)
        )
        expected = (kernel_entropy(diffused, t) - low) / (high - low)
        assert float(position(schedule, along)[t]) == pytest.approx(expected, abs=1e-8)


def test_q25_the_error_of_the_mean(own_subject, own_answers):
    """By Eq. 8 directly: mu-tilde less the mean of p_theta."""
    noise = NoiseForEach([generator(0, "bound", row) for row in range(8)])
    p, x_0, found = own_subject.of_network(), own_subject.x_0, {}
    for t in p.schedule.steps:
        x_t = p.q.sample(x_0, t, noise(x_0))
        found[t] = float((p.q.posterior(x_t, x_0, t).mean - p(x_t, t)[0].mean).square().mean())
    for t, *_, error, nats in own_answers["Q25"].tables[0].rows:
        assert error == pytest.approx(found[t], rel=1e-6)
        assert nats == pytest.approx(found[t] / (2 * float(p.schedule.beta[t])), rel=1e-6)


def test_q4_the_denoising_loss_is_that_of_the_score(own_subject, own_answers):
    noise = NoiseForEach([generator(0, "bound", row) for row in range(8)])
    p, x_0, found = own_subject.of_network(), own_subject.x_0, {}
    for t in p.schedule.steps:
        eps = noise(x_0)
        target = -eps / float(p.schedule.one_minus_alpha_bar[t].sqrt())
        found[t] = float((p.score(p.q.sample(x_0, t, eps), t) - target).square().mean())
    for t, _, loss, _, _ in own_answers["Q4"].tables[0].rows:
        assert loss == pytest.approx(found[t], rel=1e-6)


def test_q4_both_samplers_cost_the_same(exact_answers):
    (_, none, *_), (_, ancestral, *_), (_, langevin, *_) = exact_answers["Q4"].tables[1].rows
    assert none == 0
    assert ancestral == 12
    assert langevin == 21  # two levels at least, ten steps each, and one for the estimate


@pytest.mark.parametrize("order", ORDERS)
def test_masking_conditionals_multiply_to_the_joint(exact_subject, order):
    law, rows = exact_subject.law, exact_subject.x_0.flatten(1)
    places = ORDERS[order](torch.arange(6).reshape(1, 1, 6), 0)
    assert sorted(places.tolist()) == list(range(6))
    found = in_order(law, rows, places)
    x = rows[:, places]
    nats = 0.5 * ((x - found.mean) ** 2 / found.log_var.exp() + found.log_var + math.log(2 * math.pi))
    assert torch.allclose(-nats.sum(1), law.log_prob(rows))
    assert float(found.mse_left[0]) == pytest.approx(float((rows - law.expectation).square().mean()))
    known, rest = places[:2], places[2:]  # by normal equations
    gain = torch.linalg.solve(law.covariance[known][:, known], law.covariance[known][:, rest])
    off = rows - law.expectation
    left = (off[:, rest] - off[:, known] @ gain).square().sum(1).mean() / 6
    assert float(found.mse_left[2]) == pytest.approx(float(left))


def test_masking_narrow_bins_cost_what_the_density_does(exact_subject):
    """256 levels are narrow beside these Gaussians: the mass of a bin is the density times its width."""
    bits, _ = by_order(exact_subject, "row by row")
    density = exact_subject.law.log_prob(exact_subject.x_0.flatten(1)) / 6 + math.log(2 / 255)
    assert float(bits.mean()) == pytest.approx(-float(density.mean()) / LOG2, rel=2e-3)


def test_the_closed_form_of_the_error():
    diffused = Diffused(gaussian(0.25), linear(30))
    assert torch.allclose(mmse_of_gaussian(diffused), mmse(diffused))
    with pytest.raises(ValueError, match="one component"):
        mmse_of_gaussian(Diffused(two_points(), linear(30)))
    with pytest.raises(ValueError, match="one Gaussian"):
        in_order(two_points(), torch.zeros(1, 1, dtype=torch.float64), torch.arange(1))


def test_the_closed_form_is_what_the_exact_model_does():
    """In six dimensions, without a limit, on many images of the law."""
    subject = stood_in(num=4)
    x_0 = subject.law.sample(20_000, generator(3))
    x_t = subject.network.q.sample(x_0, 6, torch.randn(x_0.shape, generator=generator(4), dtype=x_0.dtype))
    error = (subject.diffused.x_0(x_t, 6) - x_0).square().mean(1)
    assert float(error.mean()) == pytest.approx(float(subject.mmse[6]), abs=4 * float(error.std()) / 141)


def test_the_law_of_images():
    """Mean and covariance of the pixels, and a level's rounding where nothing varies."""
    pixels = torch.tensor([[0, 7], [0, 9], [0, 14], [0, 16]], dtype=torch.uint8).reshape(4, 1, 1, 2)
    law = law_of(ImageSet("four", pixels, 17))
    rows = pixels.reshape(4, 2).double() / 8 - 1
    rounding = (1 / 8) ** 2 / 12
    assert torch.allclose(law.expectation, rows.mean(0))
    assert torch.allclose(law.covariance, torch.cov(rows.T, correction=0) + rounding * torch.eye(2))


def test_labels_are_told(exact_subject):
    """Of a model that knows classes the network hears each image's own."""
    heard = []

    def network(x_t, timestep, label):
        heard.append(label.tolist())
        return torch.zeros_like(x_t)

    labels = torch.arange(24) % 3
    p = exact_subject.network
    subject = Subject("classes", type(p)(network, p.schedule), exact_subject.law, exact_subject.images,
                      exact_subject.others, labels)  # fmt: skip
    assert subject.by_network.bound.images == 24
    batches = [labels[:16].tolist(), labels[16:].tolist()]
    assert all(one in batches for one in heard)
    assert all(one in heard for one in batches)
    heard.clear()
    x_t = subject.x_0.repeat(2, 1, 1, 1)
    subject.of_network(2)(x_t, 3)
    assert heard == [labels.tolist() * 2]
    assert in_float64(network) is not network


def test_what_cannot_be_asked(exact_subject):
    with pytest.raises(UsageError, match="exact models alone; on your own model Q4, Q5, Q20"):
        find_on_model("Q1")
    with pytest.raises(UsageError, match="Q36"):
        find_on_model("Q36")
    assert find_on_model("q20") == "Q20"
    assert set(ON_MODEL) <= set(QUESTIONS)
    with pytest.raises(NotFound, match="at least two images"):
        Subject("one", exact_subject.network, exact_subject.law, exact_subject.images.take(torch.arange(1)),
                exact_subject.others)  # fmt: skip
