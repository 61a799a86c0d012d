"""The score: what epsilon is, denoising against explicit score matching, Langevin dynamics (Q4)."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ddpm.analytic.mixture import Mixture, gaussian, mixture
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import entropies, excess, expected, mmse, nodes
from ddpm.diffusion.variance import Optimal
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.distance import sliced_wasserstein
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.verdict import verdict
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.seeds import generator

F64 = torch.float64
COUNT = 4000


def on_a_line() -> Mixture:
    """Three components on a line, of different weight and width."""
    weights, means = torch.tensor([0.3, 0.5, 0.2]), torch.tensor([[-1.0], [0.2], [1.1]])
    return mixture(weights, means, torch.tensor([0.02, 0.05, 0.01]).reshape(3, 1, 1))


def in_the_plane() -> Mixture:
    """Five clusters on a ring, of which one is heavier, each longer than wide."""
    angle = torch.arange(5, dtype=F64) * 2 * math.pi / 5
    means = torch.stack([angle.cos(), angle.sin()], dim=1)
    covariances = torch.stack([0.02 * torch.outer(m, m) + 0.003 * torch.eye(2, dtype=F64) for m in means])
    return mixture(torch.tensor([2.0, 1, 1, 1, 1]), means, covariances)


def matching_losses(diffused: Diffused, t: int, s_theta: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """(denoising, explicit) score matching losses of a function of x_t, by quadrature, in one dimension."""
    explicit = expected(diffused.marginal(t), lambda x: ((s_theta(x) - diffused.score(x, t)) ** 2).flatten())
    return float(denoising(diffused, t, s_theta)), float(explicit)


def denoising(diffused: Diffused, t: int, s_theta: Callable[[Tensor], Tensor]) -> Tensor:
    """E|s_theta(x_t) - grad log q(x_t|x_0)|^2 by quadrature over x_0 and eps, without the marginal score."""
    signal, sd = diffused.schedule.alpha_bar[t].sqrt(), diffused.schedule.one_minus_alpha_bar[t].sqrt()
    x_0, w_0 = nodes(diffused.data)
    eps, w = nodes(gaussian(1.0))
    x_0, w_0, eps, w = x_0[:, ::4].reshape(-1, 1), 4 * w_0[:, ::4].reshape(-1, 1), eps[:, ::4], 4 * w[:, ::4]
    x_t = (signal * x_0 + sd * eps).reshape(-1, 1)
    off = (s_theta(x_t) + (eps / sd).expand(len(x_0), -1).reshape(-1, 1)) ** 2
    return ((w_0 * w).flatten() * off.flatten()).sum()


def langevin(score: Callable[[Tensor], Tensor], x: Tensor, step: float, count: int, random: torch.Generator) -> Tensor:
    r""":math:`x \leftarrow x + \tfrac\eta2 s(x) + \sqrt\eta\,z`, `count` times (E59)."""
    for _ in range(count):
        x = x + step / 2 * score(x) + math.sqrt(step) * torch.randn(x.shape, generator=random, dtype=x.dtype)
    return x


def annealed(diffused: Diffused, x: Tensor, levels: int, steps: int, random: torch.Generator) -> Tensor:
    """Annealed Langevin dynamics (Song & Ermon 2019) on the levels of the schedule, in its own scaling (E59)."""
    schedule = diffused.schedule
    ts = torch.linspace(schedule.T, 1, levels).round().int().unique().flip(0).tolist()
    x = x / schedule.alpha_bar[ts[0]].sqrt()
    for t in ts:
        signal = schedule.alpha_bar[t].sqrt()
        sigma_2 = float(schedule.one_minus_alpha_bar[t] / schedule.alpha_bar[t])
        x = langevin(lambda y, t=t, a=signal: a * diffused.score(a * y, t), x, 0.2 * sigma_2, steps, random)
    return x


def score_matching(setting: Setting) -> Answer:
    """The best epsilon is the score; the two matching losses differ by a constant; two samplers of one score."""
    diffused = Diffused(on_a_line(), setting.schedule)
    rows = [_epsilon_row(diffused, t) for t in some_steps(setting.schedule)]
    t = max(1, round(0.1 * setting.T))
    guesses: dict[str, Callable[[Tensor], Tensor]] = {
        "0": torch.zeros_like,
        "-x": torch.neg,
        "tanh(x) - 2x": lambda x: x.tanh() - 2 * x,
        "the score": lambda x: diffused.score(x, t),
    }
    losses = [(name, *matching_losses(diffused, t, s)) for name, s in guesses.items()]
    matching = [(name, dsm, esm, dsm - esm) for name, dsm, esm in losses]
    random = generator(setting.seed, "langevin")
    still = _stays(diffused, t, random)
    samples = _two_samplers(setting, random)
    figure, axes = panels(3)
    _draw(axes, samples)
    away = max(abs(row[3] - matching[0][3]) for row in matching)
    return Answer(
        Text(
            "Score matching learns s(x) = gradient of log q(x) by x. Denoising score matching regresses on the score "
            "of q(x_t|x_0), -eps/sqrt(1 - alpha_bar_t), which is known; its minimiser is the score of the marginal "
            "q(x_t). So the best eps_theta is -sqrt(1 - alpha_bar_t) times the score (to "
            f"{max(r[2] for r in rows):.0e} here), and L_simple is denoising score matching with weight 1 - "
            f"alpha_bar_t. Denoising and explicit losses differ by one constant, {matching[0][3]:.6f}, for all four "
            f"functions tried (to {away:.0e}). Langevin dynamics x + eta/2 s(x) + sqrt(eta) z leaves q(x_t) as it is "
            f"(variance {still[0]:.4f} before and {still[1]:.4f} after 500 steps); annealed, it walks through all "
            "levels. Up to O(beta^2), Algorithm 2's step is one Langevin step of size beta_t on q_t followed by one "
            "step of flow from q_t to q_(t-1), which is why one step for each level is enough: from the same score and "
            f"{setting.T} evaluations its distance to the data is {samples[1][2]:.4f}, annealed Langevin's "
            f"{samples[2][2]:.4f} with {samples[2][1]}; two sets of true data are {samples[0][2]:.4f} apart. (Section "
            "3.2 says how, not 4.2: that one compares results, an FID of 3.17 by L_simple and of 13.51 by L.)",
            "점수 매칭(score matching)은 점수 s(x), 곧 log q(x)의 x에 대한 기울기를 배우는 것이다. 잡음 제거 점수 "
            "매칭(DSM)은 값을 아는 q(x_t|x_0)의 점수 -eps/sqrt(1 - alpha_bar_t)를 회귀하며, 그 최소점은 주변분포 "
            "q(x_t)의 점수다. 그래서 최적의 eps_theta는 점수에 -sqrt(1 - alpha_bar_t)를 곱한 것이고(여기서 오차 "
            f"{max(r[2] for r in rows):.0e}), L_simple은 가중치 1 - alpha_bar_t인 DSM이다. 네 함수 모두에서 DSM과 직접 "
            f"점수 매칭(explicit)의 손실은 같은 상수 {matching[0][3]:.6f}만큼 다르다(오차 {away:.0e}). 랑주뱅 "
            "동역학(Langevin dynamics) x + eta/2 s(x) + sqrt(eta) z는 q(x_t)를 그대로 둔다(분산이 500스텝 전 "
            f"{still[0]:.4f}, 후 {still[1]:.4f}). 담금질한 것(annealed)은 모든 잡음 단계를 차례로 지난다. 알고리즘 2의 "
            "한 스텝은 O(beta^2)을 빼면 q_t에서 크기 beta_t인 랑주뱅 한 스텝에 q_t에서 q_(t-1)로 가는 흐름 한 스텝을 "
            f"더한 것이어서, 단계마다 한 스텝이면 된다. 같은 점수를 {setting.T}번 계산해서 데이터까지의 거리가 "
            f"{samples[1][2]:.4f}, annealed Langevin은 {samples[2][1]}번에 {samples[2][2]:.4f}(이)고, 진짜 데이터 두 벌 "
            f"사이는 {samples[0][2]:.4f}(이)다. (방법은 4.2절이 아니라 3.2절에 있다. 4.2절은 결과의 비교로, L_simple의 "
            "FID는 3.17, L의 FID는 13.51이다.)",
        ),
        [
            Table(("t", "largest |score|", "eps* against the score of log q"), rows),
            Table(("s_theta(x)", f"denoising, t = {t}", "explicit", "difference"), matching),
            Table(("sampler", "evaluations", "sliced Wasserstein distance"), [(n, e, d) for n, e, d, _ in samples]),
        ],
        figure,
    )


def _epsilon_row(diffused: Diffused, t: int) -> tuple[int, float, float]:
    """How far -eps*/sqrt(1 - abar) is from the gradient of log q(x_t) found by differentiating it."""
    law = diffused.marginal(t)
    reach = 3 * law.covariance.sqrt()
    x = torch.linspace(-1, 1, 201, dtype=F64)[:, None] * reach + law.expectation
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(law.log_prob(x).sum(), x)
    p = diffused.process()
    eps, *_ = p.outputs(x.detach(), t)
    score = -eps / diffused.schedule.one_minus_alpha_bar[t].sqrt()
    return t, float(gradient.abs().max()), float((score - gradient).abs().max())


def _stays(diffused: Diffused, t: int, random: torch.Generator) -> tuple[float, float]:
    law = diffused.marginal(t)
    x = law.sample(20_000, random)
    step = 0.02 * float(diffused.schedule.one_minus_alpha_bar[t])
    after = langevin(lambda y: diffused.score(y, t), x, step, 500, random)
    return float(x.var()), float(after.var())


def _two_samplers(setting: Setting, random: torch.Generator) -> list[tuple[str, int, float, Tensor]]:
    diffused = Diffused(in_the_plane(), setting.schedule)
    truth = diffused.data.sample(COUNT, random)
    x_T = torch.randn(COUNT, 2, generator=random, dtype=F64)
    *_, last = chain(
        diffused.process(), x_T, Ancestral(), lambda like: torch.randn(like.shape, generator=random, dtype=F64)
    )
    levels = max(1, setting.T // 10)
    walked = annealed(diffused, x_T, levels, 10, random)
    found = (
        ("data", 0, diffused.data.sample(COUNT, random)),
        ("Algorithm 2", setting.T, last.x),
        ("annealed Langevin", 10 * levels, walked),
    )
    return [(name, count, sliced_wasserstein(x, truth, random), x) for name, count, x in found]


def _draw(axes: Sequence[Axes], samples: list[tuple[str, int, float, Tensor]]) -> None:
    for axis, (name, _, distance, x), color in zip(axes, samples, (GREY, BLUE, ORANGE), strict=True):
        axis.scatter(x[:1500, 0], x[:1500, 1], s=2, color=color, alpha=0.6, lw=0)
        axis.set(
            title=f"{name}: {distance:.4f}",
            xlim=(-1.8, 1.8),
            ylim=(-1.8, 1.8),
            aspect="equal",
            xlabel="x₁",
            ylabel="x₂",
        )


def more_steps(setting: Setting) -> Answer:
    """Distance of Algorithm 2's samples, exact denoiser, from 2-D data, over the number of steps; L - H(x_0) on a line."""
    random, drawn = generator(setting.seed, "more steps"), {}
    truth = in_the_plane().sample(COUNT, random)
    pairs = torch.tensor(
        [sliced_wasserstein(in_the_plane().sample(COUNT, random), truth, random) for _ in range(20)], dtype=F64
    )
    floor, spread = float(pairs.mean()), float(pairs.std())
    rows, line = [], Diffused(on_a_line(), setting.schedule)
    every_error, every_entropy = mmse(line), entropies(line)  # leaving steps out keeps q(x_t)
    for kept in sorted({n for n in (5, 10, 20, 50, 100, 200, 500) if n < setting.T} | {setting.T}):
        steps = [round(setting.T * (i + 1) / kept) for i in range(kept)]
        diffused = Diffused(in_the_plane(), setting.schedule.respace(steps))
        errors, known = every_error[[0, *steps]], every_entropy[[0, *steps]]
        nats = excess(Diffused(line.data, diffused.schedule), Optimal(errors), errors, known)
        x_T = torch.randn(COUNT, 2, generator=random, dtype=F64)
        *_, last = chain(
            diffused.process(), x_T, Ancestral(), lambda like: torch.randn(like.shape, generator=random, dtype=F64)
        )
        drawn[kept] = last.x
        rows.append((kept, sliced_wasserstein(last.x, truth, random), floor, spread, nats))
    figure = _draw_steps(rows, drawn)
    reached, few = _how_near(rows)
    on_line = _on_the_line(rows, _left_in_x_T(line))
    return Answer(
        Text(
            f"{reached.en}: at {rows[-1][0]} steps the distance is {rows[-1][1]:.4f}, and that of two independent sets "
            f"of {COUNT} data {floor:.4f} ± {spread:.4f}. With {rows[0][0]} steps it is {rows[0][1]:.4f}: {few.en}. On a "
            "line the same can be said without sampling: L - H(x_0), which is at least the divergence from the data to "
            f"the model, is {rows[0][4]:.2e} nats with {rows[0][0]} steps and {rows[-1][4]:.2e} with {rows[-1][0]}; "
            f"{on_line.en}.",
            f"{reached.ko}. {rows[-1][0]}스텝에서 거리는 {rows[-1][1]:.4f}(이)고, 서로 독립인 데이터 {COUNT}개 두 벌 사이가 "
            f"{floor:.4f} ± {spread:.4f}(이)다. {rows[0][0]}스텝이면 {rows[0][1]:.4f}(이)다. {few.ko}. 직선 위의 데이터라면 "
            f"샘플 없이도 말할 수 있다. 데이터에서 모델까지의 KL보다 작지 않은 L - H(x_0)는 {rows[0][0]}스텝에서 "
            f"{rows[0][4]:.2e} nats, {rows[-1][0]}스텝에서 {rows[-1][4]:.2e}(이)다. {on_line.ko}.",
        ),
        [
            Table(
                (
                    "steps",
                    "distance to the data",
                    "two sets of data",
                    "its standard deviation",
                    "L - H(x_0) on a line, nats",
                ),
                rows,
            )
        ],
        figure,
    )


