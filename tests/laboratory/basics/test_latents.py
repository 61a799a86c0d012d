"""Bits of latents: quadrature against Monte Carlo with the library's own bound, and the VAE against a simulated one."""

import math

import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import mmse, pixel_term
from ddpm.diffusion.bound import terms
from ddpm.diffusion.decoder import discretised, log_likelihood
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import Schedule, cosine
from ddpm.diffusion.variance import Optimal
from ddpm.laboratory.basics.latents import (
    PROBABILITIES,
    decoder_alone,
    elbo,
    first_parts,
    fixed_encoder,
    grey,
    halves,
    last_part,
)
from ddpm.seeds import generator
from tests.laboratory.test_verdicts import SCHEDULE, _ask, _says

F64 = torch.float64


def test_one_gaussian_is_not_two_points():
    found = minimize_scalar(
        lambda s: -math.log2(norm.cdf(0.75 / s) - norm.cdf(0.25 / s)), bounds=(0.1, 5), method="bounded"
    )
    assert decoder_alone() == pytest.approx(found.fun, abs=1e-6)


def test_the_parts_by_simulation():
    """L_T and the middle of 40,000 images by the bound that scores trained networks."""
    diffused = Diffused(halves(), cosine(8))
    errors = mmse(diffused)
    p, random = diffused.process(Optimal(errors), decoder=discretised(5)), generator(0, "latents")
    x_0 = diffused.data.sample(40_000, random)
    found = {term.t: term.nats / math.log(2) for term in terms(p, x_0, random)}
    prior, middle = first_parts(diffused)
    summed = sum(nats for t, nats in found.items() if 1 < t <= 8)
    assert float(found[9].mean()) == pytest.approx(prior, abs=1e-9)
    assert float(summed.mean()) == pytest.approx(middle, abs=4 * float(summed.std()) / 200)
    assert last_part(diffused, 5) < float(found[1].mean())  # the best sigma_1 is no worse than any other


@SCHEDULE
@pytest.mark.parametrize("T", [10, *(pytest.param(T, marks=pytest.mark.long) for T in (50, 250, 1000))])
def test_dimension_what_is_worth_keeping(name, T):
    _, text, rows = _ask("dimension", name, T)
    steps, both, one, none = rows[-1]
    assert steps == min(T, 100)
    assert one == pytest.approx((both + none) / 2, abs=1e-9)  # the pixels are independent
    _says(
        text,
        both < one,
        ("latents for both pixels come within", "두 픽셀을 모두 남기면"),
        ("costs more than it saves", "더 든다. 둘 다"),
    )


def test_a_vae_by_simulation():
    """Both terms of its bound for 200,000 images, drawn."""
    p = torch.tensor(PROBABILITIES, dtype=F64)
    mean, log_sd = torch.tensor([[-1.0, 0.0, 0.4, 1.5], [-1.2, -0.8, -1.0, -0.5]], dtype=F64)
    decoded, log_sigma = torch.tensor([-0.7, -0.2, 0.2, 0.8], dtype=F64), torch.tensor(-1.3, dtype=F64)
    prior, reconstruction = (float(nats) for nats in elbo(mean, log_sd, decoded, log_sigma))
    random = generator(0, "vae by simulation")
    k = torch.multinomial(p, 200_000, replacement=True, generator=random)
    z = mean[k] + log_sd[k].exp() * torch.randn(len(k), generator=random, dtype=F64)
    likelihood = torch.distributions.Normal(mean, log_sd.exp()).log_prob(z[:, None])
    given = (p.log() + likelihood).softmax(1)
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(z)
    rate = likelihood[torch.arange(len(k)), k] - log_prior
    x_0 = grey().mean[k]
    missed = -log_likelihood(x_0, Gaussian((given * decoded).sum(1, keepdim=True), (2 * log_sigma).expand_as(x_0)), 9)
    assert float(rate.mean()) == pytest.approx(prior, abs=4 * float(rate.std()) / math.sqrt(len(k)))
    assert float(missed.mean()) == pytest.approx(reconstruction, abs=4 * float(missed.std()) / math.sqrt(len(k)))


def test_a_vae_with_a_fixed_encoder_is_a_diffusion_of_one_step():
    logit, log_sigma = torch.tensor(2.0, dtype=F64), torch.tensor(-1.5, dtype=F64)
    prior, reconstruction = elbo(*fixed_encoder(logit, log_sigma))
    diffused = Diffused(grey(), Schedule(torch.stack([torch.zeros((), dtype=F64), 1 - logit.sigmoid()])))
    assert float(prior) / math.log(2) == pytest.approx(first_parts(diffused)[0], rel=1e-9)
    assert first_parts(diffused)[1] == 0
    by_points = pixel_term(diffused, diffused, discretised(9), math.exp(-3.0))
    assert float(reconstruction) == pytest.approx(by_points, rel=1e-6)


def test_the_best_fixed_encoder_by_a_search(answers):
    """No alpha_bar and sigma_1 of a grid do better than those that were found, and some come near."""
    found = answers("vae").tables[0].rows[1][4]
    grid = [
        float(sum(elbo(*fixed_encoder(logit, log_sigma)))) / math.log(2)
        for logit in torch.linspace(-3, 8, 23, dtype=F64)
        for log_sigma in torch.linspace(-3, 0, 16, dtype=F64)
    ]
    assert found - 1e-6 < min(grid) < found + 0.02


def test_vae_beside_diffusion(answers):
    """Sums, order, and the words about which is better."""
    text, rows = answers("vae").text, answers("vae").tables[0].rows
    entropy = -sum(p * math.log2(p) for p in PROBABILITIES)
    for _, prior, middle, reconstruction, L, excess in rows:
        assert prior + middle + reconstruction == pytest.approx(L)
        assert L - entropy == pytest.approx(excess, abs=1e-9)
        assert excess > 0
    noise, fixed, learned, *chains = rows
    assert learned[4] < fixed[4] < noise[4]
    assert [row[4] for row in chains] == sorted((row[4] for row in chains), reverse=True)
    first = next(row for row in chains if row[5] < learned[5])
    _says(
        text,
        True,
        (f"beats it has {first[0].split(',')[0]}", f"{first[0].split(',')[0]}일 때다"),
        ("no chain here", "어느 체인도"),
    )
    assert chains[-1][2] > 0.99 * chains[-1][4]  # "nearly all of it is middle"
    assert chains[-1][5] < 0.01
