r"""EDM's denoiser D(x; sigma), read as a reverse process (Karras et al. 2022): the estimate of x_0 at a noise level.

Noise is added there, :math:`\bar x = x_0 + \sigma\epsilon`; here the image shrinks too (Eq. 4). It is the same up to a scale:
:math:`\bar x = x_t/\sqrt{\bar\alpha_t}` and :math:`\sigma_t = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}`, with no approximation.
"""

from collections.abc import Callable

from torch import Tensor, nn

from ddpm.diffusion.decoder import Decoder, log_likelihood
from ddpm.diffusion.prediction import X0
from ddpm.diffusion.reverse import ReverseProcess, named, takes, unit_clamp
from ddpm.diffusion.schedule import Schedule
from ddpm.diffusion.variance import FixedLarge, Variance
from ddpm.errors import UsageError

Denoiser = Callable[..., Tensor]
"""(x, sigma) -> estimate of x_0, or (x, sigma, label): x is (batch, ...) and sigma (batch,)."""
LARGE = FixedLarge()


def from_denoiser(
    denoiser: Denoiser,
    schedule: Schedule,
    variance: Variance = LARGE,
    limit: Callable[[Tensor], Tensor] = unit_clamp,
    decoder: Decoder = log_likelihood,
) -> ReverseProcess:
    r"""The chain of a denoiser: :math:`\hat x_0 = D(x_t/\sqrt{\bar\alpha_t}; \sigma_t)`, to be sampled and scored as any other.

    Args:
        denoiser: D. Given images (batch, C, H, W) in the units of x_0, [-1, 1], with noise of standard deviation sigma, (batch,),
            it returns its estimates of x_0; told a label third where it is one for classes. A raw network of EDM becomes one by
            `preconditioned`.
        schedule: any; its noise levels are where D is asked, and between them for the samplers that go there.
        variance: of the reverse process.
        limit: on the estimates of x_0, which EDM's own sampler does not have (`unlimited`).
        decoder: as in `ReverseProcess`.

    Raises:
        UsageError: D is no function of these arguments, or the schedule none; or nothing is left of the image at T,
            where sigma would be infinite.

    Example:
        >>> import ddpm, torch
        >>> def denoiser(x, sigma):  # of x_0 ~ N(0, 1), exactly
        ...     return x / (1 + sigma[:, None] ** 2)
        >>> p = ddpm.from_denoiser(denoiser, ddpm.linear(), limit=ddpm.unlimited)
        >>> ddpm.sample(p, (2, 5), ddpm.Heun(), steps=10).shape
        torch.Size([2, 5])
    """
    if not callable(denoiser):
        raise UsageError(f"a denoiser is a function (x, sigma), and labels third, not {type(denoiser).__name__}")
    if not isinstance(schedule, Schedule):  # pyright: ignore[reportUnnecessaryIsInstance] (anybody may call it)
        raise UsageError(f"the schedule is a ddpm.Schedule, such as ddpm.cosine(), not {schedule!r}")
    if not any(takes(denoiser, count) for count in (2, 3)):
        raise UsageError(f"a denoiser is called with (x, sigma), and labels third: {named(denoiser)}")
    if schedule.alpha_bar[-1] == 0:
        raise UsageError("a denoiser D(x; sigma) cannot be asked where alpha_bar_T = 0: sigma would be infinite")
    whole = schedule.whole
    log_sigma = -0.5 * whole.log_snr
    log_sigma[0] = log_sigma[1]  # of the clean image nobody asks
    told = Schedule(whole.beta, log_sigma, kind=whole.kind)
    p = ReverseProcess(_Told(denoiser), told, X0(), variance, limit, decoder)
    return p if schedule is whole else p.respace([int(t) for t in schedule.kept[1:]])


def preconditioned(network: Denoiser, sigma_data: float = 0.5) -> nn.Module:
    r"""EDM's denoiser of its raw network F (its Eq. 7 and Table 1).

    :math:`D(x; \sigma) = c_{skip}\,x + c_{out}\,F(c_{in}\,x;\ \tfrac14\ln\sigma)`, with
    :math:`c_{skip} = \frac{\sigma_d^2}{\sigma^2+\sigma_d^2}`, :math:`c_{out} = \frac{\sigma\,\sigma_d}{\sqrt{\sigma^2+\sigma_d^2}}`,
    :math:`c_{in} = \frac{1}{\sqrt{\sigma^2+\sigma_d^2}}`.

    Args:
        network: F, called as (c_in x, c_noise), shapes (batch, ...) and (batch,), and with a label third where there is one.
        sigma_data: the standard deviation of the data that it was trained for.

    Raises:
        UsageError: sigma_data is not positive.

    Example:
        >>> import ddpm, torch
        >>> D = ddpm.preconditioned(lambda x, c_noise: torch.zeros_like(x), sigma_data=1.0)
        >>> D(torch.ones(1, 2), torch.tensor([1.0]))
        tensor([[0.5000, 0.5000]])
    """
    if not sigma_data > 0:
        raise UsageError(f"the standard deviation of the data must be more than 0: {sigma_data}")
    return _Preconditioned(network, sigma_data)


class _Told(nn.Module):
    """A network that is told log sigma, of a denoiser; a module, so that its weights are found where it has some."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.__name__ = named(denoiser)

    def forward(self, x_t: Tensor, log_sigma: Tensor, *label: Tensor) -> Tensor:
        sigma = log_sigma.exp()
        return self.denoiser(x_t * _beside((1 + sigma**2).sqrt(), x_t), sigma, *label)


class _Preconditioned(nn.Module):
    """D of F."""

    def __init__(self, network: Denoiser, sigma_data: float) -> None:
        super().__init__()
        self.network, self.sigma_data = network, sigma_data

    def forward(self, x: Tensor, sigma: Tensor, *label: Tensor) -> Tensor:
        variance, total = self.sigma_data**2, sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = variance / total, sigma * self.sigma_data / total.sqrt(), 1 / total.sqrt()
        F_x = self.network(_beside(c_in, x) * x, sigma.log() / 4, *label)
        return _beside(c_skip, x) * x + _beside(c_out, x) * F_x


def _beside(value: Tensor, x: Tensor) -> Tensor:
    """(batch,) as (batch, 1, ..., 1), of x's dtype."""
    return value.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
