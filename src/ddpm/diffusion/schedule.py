r"""The variance schedule :math:`\beta_1, \ldots, \beta_T` and all that follows from it (section 2; E7, E14-E17, E30-E31).

`t` is the paper's, 1..T: every table has T+1 entries and entry 0 is the clean image, so ``alpha_bar[t - 1]`` needs
no second array. Tables are float64 and formed in log space: the last digit of ``1 - alpha_bar[1]`` is right.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from ddpm.checks import check_whole
from ddpm.errors import warn
from ddpm.tensors import Times

INTEGERS = (torch.int64, torch.int32)
"""The dtypes that a tensor of steps may have: those that index a table."""


class SignalRemains(UserWarning):
    """x_T still carries the image, so sampling from N(0, I) starts elsewhere than training ended, and L_T is large."""


@dataclass(frozen=True, eq=False, init=False)
class Schedule:
    r"""The tables of a diffusion; a frozen value, never part of a `state_dict`.

    `beta` holds :math:`\beta_t` at index t, with ``beta[0] = 0``. `timestep_map[t]` is what the network is told at
    step t: t - 1 where none is given, as for the published weights (which count from 0). `origin` is the schedule from
    which `respace` took these steps (None: these are all), and `kept[t]` is the step there: t where none are given.
    `beta` is (T+1,) float64, the other two (T+1,) int64; a network may also be told real numbers, float64. `kind` is its name
    in `SCHEDULES`, if it has one.

    Example:
        >>> import ddpm
        >>> schedule = ddpm.linear()
        >>> schedule
        Schedule(linear, T = 1000, beta 0.0001 to 0.02)
        >>> schedule.T, float(schedule.beta[1]), float(schedule.alpha_bar[0])
        (1000, 0.0001, 1.0)
        >>> ddpm.linear().respace([250, 500, 750, 1000]).timestep_map.tolist()
        [0, 249, 499, 749, 999]

    Raises:
        ValueError: unless ``0 < beta[t] < 1``; only ``beta[T] = 1`` is allowed, and then alpha_bar[T] = 0 (see
            `Prediction`: epsilon cannot be inverted there).

    Warns:
        SignalRemains: alpha_bar[T] is so large that L_T of a white pixel exceeds 0.01 bits; not again of a respaced one
            that keeps T.
    """

    beta: Float64[Tensor, " T_plus_1"]
    timestep_map: Int64[Tensor, " T_plus_1"] | Float64[Tensor, " T_plus_1"]
    origin: "Schedule | None" = field(repr=False)
    kept: Int64[Tensor, " T_plus_1"] = field(repr=False)
    kind: str | None

    def __init__(
        self,
        beta: Tensor,
        timestep_map: Tensor | None = None,
        origin: "Schedule | None" = None,
        kept: Tensor | None = None,
        kind: str | None = None,
    ) -> None:
        steps = torch.arange(len(beta))
        tables = {
            "beta": beta,
            "timestep_map": (steps - 1).clamp(min=0) if timestep_map is None else timestep_map,
            "origin": origin,
            "kept": steps if kept is None else kept,
            "kind": kind,
        }
        for name, value in tables.items():
            object.__setattr__(self, name, value)  # frozen
        _validate(self.beta, timestep_map=self.timestep_map, kept=self.kept)
        alpha_bar_T = float(self.alpha_bar[-1].detach())
        said_before = self.origin is not None and int(self.kept[-1]) == self.origin.T
        if not said_before and -0.5 * math.log1p(-alpha_bar_T) > 0.01 * math.log(2):
            warn(
                f"alpha_bar_T = {alpha_bar_T:.4g} leaves signal in x_T after T = {self.T} steps; samples that start "
                "from N(0, I) will not match the data: use more steps or larger betas",
                SignalRemains,
            )

    def __repr__(self) -> str:
        beta = self.beta[1:].detach()
        kind = f"{self.kind}, " if self.kind else ""
        of = f" of {self.origin.T}" if self.origin else ""
        return f"Schedule({kind}T = {self.T}{of}, beta {float(beta.min()):.3g} to {float(beta.max()):.3g})"

    @property
    def T(self) -> int:
        """Number of steps."""
        return len(self.beta) - 1

    @property
    def whole(self) -> "Schedule":
        """All the steps at which the network was trained: `origin`, or this one."""
        return self.origin or self

    @property
    def steps(self) -> range:
        """T, ..., 1: the order of the reverse process."""
        return range(self.T, 0, -1)

    def step_of(self, timestep: Tensor) -> Tensor:
        """The steps at which a network is told these numbers: `timestep_map`, inverted; on the CPU.

        Raises:
            ValueError: a number that it is told at no step, as between two of them.
        """
        told = timestep.cpu().double()
        found = torch.searchsorted(self.timestep_map[1:].double(), told - 1e-6) + 1
        if bool((found > self.T).any()) or bool(((self.timestep_map[found] - told).abs() > 1e-6).any()):
            raise ValueError(f"no step of this schedule is told to a network as {timestep}")
        return found

    def check(self, t: Times, first: int = 1) -> None:
        """Refuse what is no step of first..T.

        Values on an accelerator are not read back (that would stall it): there a `t` outside 0..T fails in `at`.

        Raises:
            ValueError: `t` is neither an integer in first..T nor a tensor of such.
        """
        if isinstance(t, int):
            if not first <= t <= self.T:
                raise ValueError(f"t must be in {first}..{self.T}, got {t}")
        elif not _integers(t):
            what = getattr(t, "dtype", type(t).__name__)
            raise ValueError(f"t must be an int or a tensor of integers in {first}..{self.T}, got {what}")
        elif t.device.type == "cpu" and bool(((t < first) | (t > self.T)).any()):
            raise ValueError(f"t must be in {first}..{self.T}, got {t}")

    @cached_property
    def log_alpha_bar(self) -> Tensor:
        r""":math:`\log\bar\alpha_t`; -inf where nothing is left of the image."""
        return torch.log1p(-self.beta).cumsum(0)

    @cached_property
    def alpha(self) -> Tensor:
        r""":math:`\alpha_t = 1 - \beta_t`."""
        return 1 - self.beta

    @cached_property
    def alpha_bar(self) -> Tensor:
        r""":math:`\bar\alpha_t = \prod_{s\le t}\alpha_s`, the fraction of the image's power that is left."""
        return self.log_alpha_bar.exp()

    @cached_property
    def one_minus_alpha_bar(self) -> Tensor:
        r""":math:`1 - \bar\alpha_t`, the variance of the noise in x_t."""
        return _clean(0.0, -torch.expm1(self.log_alpha_bar[1:]))

    @cached_property
    def log_one_minus_alpha_bar(self) -> Tensor:
        r""":math:`\log(1 - \bar\alpha_t)`, exact also where :math:`\bar\alpha_t` is tiny; -inf at t = 0."""
        alpha_bar, noise = self.alpha_bar[1:], self.one_minus_alpha_bar[1:]
        little = alpha_bar < 0.5  # the branch not taken is kept finite, for gradients
        by_signal = torch.log1p(-alpha_bar.where(little, torch.zeros_like(alpha_bar)))
        return _clean(-math.inf, torch.where(little, by_signal, noise.log()))

    @cached_property
    def snr(self) -> Tensor:
        r""":math:`\mathrm{SNR}(t) = \bar\alpha_t / (1 - \bar\alpha_t)`; infinite at t = 0."""
        return self.alpha_bar / self.one_minus_alpha_bar

    @cached_property
    def log_snr(self) -> Tensor:
        r""":math:`\log\mathrm{SNR}(t)`, nats; infinite at t = 0."""
        return self.log_alpha_bar - self.log_one_minus_alpha_bar

    @cached_property
    def beta_tilde(self) -> Tensor:
        r""":math:`\tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 - \bar\alpha_t}\beta_t` (Eq. 7); 0 at t = 1."""
        later = self.one_minus_alpha_bar[1:-1] / self.one_minus_alpha_bar[2:] * self.beta[2:]
        return _clean(0.0, _clean(0.0, later))

    @cached_property
    def posterior_x_0(self) -> Tensor:
        r""":math:`\frac{\sqrt{\bar\alpha_{t-1}}\beta_t}{1 - \bar\alpha_t}`, the weight of x_0 in Eq. 7; 1 at t = 1."""
        return _clean(1.0, (0.5 * self.log_alpha_bar[:-1]).exp() * self.beta[1:] / self.one_minus_alpha_bar[1:])

    @cached_property
    def posterior_x_t(self) -> Tensor:
        r""":math:`\frac{\sqrt{\alpha_t}(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}`, the weight of x_t in Eq. 7; 0 at t = 1."""
        return _clean(0.0, self.alpha[1:].sqrt() * self.one_minus_alpha_bar[:-1] / self.one_minus_alpha_bar[1:])

    def respace(self, kept: Sequence[int]) -> "Schedule":
        r"""The chain that visits only the steps `kept` (ascending, in 1..T), with the same marginals there.

        :math:`\beta'_i = 1 - \bar\alpha_{\tau_i} / \bar\alpha_{\tau_{i-1}}` (E13); the network is still told the
        original steps.

        Raises:
            ValueError: `kept` is empty, not strictly ascending, or leaves 1..T.
        """
        if not kept or list(kept) != sorted(set(kept)):
            raise ValueError(f"the kept steps must be ascending and distinct, got {list(kept)}")
        tau = torch.tensor([0, *kept])
        self.check(tau[1:])
        log_alpha_bar = self.log_alpha_bar[tau]
        beta = _clean(0.0, -torch.expm1(log_alpha_bar[1:] - log_alpha_bar[:-1]))
        return Schedule(beta, self.timestep_map[tau], self.whole, self.kept[tau], self.kind)


