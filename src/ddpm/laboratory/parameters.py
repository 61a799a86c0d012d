"""What is parameterised, and what is chosen beforehand (Q3, Q21)."""

import torch
from torch import Tensor

from ddpm.analytic.bound import terms_from_mse
from ddpm.analytic.mixture import two_points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import mmse
from ddpm.diffusion.bound import term
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.prediction import PREDICTIONS, Prediction
from ddpm.diffusion.reverse import Network, ReverseProcess, unlimited
from ddpm.diffusion.schedule import SCHEDULES, Schedule
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Optimal
from ddpm.figures.style import BLUE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import chain
from ddpm.seeds import NoiseForEach, generator
from ddpm.tensors import ImageBatch, Times

F64 = torch.float64


def imperfect(x_t: Tensor, t: Times) -> ImageBatch:
    """An estimate of x_0 that is nobody's best: some smooth function of x_t and t."""
    late = torch.as_tensor(t).to(x_t) / 300
    return torch.tanh(x_t * (0.4 + 0.6 / (1 + late.reshape(-1, *[1] * (x_t.ndim - 1)))))


def read_as(schedule: Schedule, prediction: Prediction) -> Network:
    """The same imperfect estimate, as a network of each kind would have to express it."""
    q = ForwardProcess(schedule)

    def network(x_t: Tensor, timestep: Tensor) -> Tensor:
        t = schedule.step_of(timestep)
        x_0 = imperfect(x_t, t)
        return prediction.target(schedule, x_0, q.noise(x_t, x_0, t), t)

    return network


def what_is_parameterised(setting: Setting) -> Answer:
    """One function, four parameterisations: the same bound and the same samples."""
    schedule, rows, samples = setting.schedule, [], {}
    x_0, eps = torch.randn(2, 1000, 1, generator=generator(setting.seed, "parameterised"), dtype=F64)
    t = max(2, round(0.3 * setting.T))
    for name, prediction in PREDICTIONS.items():
        p = ReverseProcess(read_as(schedule, prediction), schedule, prediction, limit=unlimited)
        nats, _ = term(p, x_0, p.q.sample(x_0, t, eps), t)
        noise = NoiseForEach([generator(setting.seed, "samples", i) for i in range(64)])
        *_, last = chain(p, eps[:64], Ancestral(), noise)
        samples[name] = last.x.flatten()
        rows.append((name, float(nats.mean()), float((last.x.flatten() - samples["eps"]).abs().max())))
    figure, (axis,) = panels(1)
    order = samples["eps"].argsort()
    for (name, values), style in zip(samples.items(), ("-", "--", "-.", ":"), strict=True):
        axis.plot(values[order], ls=style, label=name)
    axis.set(title="64 samples by each, sorted", xlabel="sample", ylabel="x(0)")
    axis.legend()
    from_eps = float(schedule.beta[t] / schedule.one_minus_alpha_bar[t].sqrt())
    spread = max(row[1] for row in rows) - min(row[1] for row in rows)
    return Answer(
        Text(
            "Only the mean, through one network shared by all t. It may return eps, x_0, the posterior mean or v: each "
            "stands for the same estimate of x_0 by Eq. 4 and 7. The variance is a fixed sigma_t^2, the betas are "
            f"constants. One and the same function written in all four ways gives L_{{t-1}} equal to {spread:.0e} nats "
            f"and samples equal to {max(row[2] for row in rows):.0e}; only the loss that is natural for each weights "
            "the steps differently. The network need not find x_t: it is given, in training by one jump of Eq. 4 and "
            "in sampling by the step before. What is left to it in Eq. 11 is the part of eps, beta_t/sqrt(1 - "
            f"alpha_bar_t) = {from_eps:.4f} of the part of x_t at t = {t} (per unit of each).",
            "평균만이다. 모든 t가 공유하는 신경망 하나를 통해서다. 신경망은 eps, x_0, 사후 평균, v 가운데 무엇을 내도 "
            "된다. 식 4와 7로 모두 같은 x_0 추정값을 뜻하기 때문이다. 분산은 고정된 sigma_t^2이고 beta는 상수다. 같은 "
            f"함수를 네 가지로 쓰면 L_{{t-1}}은 {spread:.0e} nats, 샘플은 {max(row[2] for row in rows):.0e} 안에서 "
            "같다. 다만 각자에게 자연스러운 손실은 스텝마다 다른 가중치를 준다. 신경망이 x_t를 구할 필요는 없다. "
            "학습에서는 식 4로 한 번에, 샘플링에서는 앞 스텝에서 주어지기 때문이다. 식 11에서 신경망에게 남은 것은 "
            f"eps의 몫뿐이고, t = {t}에서 x_t의 몫의 beta_t/sqrt(1 - alpha_bar_t) = {from_eps:.4f}배다(각각 단위 "
            "크기일 때).",
        ),
        [Table(("network returns", f"L_(t-1), nats, t = {t}", "largest difference of samples"), rows)],
        figure,
    )


def hyperparameters(setting: Setting) -> Answer:
    """What each choice of section 3 does to the best bound of two-point data, everything else as it is."""
    rows = []
    for name, schedule in {"as set": setting.schedule, "cosine": SCHEDULES["cosine"](setting.T)}.items():
        errors = mmse(Diffused(two_points(), schedule))
        for rule_name, rule in (("beta", FixedLarge()), ("beta-tilde", FixedSmall()), ("optimal", Optimal(errors))):
            terms = terms_from_mse(schedule, rule, errors, 1.0)
            rows.append((name, rule_name, float(terms[0]), float(terms[2:].sum())))
    figure, (axis,) = panels(1)
    axis.barh(
        [f"{row[0]}: σ² = {symbol}" for row, symbol in zip(rows, 2 * ("β", "β̃", "optimal"), strict=True)],
        [row[3] for row in rows],
        color=BLUE,
        height=0.6,
    )
    axis.invert_yaxis()
    axis.set(title="Two points: L(1) + … + L(T−1)", xlabel="nats")
    axis.grid(axis="y", visible=False)
    return Answer(
        Text(
            "Yes: the betas (and T), the architecture, what the mean is made from, and the rule for the variance. "
            "They are fixed before training; the table shows what the schedule and the variance alone do to the best "
            "reachable rate.",
            "그렇다. beta들(과 T), 신경망 구조, 평균을 무엇으로 만드는지, 분산의 규칙이다. 학습 전에 정한다. 표는 "
            "스케줄과 분산만 바꿔도 도달할 수 있는 최선의 rate가 얼마나 달라지는지 보여 준다.",
        ),
        [Table(("schedule", "variance", "L_T, nats", "L_1 + ... + L_{T-1}, nats"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q3",
        "000 l.33, 003 l.86",
        Text("What exactly is parameterised?", "무엇을 매개변수화하는가?"),
        "section 3.2; E43, E49, E53",
        r"\mu_\theta(x_t,t) = \frac{1}{\sqrt{\alpha_t}}\left(x_t - "
        r"\frac{\beta_t}{\sqrt{1-\bar\alpha_t}}\epsilon_\theta(x_t,t)\right)",
        what_is_parameterised,
    ),
    Question(
        "Q21",
        "000 l.170",
        Text("Are these choices the hyperparameters?", "여기서 선택한다는 것이 하이퍼파라미터인가?"),
        "section 3; E15-E17, E43",
        r"\beta_t, \quad \sigma_t^2, \quad \mu_\theta",
        hyperparameters,
    ),
)