def _how_near(rows: Sequence[tuple[int, float, float, float, float]]) -> tuple[Text, Text]:
    """Whether all steps reach the data, and what a few of them lack: a distance counts from two standard deviations on."""
    (_, few, floor, spread, _), *_, (_, whole, *_) = [rows[0], *rows]
    reached = verdict(
        (
            whole < floor + 2 * spread,
            "With the exact denoiser Algorithm 2 reaches the data",
            "정확한 잡음 제거기를 쓰면 알고리즘 2는 데이터 분포에 도달한다",
        ),
        (
            True,
            "Even with the exact denoiser Algorithm 2 does not reach the data with this schedule",
            "이 스케줄에서는 정확한 잡음 제거기를 써도 알고리즘 2가 데이터 분포에 도달하지 못한다",
        ),
    )
    missing = verdict(
        (
            few > whole + 2 * spread,
            "what is missing then is not the network but the Gaussian form of the kernels",
            "이때 모자란 것은 신경망이 아니라 커널이 가우시안이라는 형태다",
        ),
        (
            True,
            "no farther than with all of them but for chance, so it is not the number of steps that decides here",
            "모든 스텝을 썼을 때보다 우연한 차이를 넘어설 만큼 더 멀지는 않으므로, 여기서 결정하는 것은 스텝의 수가 아니다",
        ),
    )
    return reached, missing


