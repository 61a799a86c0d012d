"""Appendix A line by line: Eq. 17-26, evaluated on the same chains and term by term."""

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

from ddpm.analytic.mixture import mixture
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import entropy, excess, mmse
from ddpm.diffusion.bound import prior, term
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.variance import FixedLarge, beta_1
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.seeds import generator
from ddpm.tensors import ImageBatch

F64 = torch.float64
CHAINS = 4000
DATA = mixture(torch.tensor([1.0, 2.0]), torch.tensor([[-0.6], [0.5]]), torch.tensor([[[0.02]], [[0.1]]]))
RULE = FixedLarge(beta_1)
LINES = {
    "Eq. 17-18": "-log p(x_T) - sum log p(x_{t-1}|x_t)/q(x_t|x_{t-1})",
    "Eq. 19-20": "q(x_t|x_{t-1}) by Bayes' rule given x_0, for t > 1",
    "Eq. 21": "what telescopes put beside p(x_T)",
    "Eq. 22": "log-ratios averaged in closed form",
    "Eq. 23-24": "q(x_t|x_{t-1}) by Bayes' rule without x_0",
    "Eq. 25": "what telescopes put beside p(x_T); -log q(x_0)",
}


def lines(diffused: Diffused, x_0: ImageBatch, random: torch.Generator) -> Mapping[str, Tensor]:
    """Eq. 17-25 as their terms on the same chains, by the names of `LINES`: (T+1, batch) nats, at index t-1 that of x_{t-1} and x_t."""
    p, schedule = diffused.process(RULE), diffused.schedule
    q = p.q
    terms: dict[str, list[Tensor]] = defaultdict(list)
    x_prev, log_before = x_0, DATA.log_prob(x_0)
    for t in range(1, schedule.T + 1):
        x_t = q.step(x_prev, t, torch.randn(x_0.shape, generator=random, dtype=F64))
        step = q.between(x_prev, t - 1, t).log_prob(x_t)
        here, before = q.marginal(x_0, t).log_prob(x_t), q.marginal(x_0, t - 1).log_prob(x_prev)
        posterior = q.posterior(x_t, x_0, t).log_prob(x_prev)
        model = p(x_t, t)[0].log_prob(x_prev)
        kernel = (diffused.reverse(x_t, t) if t > 1 else diffused.origin(x_t, 1)).log_prob(x_prev)[:, None]
        log_here = diffused.log_prob(x_t, t)
        marginals = (log_here - log_before)[:, None]
        given_x_0 = t > 1  # q(x_0|x_1, x_0) is a point: t = 1 stays as it is
        by_line = {
            "Eq. 17-18": step - model,
            "Eq. 19-20": posterior - model + here - before if given_x_0 else step - model,
            "Eq. 21": (posterior if given_x_0 else 0) - model,
            "Eq. 22": term(p, x_0, x_t, t)[0][:, None],
            "Eq. 23-24": kernel - model + marginals,
            "Eq. 25": kernel - model,
        }
        for name, nats in by_line.items():
            terms[name].append(nats[:, 0])
        x_prev, log_before = x_t, log_here
    last = -Gaussian(torch.zeros_like(x_0), torch.zeros_like(x_0)).log_prob(x_prev)[:, 0]
    beside = {
        "Eq. 21": last + q.marginal(x_0, schedule.T).log_prob(x_prev)[:, 0],
        "Eq. 22": prior(q, x_0),
        "Eq. 25": last + log_before - DATA.log_prob(x_0),
    }
    return {name: torch.stack([*values, beside.get(name, last)]) for name, values in terms.items()}


