"""Images as bits: the law of the data, the decoder's bins, progressive coding, autoregression (Q5, Q6, Q35)."""

import math

import torch

from ddpm.analytic.bound import terms_from_mse, with_pixels
from ddpm.analytic.masking import Masking
from ddpm.analytic.mixture import Mixture, gaussian, grey_levels
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import best_pixel_term, expected, mmse
from ddpm.diffusion.bound import bits_per_dim
from ddpm.diffusion.decoder import discretised, log_likelihood
from ddpm.diffusion.gaussian import Gaussian, log_mass
from ddpm.diffusion.schedule import log_snr
from ddpm.diffusion.variance import FixedLarge, Optimal
from ddpm.figures.style import BLUE, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import NOTHING, SEED, Answer, Question, Setting, Table, Text
from ddpm.laboratory.forward import some_steps
from ddpm.seeds import generator

F64 = torch.float64


def progressive(setting: Setting) -> Answer:
    """The rate-distortion curve of N(0, 1/4) with the best network: exact."""
    schedule = setting.schedule
    errors = mmse(Diffused(gaussian(0.25), schedule))
    terms = bits_per_dim(terms_from_mse(schedule, FixedLarge(), errors, 0.25), 1)
    rate = terms[0] + torch.cat([terms[2:].flip(0).cumsum(0).flip(0), torch.zeros(1, dtype=F64)])
    rmse = errors[1:].sqrt() * 127.5
    shown = sorted({*some_steps(schedule), *(t for t in (2, 10) if t <= setting.T)}, reverse=True)
    rows = [(t, float(rate[t - 1]), float(rmse[t - 1])) for t in shown]
    figure, (left, middle, right) = panels(3)
    done = setting.T - torch.arange(1, setting.T + 1)
    left.plot(done, rmse, color=ORANGE)
    left.set(title="Distortion", xlabel="T − t", ylabel="RMSE on 0…255", ylim=(0, None))
    middle.plot(done, rate, color=BLUE)
    middle.set(title="Rate", xlabel="T − t", ylabel="bits/dim received", ylim=(0, None))
    right.plot(rate, rmse, color=PURPLE)
    right.set(title=f"N(0, 1/4), {setting.label}", xlabel="bits/dim", ylabel="RMSE on 0…255", ylim=(0, None))
    half = int((rmse <= max(float(rmse[-1]) / 2, float(rmse[0]))).nonzero().max())  # at worst t = 1
    return Answer(
        Text(
            "Read Eq. 5 as a code: send x_T, then x_{t-1} given x_t at D_KL(q||p) each, then the pixels (if a coder "
            "can send a sample of q in that many bits, E76). After every step the receiver can show the estimate of "
            "x_0 of Eq. 15: that is progressive decoding, and stopping early is lossy compression. For N(0, 1/4) and a "
            f"perfect network it is all exact: {float(rate[half]):.3f} of {float(rate[0]):.3f} bits/dim take the error "
            f"from {float(rmse[-1]):.1f} down to {float(rmse[half]):.1f} of 255, the others down to "
            f"{float(rmse[0]):.2f}. The paper's CIFAR-10 curve falls faster, because images have structure: 12.0 after "
            "0.12 bits/dim and 0.95 after 1.78, so that more than half of its code describes what nobody sees. That is "
            "why its likelihoods are not competitive although its samples are: in Table 1 at most 3.75 bits/dim (3.70 "
            "when trained by L), against 3.03 of Gated PixelCNN and 2.80 of the Sparse Transformer; 3.75 is this code, "
            "1.78 + 1.97 of L_0.",
            "식 5를 부호화 방식(code)으로 읽으면 된다. x_T를 보내고, x_t가 주어졌을 때 x_{t-1}을 각각 D_KL(q||p)만큼의 "
            "비트로 보내고(q의 샘플을 그만한 비트로 보내는 부호기가 있다면, E76), 끝으로 픽셀을 보낸다. 받는 쪽은 매 "
            "스텝마다 식 15의 x_0 추정값을 보여 줄 수 있는데 그것이 점진적 디코딩이고, 도중에 멈추면 손실 압축이다. "
            f"N(0, 1/4)과 완벽한 신경망이라면 모두 정확히 계산된다. {float(rate[0]):.3f} bits/dim 가운데 "
            f"{float(rate[half]):.3f}(으)로 오차가 255 기준 {float(rmse[-1]):.1f}에서 {float(rmse[half]):.1f}(으)로 줄고, "
            f"나머지로 {float(rmse[0]):.2f}까지 줄어든다. 이미지에는 구조가 있어서 논문의 CIFAR-10 곡선은 더 빨리 "
            "떨어진다. 0.12 bits/dim에서 12.0, 1.78에서 0.95다. 부호 길이의 절반 이상이 눈에 보이지 않는 세부를 적는 "
            "데 쓰이는 셈이고, 샘플은 좋은데 우도가 경쟁력이 없는 까닭이다. 표 1에서 3.75 bits/dim 이하(L로 학습하면 "
            "3.70)인데, Gated PixelCNN은 3.03, Sparse Transformer는 2.80이다. 3.75가 바로 이 부호의 길이로, 1.78에 "
            "L_0의 1.97을 더한 것이다.",
        ),
        [Table(("t", "rate, bits/dim", "RMSE on 0..255"), rows)],
        figure,
    )