def _left_in_x_T(diffused: Diffused) -> float:
    """D_KL(q(x_T) || p(x_T)) of Eq. 16 in one dimension, nats, by quadrature: what the signal left in x_T costs."""
    T, standard = diffused.schedule.T, gaussian(1.0)
    return float(expected(diffused.marginal(T), lambda x: diffused.log_prob(x, T) - standard.log_prob(x)))


def _on_the_line(rows: Sequence[tuple[int, float, float, float, float]], left: float) -> Text:
    """How much of the nats above the entropy is the price of the signal left in x_T (`left`), which no step wins back."""
    return verdict(
        (
            left > 0.5 * rows[-1][4],
            f"most of it, D_KL(q(x_T)||p(x_T)) = {left:.2e}, is the price of the signal left in x_T, which no number of "
            "steps wins back",
            f"그 대부분인 D_KL(q(x_T)||p(x_T)) = {left:.2e}은(는) x_T에 남은 신호의 대가이고 스텝을 늘려도 되찾지 못한다",
        ),
        (
            True,
            f"D_KL(q(x_T)||p(x_T)), the price of the signal left in x_T, is {left:.2e} of it",
            f"그 가운데 x_T에 남은 신호의 대가 D_KL(q(x_T)||p(x_T))는 {left:.2e}(이)다",
        ),
    )


