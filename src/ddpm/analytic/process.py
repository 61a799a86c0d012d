"""Known data as a trained network: q at every step, and p_theta with the best mean there is.

A mixture in one dimension is taken as the law of every coordinate, independently; else images (batch, ...) have as many
coordinates as the mixture has dimensions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.analytic.mixture import Mixture
from ddpm.diffusion.decoder import Decoder, log_density
from ddpm.diffusion.flow import scales, towards
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.prediction import Epsilon, Prediction
from ddpm.diffusion.reverse import Network, ReverseProcess, unlimited
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, Variance
from ddpm.tensors import ImageBatch, PerImage, Times, at

PUBLISHED, EPSILON = FixedLarge(), Epsilon()


@dataclass(frozen=True, eq=False)
class Diffused:
    """Data and a schedule: everything that q knows."""

    data: Mixture
    schedule: Schedule

    def marginal(self, t: int) -> Mixture:
        """q(x_t), for t in 0..T."""
        self.schedule.check(t, first=0)
        return self.data.noised(self.schedule.alpha_bar[t].sqrt(), self.schedule.one_minus_alpha_bar[t])

    def origin(self, x_t: ImageBatch, t: Times) -> Mixture:
        """q(x_0|x_t), a mixture for each row of x_t, flattened to the mixture's dimensions."""
        self.schedule.check(t)
        rows = self._rows(x_t)
        a, s = (
            self._for_rows(table, t, len(rows))
            for table in (self.schedule.alpha_bar.sqrt(), self.schedule.one_minus_alpha_bar)
        )
        return self.data.given(rows, a, s)

    def reverse(self, x_t: ImageBatch, t: int) -> Mixture:
        """q(x_{t-1}|x_t): the kernel that p_theta approximates by a Gaussian, itself a mixture (E36); t in 2..T."""
        self.schedule.check(t, first=2)
        return self.marginal(t - 1).given(self._rows(x_t), self.schedule.alpha[t].sqrt(), self.schedule.beta[t])

    def x_0(self, x_t: ImageBatch, t: Times) -> ImageBatch:
        """E[x_0|x_t]: no estimate has a smaller squared error (E57)."""
        return self.origin(x_t, t).expectation.reshape(x_t.shape).to(x_t)

    def score(self, x_t: ImageBatch, t: Times) -> ImageBatch:
        """The gradient of log q(x_t) by x_t, by Tweedie's formula (E57)."""
        signal, noise = at(self.schedule.alpha_bar, t, x_t), at(self.schedule.one_minus_alpha_bar, t, x_t)
        return (signal.sqrt() * self.x_0(x_t, t) - x_t) / noise

    def velocity(self, x: ImageBatch, log_snr: float) -> ImageBatch:
        """The probability flow of the data, dx/d(log SNR) at any noise level (`ddpm.diffusion.flow`), on a step or not."""
        a, s = scales(log_snr)
        origin = self.data.given(self._rows(x), a, s**2)
        return towards(x, origin.expectation.reshape(x.shape).to(x), log_snr)

    def log_prob(self, x_t: ImageBatch, t: int) -> PerImage:
        """Log of q(x_t), nats for each image; t = 0 only where the data have a density."""
        return self.marginal(t).log_prob(self._rows(x_t)).reshape(len(x_t), -1).sum(1)

    def network(self, prediction: Prediction) -> Network:
        """The best network: told t's number as a trained one is, it returns E[target|x_t] of the prediction."""

        def best(x_t: Tensor, timestep: Tensor) -> Tensor:
            t = self.schedule.step_of(timestep)
            x_0 = self.x_0(x_t, t)
            return prediction.target(self.schedule, x_0, ForwardProcess(self.schedule).noise(x_t, x_0, t), t)

        return best

    def process(
        self, variance: Variance = PUBLISHED, prediction: Prediction = EPSILON, decoder: Decoder = log_density
    ) -> ReverseProcess:
        """p_theta with the best mean: unlimited, and with a density as its decoder unless another is given."""
        return ReverseProcess(self.network(prediction), self.schedule, prediction, variance, unlimited, decoder)

    def _rows(self, x: ImageBatch) -> Tensor:
        """(batch, ...) as rows of the mixture's dimensions, in float64."""
        return x.reshape(-1, self.data.dims).to(torch.float64)

    def _for_rows(self, table: Tensor, t: Times, rows: int) -> Tensor:
        if isinstance(t, int):
            return table[t]
        return table[t.cpu()].repeat_interleave(rows // len(t))