def appendix_a(setting: Setting) -> Answer:
    """The bound by every line of appendix A, for a mixture and its best network."""
    diffused, random = Diffused(DATA, setting.schedule), generator(setting.seed, "derivation")
    found = lines(diffused, DATA.sample(CHAINS, random), random)
    exact = excess(diffused, RULE, mmse(diffused)) + entropy(DATA)
    first = found["Eq. 17-18"].sum(0)
    rows: list[tuple[str, str, float, float | str, float | str]] = []
    for name, terms in found.items():
        sums = terms.sum(0)
        same = "-" if name == "Eq. 22" else float((sums - first).abs().max())
        rows.append((name, LINES[name], float(sums.mean()), float(sums.std()) / math.sqrt(CHAINS), same))
    rows.append(("Eq. 26", "divergences and H(x_0), by quadrature", exact, 0.0, "-"))
    figure, axes = panels(2)
    t = range(2, setting.T + 1)
    for name, color in (("Eq. 17-18", GREY), ("Eq. 21", GREEN), ("Eq. 22", BLUE), ("Eq. 25", ORANGE)):
        axes[0].plot(t, found[name][1:-1].mean(1), color=color, lw=1.2, label=name)
    axes[0].set(
        title="One sum, other terms",
        xlabel="t",
        ylabel="term of x(t−1) and x(t), nats",
    )
    axes[0].set_yscale("symlog", linthresh=1e-3)
    axes[0].legend()
    axes[1].plot(first, found["Eq. 21"].sum(0), "o", ms=2, color=GREEN, label="Eq. 21: the same for every chain")
    axes[1].plot(first, found["Eq. 22"].sum(0), "o", ms=2, color=BLUE, alpha=0.4, label="Eq. 22: the same on average")
    axes[1].set(title=setting.label, xlabel="Eq. 17, nats", ylabel="the other line, nats")
    axes[1].legend()
    off = max(float(row[4]) for row in rows if row[4] != "-")
    return Answer(
        Text(
            "Yes. Eq. 17 to 21 and 23 to 25 are the same number for every single chain x_0, ..., x_T, only cut into "
            f"other terms (largest difference over {CHAINS} chains: {off:.0e} nats), so no expectation is needed to "
            "pass from one to the next. Eq. 22 replaces each log-ratio by its average given x_0 and x_t: other "
            f"numbers, the same mean ({rows[3][2]:.4f} ± {rows[3][3]:.4f} against {rows[0][2]:.4f} ± "
            f"{rows[0][3]:.4f}). Eq. 26 averages over x_0 too and can be computed only where q(x_t) is known: here "
            f"it is {exact:.4f} nats, of which {entropy(DATA):.4f} are H(x_0), a floor that no network can reach "
            "below.",
            "그렇다. 식 17에서 21까지, 그리고 23에서 25까지는 체인 x_0, ..., x_T 하나하나에서 같은 수를 다른 항으로 "
            f"나눈 것일 뿐이다(체인 {CHAINS}개에서 가장 큰 차이 {off:.0e} nats). 그래서 한 줄에서 다음 줄로 가는 데 "
            "기댓값은 필요 없다. 식 22는 로그 비율을 x_0와 x_t가 주어졌을 때의 평균으로 바꾼다. 값은 다르고 평균은 "
            f"같다({rows[3][2]:.4f} ± {rows[3][3]:.4f} 대 {rows[0][2]:.4f} ± {rows[0][3]:.4f}). 식 26은 x_0에 "
            f"대해서도 평균하며, q(x_t)를 알 때만 계산할 수 있다. 여기서는 {exact:.4f} nats이고 그 가운데 "
            f"{entropy(DATA):.4f}은(는) 어떤 신경망도 그 아래로 내려갈 수 없는 H(x_0)다.",
        ),
        [Table(("line", "what it does", "mean, nats", "standard error", "largest difference from Eq. 17"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "derivation",
        "000 l.99-110, l.129-155",
        Text("Does every line of appendix A follow from the one before?", "부록 A의 각 줄은 앞줄에서 정확히 나오는가?"),
        "Eq. 3, 5, 17-26; E20-E26, E38",
        r"E_q\left[-\log\frac{p_\theta(x_{0:T})}{q(x_{1:T}|x_0)}\right] = "
        r"E_q\left[L_T + \sum_{t>1} L_{t-1} + L_0\right]",
        appendix_a,
    ),
)