def _integers(t: object) -> bool:
    return isinstance(t, Tensor) and t.dtype in INTEGERS


def _clean(entry_0: float, rest: Tensor) -> Tensor:
    """A table from its entries 1..T and the one of the clean image."""
    return torch.cat([rest.new_full((1,), entry_0), rest])


def _validate(beta: Any, **tables: Tensor) -> None:  # noqa: ANN401 (anybody may have written it)
    beta = beta.detach() if isinstance(beta, Tensor) else torch.zeros(())
    if beta.ndim != 1 or len(beta) < 2 or beta.dtype != torch.float64 or beta[0] != 0:
        raise ValueError("beta must be a float64 table of T + 1 >= 2 entries with beta[0] = 0")
    for name, table in tables.items():
        kinds = (torch.int64, torch.float64) if name == "timestep_map" else (torch.int64,)
        if table.shape != beta.shape or table.dtype not in kinds:
            raise ValueError(f"{name} must be an int64 table of {len(beta)} entries")
    wrong = ~((beta > 0) & (beta < 1))
    wrong[0] = False
    wrong[-1] = not 0 < beta[-1] <= 1
    if wrong.any():
        t = int(wrong.nonzero()[0])
        raise ValueError(f"beta must lie strictly between 0 and 1, but beta[{t}] = {float(beta[t])!r}")