def best_bound(law: Mixture, told: Mixture, T: int) -> float:
    """Bits for a pixel drawn from `law` by the best network for `told`, exactly: variance optimal, 4 grey levels."""
    schedule = log_snr(T, noise_1=1 / 12)
    true, model = Diffused(law, schedule), Diffused(told, schedule)
    errors = mmse(true)
    for t in schedule.steps:
        errors[t] += expected(true.marginal(t), lambda x, t=t: (true.x_0(x, t) - model.x_0(x, t)).flatten() ** 2)
    terms = terms_from_mse(schedule, Optimal(errors), errors, float(law.second_moment))
    return with_pixels(terms, best_pixel_term(true, model, discretised(4))) / math.log(2)


def the_data_law(_setting: Setting) -> Answer:
    """The best bound of a pixel of four grey levels, by a network of its own law and by one of another law, over T."""
    probabilities = torch.tensor([0.5, 0.05, 0.15, 0.3], dtype=F64)
    law, uniform = grey_levels(probabilities), grey_levels(torch.full((4,), 0.25, dtype=F64))
    entropy = float(torch.special.entr(probabilities).sum()) / math.log(2)
    lengths = (5, 10, 30, 100, 300)
    rows = [(T, best_bound(law, law, T), best_bound(law, uniform, T)) for T in lengths]
    figure, (axis,) = panels(1)
    axis.plot(lengths, [r[1] for r in rows], color=BLUE, marker="o", label="best network for these data")
    axis.plot(lengths, [r[2] for r in rows], color=ORANGE, marker="o", label="best network for uniform levels")
    axis.axhline(entropy, color=BLUE, lw=0.8, ls="--", label="H(x(0))")
    axis.axhline(2, color=ORANGE, lw=0.8, ls="--", label="H(x(0)) + KL(data ‖ uniform)")
    axis.set(title="A pixel of four grey levels", xlabel="T", ylabel="L, bits", xscale="log")
    axis.legend()
    return Answer(
        Text(
            "No: q(x_0) is the law of the data itself. Nobody can write it down, and nothing in the method needs to: "
            "it enters only as an average over images. A pixel whose levels have probabilities 0.5, 0.05, 0.15, 0.3 "
            f"has an entropy of {entropy:.4f} bits, and with the best network a chain of {lengths[-1]} steps, evenly "
            f"spaced in log SNR, codes it in {rows[-1][1]:.4f}; a network made for another law pays for the "
            f"difference ({rows[-1][2]:.4f} bits with uniform levels in mind). p_theta is the approximation.",
            "아니다. q(x_0)는 데이터의 분포 자체다. 아무도 식으로 쓸 수 없지만 쓸 필요도 없다. 이미지에 대한 "
            "평균으로만 등장하기 때문이다. 레벨의 확률이 0.5, 0.05, 0.15, 0.3인 픽셀의 엔트로피는 "
            f"{entropy:.4f}비트이고, 로그 SNR을 고르게 나눈 {lengths[-1]}스텝의 체인은 최선의 신경망으로 "
            f"{rows[-1][1]:.4f}비트로 부호화한다. 다른 분포(균일한 레벨)에 맞춘 신경망은 그 차이를 "
            f"치른다({rows[-1][2]:.4f}비트). 근사인 것은 p_theta다.",
        ),
        [Table(("T", "network of these data, bits", "network of uniform levels, bits"), rows)],
        figure,
    )


