"""The divergence of two Gaussians, one coordinate and with full covariance matrices, from its definition to Eq. 8."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from ddpm.diffusion.schedule import Schedule
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.forward import log_normal, mu_tilde
from ddpm.laboratory.derivations.line import Derivation, Line, Slip
from ddpm.laboratory.derivations.mean import beta_tilde
from ddpm.laboratory.derivations.place import at

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(8)
"""Of an average over N(0, 1) that is exact for polynomials up to the 15th degree."""


@dataclass(frozen=True)
class TwoGaussians:
    """q = N(mu_q, var_q) and p = N(mu_p, var_p) in one coordinate; `mean` averages a function of x over q."""

    mu_q: Any
    var_q: Any
    mu_p: Any
    var_p: Any
    mean: Callable[[Callable[[Any], Any]], Any]
    log: Callable[[Any], Any]
    pi: Any


def _posterior_and_kernel(schedule: Schedule, t: int, x_0: float, seed: int) -> TwoGaussians:
    """q(x_{t-1}|x_t, x_0) and a reverse kernel."""
    p = at(schedule, t, x_0, seed)
    mu, var = mu_tilde(p), beta_tilde(p)

    def mean(f: Callable[[Any], Any]) -> float:
        values = [f(mu + math.sqrt(var) * node) for node in NODES.tolist()]
        return float(np.dot(WEIGHTS, values) / WEIGHTS.sum())

    return TwoGaussians(mu, var, p.mu_theta, p.sigma_2, mean, math.log, math.pi)


def _symbols() -> TwoGaussians:
    mu_q, mu_p = sympy.symbols("mu_q mu_p", real=True)
    var_q, var_p = sympy.symbols("v_q v_p", positive=True)
    x = sympy.Symbol("x", real=True)

    def mean(f: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (an expression)
        density = sympy.exp(-((x - mu_q) ** 2) / (2 * var_q)) / sympy.sqrt(2 * sympy.pi * var_q)
        return sum(
            coefficient * sympy.integrate(x**power * density, (x, -sympy.oo, sympy.oo))
            for (power,), coefficient in sympy.Poly(sympy.expand(f(x)), x).terms()
        )

    return TwoGaussians(mu_q, var_q, mu_p, var_p, mean, sympy.log, sympy.pi)


KL = Derivation(
    "kl",
    Text("The divergence of two Gaussians", "두 가우시안의 KL 발산"),
    "000 l.145-148, l.249-265",
    Text("D_KL(q || p), nats", "D_KL(q || p), nats"),
    _posterior_and_kernel,
    [
        Line(
            r"D_{KL}(q\,\|\,p) = E_q\left[\log\frac{q(x)}{p(x)}\right]",
            Text(
                "The definition: the mean of the log-ratio over q, whose letter stands first. For densities it is an integral.",
                "정의다. 앞에 적힌 분포 q로 로그 비율을 평균한다. 밀도라면 적분이다.",
            ),
            lambda p: p.mean(lambda x: log_normal(p, x, p.mu_q, p.var_q) - log_normal(p, x, p.mu_p, p.var_p)),
        ),
        Line(
            r"= \frac{1}{2}\log\frac{\sigma_p^2}{\sigma_q^2} + \frac{E_q[(x-\mu_p)^2]}{2\sigma_p^2}"
            r" - \frac{E_q[(x-\mu_q)^2]}{2\sigma_q^2}",
            Text(
                "Write the log-densities out: 2 pi cancels, and what depends on x are two squares.",
                "로그 밀도를 풀어 쓴다. 2 pi는 지워지고 x에 의존하는 것은 제곱 두 개다.",
            ),
            lambda p: (
                p.log(p.var_p / p.var_q) / 2
                + p.mean(lambda x: (x - p.mu_p) ** 2) / (2 * p.var_p)
                - p.mean(lambda x: (x - p.mu_q) ** 2) / (2 * p.var_q)
            ),
        ),
        Line(
            r"= \frac{1}{2}\left(\log\frac{\sigma_p^2}{\sigma_q^2} + \frac{\sigma_q^2+(\mu_q-\mu_p)^2}{\sigma_p^2} - 1\right)",
            Text(
                "Under q the mean square about mu_q is the variance, and about any other point the variance plus the squared "
                "distance.",
                "q에서 mu_q 둘레의 제곱 평균은 분산이고, 다른 점 둘레에서는 분산에 거리의 제곱을 더한 것이다.",
            ),
            lambda p: (p.log(p.var_p / p.var_q) + (p.var_q + (p.mu_q - p.mu_p) ** 2) / p.var_p - 1) / 2,
        ),
        Line(
            r"= \frac{(\mu_q-\mu_p)^2}{2\sigma_p^2} + C, \quad C = \frac{1}{2}\left(\frac{\sigma_q^2}{\sigma_p^2} - 1"
            r" + \log\frac{\sigma_p^2}{\sigma_q^2}\right)",
            Text(
                "Set the means apart. With q(x_{t-1}|x_t, x_0) and the reverse kernel this is Eq. 8; C holds no mean and is 0 only "
                "if both variances are equal.",
                "평균이 든 항을 떼어 놓는다. q(x_{t-1}|x_t, x_0)와 역방향 커널이라면 이것이 식 8이다. C에는 평균이 없고, 두 "
                "분산이 같을 때만 0이다.",
            ),
            lambda p: (p.mu_q - p.mu_p) ** 2 / (2 * p.var_p) + (p.var_q / p.var_p - 1 + p.log(p.var_p / p.var_q)) / 2,
            "Eq. 8",
        ),
    ],
    [
        Slip(
            "ERR-46",
            3,
            r"\frac{1}{2}(\mu_q-\mu_p)^T\,\Sigma^{-1}(\mu_q-\mu_p)",
            lambda p: (p.mu_q - p.mu_p) ** 2 / (2 * p.var_p),
        )
    ],
    _symbols,
)


@dataclass(frozen=True)
class TwoNormals:
    """q and p in `d` coordinates: means (d,) and covariance matrices (d, d); `mean` averages over q."""

    mu_q: np.ndarray
    S_q: np.ndarray
    mu_p: np.ndarray
    S_p: np.ndarray

    @property
    def d(self) -> int:
        """Coordinates."""
        return len(self.mu_q)

    @property
    def distance(self) -> np.ndarray:
        """Of the means, (d,)."""
        return self.mu_q - self.mu_p

    def mean(self, f: Callable[[np.ndarray], float]) -> float:
        """Of a function of x over q; exact for polynomials."""
        root = np.linalg.cholesky(self.S_q)
        grid = np.stack(np.meshgrid(*[NODES] * self.d, indexing="ij"), -1).reshape(-1, self.d)
        weights = np.prod(np.stack(np.meshgrid(*[WEIGHTS] * self.d, indexing="ij"), -1).reshape(-1, self.d), -1)
        values = [f(self.mu_q + root @ z) for z in grid]
        return float(np.dot(weights, values) / weights.sum())

    def log_ratio(self, x: np.ndarray) -> float:
        """Log q(x)/p(x), nats."""
        return self.log_density(x, self.mu_q, self.S_q) - self.log_density(x, self.mu_p, self.S_p)

    def log_density(self, x: np.ndarray, mu: np.ndarray, S: np.ndarray) -> float:
        """Log N(x; mu, S), nats."""
        return -(self.d * math.log(2 * math.pi) + self.log_det(S) + self.square(x - mu, S)) / 2

    def log_det(self, S: np.ndarray) -> float:
        """Log of the determinant."""
        return float(np.linalg.slogdet(S)[1])

    def square(self, v: np.ndarray, S: np.ndarray) -> float:
        """v^T S^{-1} v."""
        return float(v @ np.linalg.solve(S, v))

    def trace(self) -> float:
        """tr(S_p^{-1} S_q)."""
        return float(np.trace(np.linalg.solve(self.S_p, self.S_q)))

    def ratios(self) -> np.ndarray:
        """The eigenvalues of S_p^{-1} S_q, (d,): ratios of variances where both matrices are diagonal."""
        return np.linalg.eigvals(np.linalg.solve(self.S_p, self.S_q)).real


def _two_pixels(schedule: Schedule, t: int, x_0: float, seed: int) -> TwoNormals:
    """Two pixels of q(x_{t-1}|x_t) for data whose pixels agree, and a kernel without correlation, at t."""
    p = at(schedule, t, x_0, seed)
    narrow = beta_tilde(p) * np.array([[1.0, 0.6], [0.6, 1.0]])
    return TwoNormals(
        np.array([mu_tilde(p), mu_tilde(p)]),
        narrow,
        np.array([p.mu_theta, p.mu_theta]),
        p.sigma_2 * np.eye(2) + 0.1 * narrow,
    )


KL_MATRIX = Derivation(
    "kl-matrix",
    Text("The divergence of two Gaussians with any covariances", "공분산이 임의인 두 가우시안의 KL 발산"),
    "000 l.261-263",
    Text("D_KL(q || p) of two pixels, nats", "픽셀 두 개의 D_KL(q || p), nats"),
    _two_pixels,
    [
        Line(
            r"D_{KL}(q\,\|\,p) = E_q\left[\log\frac{q(x)}{p(x)}\right]",
            Text("The definition.", "정의."),
            lambda p: p.mean(p.log_ratio),
        ),
        Line(
            r"= \frac{1}{2}\log\frac{|S_p|}{|S_q|} + \frac{1}{2}E_q[(x-\mu_p)^T S_p^{-1}(x-\mu_p)]"
            r" - \frac{1}{2}E_q[(x-\mu_q)^T S_q^{-1}(x-\mu_q)]",
            Text("Write the log-densities out.", "로그 밀도를 풀어 쓴다."),
            lambda p: (
                (
                    p.log_det(p.S_p)
                    - p.log_det(p.S_q)
                    + p.mean(lambda x: p.square(x - p.mu_p, p.S_p))
                    - p.mean(lambda x: p.square(x - p.mu_q, p.S_q))
                )
                / 2
            ),
        ),
        Line(
            r"= \frac{1}{2}\left(\log\frac{|S_p|}{|S_q|} + \mathrm{tr}(S_p^{-1}S_q)"
            r" + (\mu_q-\mu_p)^T S_p^{-1}(\mu_q-\mu_p) - d\right)",
            Text(
                "The mean of y^T A y is tr(A Cov y) plus the same of y's mean; for A = S_q^{-1} and y = x - mu_q the trace is d, "
                "the number of coordinates.",
                "y^T A y의 평균은 tr(A Cov y)에 y의 평균으로 계산한 같은 식을 더한 것이다. A = S_q^{-1}, y = x - mu_q이면 대각합은 "
                "좌표의 수 d다.",
            ),
            lambda p: (p.log_det(p.S_p) - p.log_det(p.S_q) + p.trace() + p.square(p.distance, p.S_p) - p.d) / 2,
        ),
        Line(
            r"= \frac{1}{2}\sum_i (r_i - 1 - \log r_i) + \frac{1}{2}(\mu_q-\mu_p)^T S_p^{-1}(\mu_q-\mu_p)",
            Text(
                "r_i are the eigenvalues of S_p^{-1} S_q; where both matrices are diagonal they are the ratios of the variances, "
                "and the sum is the derivation `kl` coordinate by coordinate. With S_p = S_q all are 1, and only the last term "
                "stays: the notes' formula.",
                "r_i는 S_p^{-1} S_q의 고윳값이다. 두 행렬이 대각이면 분산의 비이고, 합은 좌표마다 쓴 유도 kl이다. S_p = S_q이면 모두 "
                "1이어서 마지막 항만 남는데, 이것이 노트의 공식이다.",
            ),
            lambda p: (sum(r - 1 - math.log(r) for r in p.ratios()) + p.square(p.distance, p.S_p)) / 2,
        ),
    ],
    [
        Slip(
            "ERR-46",
            2,
            r"\frac{1}{2}(\mu_q-\mu_p)^T\,S_p^{-1}(\mu_q-\mu_p)",
            lambda p: p.square(p.distance, p.S_p) / 2,
        )
    ],
)

DERIVATIONS = (KL, KL_MATRIX)