def linear(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """Beta linear in t (the paper, section 4); the ends are not rescaled with T.

    Args:
        T: how many steps.
        beta_1: the variance of the noise of the first step.
        beta_T: that of the last.

    Raises:
        ValueError: a beta is not between 0 and 1.

    Example:
        >>> import ddpm
        >>> schedule = ddpm.linear()
        >>> float(schedule.beta[1]), float(schedule.beta[1000])
        (0.0001, 0.02)
    """
    return _named("linear", _linspace(beta_1, beta_T, check_whole("T", T, 1)))


def cosine(T: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    r""":math:`\bar\alpha_t = f(t/T)/f(0),\ f(u) = \cos^2(\frac{u+s}{1+s}\frac\pi2)` (Nichol & Dhariwal 2021, Eq. 17).

    :math:`\beta_t` by the identity :math:`\cos^2 b - \cos^2 a = \sin(a-b)\sin(a+b)`, which does not cancel.
    """
    angle = (torch.arange(check_whole("T", T, 1) + 1, dtype=torch.float64) / T + s) / (1 + s) * math.pi / 2
    a, b = angle[1:], angle[:-1]
    beta = torch.sin(a - b) * torch.sin(a + b) / torch.cos(b) ** 2
    return _named("cosine", beta.clamp(max=max_beta))


def quadratic(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """The square root of beta linear in t (Appendix B's "quadratic")."""
    return _named("quadratic", _linspace(math.sqrt(beta_1), math.sqrt(beta_T), check_whole("T", T, 1)) ** 2)


def constant(T: int = 1000, beta: float = 0.02) -> Schedule:
    """The same beta at every step."""
    return _named("constant", torch.full((check_whole("T", T, 1),), beta, dtype=torch.float64))


def warmup(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02, fraction: float = 0.1) -> Schedule:
    """Linear over the first `fraction` of the steps, constant after (the authors' code)."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in 0..1, got {fraction}")
    rising = int(check_whole("T", T, 1) * fraction)
    flat = torch.full((T - rising,), beta_T, dtype=torch.float64)
    return _named("warmup", torch.cat([_linspace(beta_1, beta_T, rising), flat]))


def jsd(T: int = 1000) -> Schedule:
    r""":math:`\beta_t = 1/(T - t + 1)` (Sohl-Dickstein et al. 2015): alpha_bar falls linearly, to 0 at T."""
    return _named("jsd", 1 / torch.arange(check_whole("T", T, 1), 0, -1, dtype=torch.float64))


def log_snr(T: int = 1000, noise_1: float = 1 / 255, log_snr_T: float = -9.2) -> Schedule:
    r"""The logarithm of SNR linear in t, from noise of standard deviation `noise_1` in x_1 down to `log_snr_T`.

    With the small variance, epsilon then weighs the same at every t >= 2 (E52): the bound's sum over these is L_simple's
    times a constant. `noise_1` belongs to the data: noise far below the spacing of their levels is coded for nothing, so
    half the spacing, 1 / (levels - 1), is a good start.
    """
    if not 0 < noise_1 < 1:
        raise ValueError(f"noise_1 must lie between 0 and 1, got {noise_1}")
    log_snr_1 = math.log1p(-(noise_1**2)) - 2 * math.log(noise_1)
    return from_log_snr(_linspace(log_snr_1, log_snr_T, check_whole("T", T, 1)), "log-snr")


def from_log_snr(values: Float64[Tensor, " T"], kind: str | None = None) -> Schedule:
    r"""The schedule with this :math:`\log\mathrm{SNR}(t)` for t = 1..T, which must fall; differentiable.

    :math:`\beta_t = (1 - \bar\alpha_t)(1 - \mathrm{SNR}_t/\mathrm{SNR}_{t-1})`, without cancellation.
    """
    drop = torch.cat([values.new_full((1,), -math.inf), values[1:] - values[:-1]])
    return _named(kind, torch.sigmoid(-values) * -torch.expm1(drop))


def _named(kind: str | None, beta: Tensor) -> Schedule:
    """The schedule of beta for t = 1..T."""
    return Schedule(_clean(0.0, beta), kind=kind)


def _linspace(first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps, dtype=torch.float64)


SCHEDULES: Mapping[str, Callable[..., Schedule]] = {
    "linear": linear,
    "cosine": cosine,
    "quadratic": quadratic,
    "constant": constant,
    "warmup": warmup,
    "jsd": jsd,
    "log-snr": log_snr,
}