def bins(setting: Setting) -> Answer:
    """Mass of all 256 bins for several Gaussians, with the right width and with the notes' one."""
    levels = torch.arange(256, dtype=F64)[:, None] / 127.5 - 1
    rows = []
    for mean, sigma in ((0.0, 0.5), (0.3, 0.01), (0.99, 0.05), (-1.2, 0.1), (0.1, 0.001)):
        gaussian_ = Gaussian(torch.full_like(levels, mean), torch.full_like(levels, 2 * math.log(sigma)))
        right = float(log_likelihood(levels, gaussian_).logsumexp(0).exp())
        inner = log_mass((levels - mean) / sigma, torch.full_like(levels, 0.5 / 255 / sigma)).logsumexp(0).exp()
        rows.append((mean, sigma, right, float(inner)))
    figure, (axis,) = panels(1)
    mean, sigma = 0.986, 0.006
    x = torch.linspace(0.955, 1.02, 500, dtype=F64)
    axis.plot(x, Gaussian(torch.tensor(mean), torch.tensor(2 * math.log(sigma))).log_prob(x).exp(), color=BLUE)
    edges = [2 * k / 255 - 1 for k in range(251, 256)]
    for level in edges:
        axis.axvline(level, color=ORANGE, lw=1.2)
        if level < 1:
            axis.axvline(level + 1 / 255, color=GREY, lw=0.8, ls="--")
    axis.set(
        title="Levels 251…255 (orange), edges of their bins (dashed); the last bin is open",
        xlabel="x(0)",
        ylabel="density",
    )
    return Answer(
        Text(
            "Of width 2/255: from x - 1/255 to x + 1/255, centred on the level; the first bin reaches to minus "
            "infinity, the last to infinity. Only so do the 256 probabilities add up to 1 whatever the mean and "
            "sigma (middle column), which makes -log p a code length. Bins of width 1/255 add up to about a half, "
            f"and to as little as {min(r[3] for r in rows):.3g} where the mean lies outside and the outer bins are "
            "closed too. And 0 is not a level: the nearest are ±1/255.",
            "폭은 2/255다. 레벨 x를 가운데 두고 x - 1/255부터 x + 1/255까지이며, 첫 구간은 마이너스 무한대까지, "
            "마지막 구간은 무한대까지 열려 있다. 그래야 평균과 sigma가 무엇이든 256개 확률의 합이 1이 되고(가운데 "
            "열) -log p가 부호 길이(code length)가 된다. 폭을 1/255로 하면 합이 절반쯤에 그치고, 양 끝 구간마저 닫혀 "
            f"있으니 평균이 바깥에 있을 때는 {min(r[3] for r in rows):.3g}까지 작아진다. 그리고 0은 레벨이 아니다. "
            "가장 가까운 것은 ±1/255이다.",
        ),
        [Table(("mean", "sigma", "sum of 256 bins, width 2/255", "width 1/255"), rows)],
        figure,
    )


