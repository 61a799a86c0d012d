"""T6: Eq. 13 against 76 values of 20 digits; masses sum to one; edges; any number of levels; gradients."""

import math

import pytest
import torch

from ddpm.diffusion.decoder import discretised, log_density, log_likelihood
from ddpm.diffusion.gaussian import Gaussian


def _case(case, dtype):
    x, mu, sigma = (torch.tensor([[float(case[k])]], dtype=dtype) for k in ("x", "mu", "sigma"))
    return x, Gaussian(mu, 2 * sigma.log())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 2e-12), (torch.float32, 5e-5)])
def test_reference_cases(reference, dtype, tolerance):
    """T6: Eq. 13 in 76 cases of 20 digits."""
    assert len(reference["decoder"]) == 76
    for case in reference["decoder"]:
        expected = float(case["logp_nats"])
        ours = float(log_likelihood(*_case(case, dtype)))
        assert ours == pytest.approx(expected, rel=tolerance, abs=0 if abs(expected) > 1e-44 else 1e-44), case["label"]


@pytest.mark.parametrize("levels", [2, 3, 17, 256, 65536])
@pytest.mark.parametrize(
    ("mean", "sigma"), [(0.0, 0.5), (0.99, 0.01), (-3.0, 0.2), (0.1, 1e-4), (0.3, 100.0), (1e3, 1.0)]
)
def test_masses_sum_to_one(levels, mean, sigma):
    """Eq. 13 is a distribution."""
    x = torch.linspace(-1, 1, levels, dtype=torch.float64)[:, None]
    gaussian = Gaussian(torch.full_like(x, mean), torch.full_like(x, 2 * math.log(sigma)))
    total = torch.logsumexp(log_likelihood(x, gaussian, levels).flatten(), 0)
    assert float(total) == pytest.approx(0, abs=1e-11)


def test_the_outer_bins_are_open():
    """E61: a mean far outside makes the edge level certain, not impossible."""
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    far = Gaussian(torch.tensor([[-5.0], [5.0]], dtype=torch.float64), torch.full((2, 1), -6.0, dtype=torch.float64))
    assert log_likelihood(x, far).abs().max() < 1e-12


def test_two_levels_are_a_coin():
    x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    gaussian = Gaussian(torch.zeros_like(x), torch.zeros_like(x))
    torch.testing.assert_close(discretised(2)(x, gaussian), torch.full_like(x, math.log(0.5)))


def test_the_bin_is_two_255ths_wide():
    """ERR-59: a width of 1/255, as one of the notes has it, halves a narrow bin's mass."""
    x = torch.zeros(1, 1, dtype=torch.float64) + 1 / 255
    wide = Gaussian(x.clone(), torch.full_like(x, 2 * math.log(0.5)))
    density_times_width = float(log_density(x, wide)) + math.log(2 / 255)
    assert float(log_likelihood(x, wide)) == pytest.approx(density_times_width, abs=2e-5)


def test_no_clamp_and_no_dead_gradient_in_the_tail():
    """E64: published code floors at -27.6 nats with gradient 0; here ten million standard deviations still pull."""
    x = torch.tensor([[1.0, 0.2]])
    mean = torch.tensor([[-1.0, -0.9]], requires_grad=True)
    log_var = torch.full((1, 2), 2 * math.log(1e-5), requires_grad=True)
    value = log_likelihood(x, Gaussian(mean, log_var))
    value.sum().backward()
    assert (value < -1e9).all()
    assert mean.grad.isfinite().all()
    assert (mean.grad > 1e8).all()
    assert log_var.grad.isfinite().all()
    assert (log_var.grad > 0).all()


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_gradients_agree_with_finite_differences(level):
    x = torch.tensor([[2 * level / 255 - 1]], dtype=torch.float64)
    mean = torch.tensor([[0.05]], dtype=torch.float64, requires_grad=True)
    log_var = torch.tensor([[-3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, v: log_likelihood(x, Gaussian(m, v)), (mean, log_var), atol=1e-6)


def test_all_levels_of_float32_images_find_their_bins():
    """A perfect, certain mean gives every one of 256 and 65,536 levels probability one, also after float32 rounding."""
    for levels in (256, 65536):
        x = torch.arange(levels).float()[:, None] * (2 / (levels - 1)) - 1
        sure = Gaussian(x.clone(), torch.full_like(x, 2 * math.log(0.1 / (levels - 1))))
        assert log_likelihood(x, sure, levels).abs().max() < 1e-6