def _draw_steps(rows: Sequence[tuple[int, float, float, float, float]], drawn: Mapping[int, Tensor]) -> Figure:
    _, _, floor, spread, _ = rows[0]
    figure, axes = panels(4, 2.7)
    steps = [r[0] for r in rows]
    axes[0].axhspan(floor - 2 * spread, floor + 2 * spread, color=GREY, alpha=0.3, lw=0, label="data and data, ±2 sd")
    axes[0].plot(steps, [r[1] for r in rows], color=BLUE, marker="o", label="Algorithm 2")
    axes[0].set(
        title="In the plane", xlabel="steps", ylabel="sliced Wasserstein distance", xscale="log", ylim=(0, None)
    )
    axes[0].legend(loc="upper right")
    axes[1].plot(steps, [r[4] for r in rows], color=PURPLE, marker="o")
    axes[1].set(title="On a line, exactly", xlabel="steps", ylabel="L − H(x(0)), nats", xscale="log", yscale="log")
    for axis, kept in zip(axes[2:], (rows[min(1, len(rows) - 1)][0], rows[-1][0]), strict=True):
        axis.scatter(drawn[kept][:1500, 0], drawn[kept][:1500, 1], s=2, color=GREEN, alpha=0.6, lw=0)
        axis.set(title=f"{kept} steps", xlim=(-1.8, 1.8), ylim=(-1.8, 1.8), aspect="equal", xlabel="x₁", ylabel="x₂")
    return figure


QUESTIONS = (
    Question(
        "Q4",
        "000 l.30-37",
        Text(
            "What are denoising score matching and annealed Langevin dynamics, and how are they the same as DDPM?",
            "잡음 제거 점수 매칭과 담금질 랑주뱅 동역학은 무엇이고, DDPM과 어떻게 같은가?",
        ),
        "section 3.2, appendix C; E55-E59",
        r"\epsilon^*(x_t,t) = -\sqrt{1-\bar\alpha_t}\,\nabla_{x_t}\log q(x_t)",
        score_matching,
    ),
    Question(
        "steps",
        "",
        Text(
            "How many steps does Algorithm 2 need when the network is perfect?",
            "신경망이 완벽하다면 알고리즘 2에는 몇 스텝이 필요한가?",
        ),
        "Algorithm 2; E36, E70",
        r"x_{t-1} = \mu_\theta(x_t,t) + \sigma_t z",
        more_steps,
    ),
)