def autoregressive(setting: Setting) -> Answer:
    """A diffusion that hides one coordinate a step, on a random law over 3^4 outcomes, by enumeration."""
    random = generator(setting.seed, "masking")
    weights = torch.rand((3,) * 4, generator=random, dtype=F64) ** 3
    data = Masking(weights / weights.sum())
    exact = data.terms(data)
    other = Masking(torch.full((3,) * 4, 3.0**-4, dtype=F64))
    naive = data.terms(other)
    rows: list[tuple[int | str, float, float]] = [(t, exact[t - 1], naive[t - 1]) for t in range(data.T, 0, -1)]
    rows.append(("sum", sum(exact), sum(naive)))
    figure, (axis,) = panels(1)
    places = range(data.T)
    axis.bar([p - 0.2 for p in places], [r[1] for r in rows[:-1]], width=0.4, color=BLUE, label="exact conditionals")
    axis.bar([p + 0.2 for p in places], [r[2] for r in rows[:-1]], width=0.4, color=GREY, label="uniform guesses")
    axis.set_xticks(list(places), [f"t = {r[0]}" for r in rows[:-1]])
    axis.set(title="Four coordinates of three levels", ylabel="L(t−1), nats", ylim=(0, 1.35))
    axis.legend(loc="upper right", ncols=2)
    return Answer(
        Text(
            "Let q(x_t|x_0) hide coordinates 1..t, and let p_theta fill them in again: then L_T = 0, every L_{t-1} "
            "is minus the log of a conditional probability, and the bound is the negative log-likelihood of an "
            f"autoregressive model. With exact conditionals it is the entropy of the data: {sum(exact):.12f} against "
            f"{data.entropy:.12f} nats. Gaussian diffusion is then an autoregressive model over a bit order that no "
            "reordering of coordinates can give.",
            "q(x_t|x_0)가 좌표 1..t를 가리고 p_theta가 다시 채운다고 하자. 그러면 L_T = 0이고 모든 L_{t-1}은 조건부 "
            "확률의 음의 로그이며, 변분 경계는 자기회귀 모델의 음의 로그 우도다. 조건부 확률이 정확하면 데이터의 "
            f"엔트로피와 같다. {sum(exact):.12f} 대 {data.entropy:.12f} nats. 가우시안 확산은 좌표를 어떻게 "
            "재배열해도 얻을 수 없는 비트 순서를 따르는 자기회귀 모델인 셈이다.",
        ),
        [Table(("t", "exact conditionals, nats", "uniform, nats"), rows)],
        figure,
    )


QUESTIONS = (
    Question(
        "Q6",
        "000 l.53",
        Text("Is q(x_0) an approximation of the data?", "q(x_0)는 원본이 아니라 근사치인가?"),
        "section 2; E2, E19, E38",
        r"L \geq H(x_0), \quad x_0 \sim q(x_0)",
        the_data_law,
        NOTHING,
    ),
    Question(
        "Q5",
        "000 l.40-43",
        Text(
            "What are lossy compression and progressive decoding doing in this paper?",
            "이 논문에서 손실 압축과 점진적 디코딩은 무엇인가?",
        ),
        "section 4.3, Eq. 15; E72-E76",
        r"R(t) = L_T + \sum_{s=t+1}^{T} L_{s-1}, \quad D(t) = \sqrt{E\|x_0 - \hat x_0(x_t)\|^2 / D}",
        progressive,
    ),
    Question(
        "Q35",
        "003 l.55",
        Text("Which interval of x belongs to a pixel value?", "픽셀 값 하나에 해당하는 구간은 어디까지인가?"),
        "Eq. 13; E60-E62; ERR-59",
        r"\int_{\delta_-(x)}^{\delta_+(x)} \mathcal{N}(y; \mu_\theta, \sigma_1^2)\,dy",
        bins,
        NOTHING,
    ),
    Question(
        "masking",
        "000 l.42",
        Text(
            "In what sense does diffusion generalise autoregressive decoding?",
            "확산이 자기회귀 디코딩의 일반화라는 것은 무슨 뜻인가?",
        ),
        "section 4.3, Eq. 16; E79",
        r"L = E\left[-\sum_t \log p_\theta(x^{(t)}|x^{(t+1..D)})\right] = H(x_0)",
        autoregressive,
        SEED,
    ),
)
