"""The checks of types and shapes that all tests run under are there: without them a wrong shape would pass in silence."""

from dataclasses import dataclass

import pytest
import torch
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from ddpm.diffusion.decoder import log_likelihood
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import Schedule, linear
from tests.harness.checks import checked


@checked
def scaled(
    x: Float[Tensor, "batch *image"],  # noqa: F821
    by: Float[Tensor, " batch"],
    power: float = 1,
) -> Float[Tensor, " batch"]:
    return x.flatten(1).sum(1) * by**power if power < 3 else x


@checked
@dataclass(frozen=True)
class Pair:
    x: Float[Tensor, " n"]
    y: Float[Tensor, " n"]

    @staticmethod
    @checked
    def of(number: int) -> list[int]:
        return [number]


def test_shapes_that_fit_pass():
    assert torch.equal(scaled(torch.ones(2, 3, 4), torch.ones(2)), torch.tensor([12.0, 12]))
    assert scaled(torch.ones(2, 3), torch.ones(2), 2).shape == (2,)
    assert scaled(torch.ones(5, 3), torch.ones(5)).shape == (5,), "another size at the next call"
    assert Pair(torch.ones(2), torch.ones(2)).y.shape == (2,)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: scaled(torch.ones(2, 3), torch.ones(3)),
        lambda: scaled(torch.ones(2, 3), torch.ones(2, dtype=torch.int64)),
        lambda: scaled(torch.ones(2, 3), torch.ones(2), "1"),
        lambda: scaled(torch.ones(2, 3), torch.ones(2), power=3),
        lambda: Pair(torch.ones(2), torch.ones(3)),
        lambda: Pair.of("1"),
        lambda: ForwardProcess(linear(9)).sample(torch.ones(2, 3), torch.ones(2), torch.ones(2, 3)),
        lambda: Schedule(9),
        lambda: log_likelihood(torch.ones(2), Gaussian(torch.ones(2), torch.ones(2)), 2.5),
        lambda: ForwardProcess(9),
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(TypeCheckError):
        wrong()
