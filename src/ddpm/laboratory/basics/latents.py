"""What latents are for: why as many as pixels, and the VAE beside the diffusion, term by term (dimension, vae)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddpm.analytic.bound import terms_from_mse
from ddpm.analytic.mixture import Mixture, points
from ddpm.analytic.process import Diffused
from ddpm.analytic.quadrature import best_pixel_term, mmse
from ddpm.diffusion.decoder import discretised, log_likelihood
from ddpm.diffusion.gaussian import Gaussian, kl
from ddpm.diffusion.schedule import log_snr
from ddpm.diffusion.variance import Optimal
from ddpm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, panels
from ddpm.laboratory.answer import NOTHING, Answer, Question, Setting, Table, Text
from ddpm.laboratory.basics.quarter import few
from ddpm.laboratory.verdict import verdict

F64 = torch.float64


def first_parts(diffused: Diffused) -> tuple[float, float]:
    """L_T and L_1 + ... + L_{T-1} of a pixel, bits, exactly: best mean, optimal variance."""
    errors = mmse(diffused)
    terms = terms_from_mse(diffused.schedule, Optimal(errors), errors, float(diffused.data.second_moment))
    return float(terms[0]) / math.log(2), float(terms[2:].sum()) / math.log(2)


def last_part(diffused: Diffused, levels: int) -> float:
    """L_0 of a pixel, bits: best mean, and the best sigma_1 for its bins."""
    return best_pixel_term(diffused, diffused, discretised(levels)) / math.log(2)


def halves() -> Mixture:
    """-1/2 or +1/2, with equal probability: the second and the fourth of five grey levels. One bit."""
    return points(torch.tensor([[-0.5], [0.5]]), torch.ones(2))


def decoder_alone() -> float:
    """Bits of such a pixel if no latent speaks of it: the best single Gaussian, about 0, as the decoder's bins see it."""
    place = torch.full((1, 1), 0.5, dtype=F64)
    widths = torch.linspace(math.log(0.05), math.log(20), 4001, dtype=F64)
    masses = log_likelihood(
        place.expand(len(widths), 1), Gaussian(torch.zeros(len(widths), 1, dtype=F64), 2 * widths[:, None]), 5
    )
    return -float(masses.max()) / math.log(2)


def as_many_as_pixels(setting: Setting) -> Answer:
    """Two independent pixels of one bit each: latents for both, for one, for none; over the number of steps."""
    alone, left, rows = decoder_alone(), 0.0, []
    for count in sorted({n for n in (1, 3, 10, 30) if n < setting.T} | {min(setting.T, 100)}):
        diffused = Diffused(halves(), few(setting.schedule, count))
        left, middle = first_parts(diffused)
        one = left + middle + last_part(diffused, 5)
        rows.append((count, 2 * one - 2, one + alone - 2, 2 * alone - 2))
    figure, (axis,) = panels(1)
    steps = [r[0] for r in rows]
    for column, color, label in (
        (3, GREY, "no latents: the decoder alone"),
        (2, ORANGE, "one pixel kept"),
        (1, BLUE, "both kept"),
    ):
        axis.plot(steps, [r[column] for r in rows], color=color, marker="o", label=label)
    axis.set(
        title=f"Two independent pixels of one bit each, {setting.label}",
        xlabel="steps of the chain",
        ylabel="bits above the entropy",
        xscale="log",
        yscale="log",
    )
    axis.legend()
    kept = _whether_worth_keeping(rows[-1], 2 * left)
    return Answer(
        Text(
            "x_t is x_{t-1} times a number plus noise, so every x_t is a noisy image with as many coordinates as x_0: "
            "the latents of a diffusion cannot have another dimension (those of a VAE can). What is it good for? A "
            "coordinate that no latent keeps is left to the decoder, which is one Gaussian for each pixel, whatever "
            "the data. Two independent pixels of one bit each (the second or the fourth of five levels) have an "
            f"entropy of 2 bits. Dropping a pixel costs {alone - 1:.4f} bits, because one Gaussian cannot be two "
            f"points. {kept.en}.",
            "x_t는 x_{t-1}에 수를 곱하고 잡음을 더한 것이므로 모든 x_t는 x_0와 좌표 수가 같은, 잡음 섞인 이미지다. "
            "확산 모델의 잠재 변수는 다른 차원을 가질 수 없다(VAE의 잠재 변수는 그럴 수 있다). 그래서 무엇이 좋은가? "
            "어느 잠재 변수에도 남지 않은 좌표는 디코더가 떠맡는데, 디코더는 데이터가 무엇이든 픽셀마다 가우시안 "
            "하나다. 서로 독립인 1비트짜리 픽셀 두 개(다섯 레벨 가운데 둘째 아니면 넷째)의 엔트로피는 2비트다. 픽셀 "
            f"하나를 버리면 {alone - 1:.4f}비트가 더 든다. 가우시안 하나는 두 점이 될 수 없기 때문이다. {kept.ko}.",
        ),
        [Table(("steps", "both kept, bits above 2", "one kept", "none"), rows)],
        figure,
    )


def _whether_worth_keeping(row: tuple[int, float, float, float], left: float) -> Text:
    """Whether a chain that keeps both pixels is nearer to the entropy than one that drops a pixel; `left` is L_T of both."""
    steps, both, one, _ = row
    return verdict(
        (
            both < one,
            f"With {steps} steps of this schedule latents for both pixels come within {both:.4f} bits of the entropy, "
            f"latents for one of them within {one:.4f}",
            f"이 스케줄의 {steps}스텝에서 두 픽셀을 모두 남기면 엔트로피보다 {both:.4f}비트, 하나만 남기면 "
            f"{one:.4f}비트 많다",
        ),
        (
            True,
            f"But in {steps} steps of this schedule a latent costs more than it saves: {both:.4f} bits above the "
            f"entropy with latents for both, {one:.4f} with latents for one; {left:.4f} of the first are L_T, the "
            "signal left in x_T",
            f"다만 이 스케줄의 {steps}스텝에서는 잠재 변수가 아껴 주는 것보다 더 든다. 둘 다 남기면 엔트로피보다 "
            f"{both:.4f}비트, 하나만 남기면 {one:.4f}비트 많고, 앞의 것 가운데 {left:.4f}비트는 L_T, 곧 x_T에 남은 "
            "신호의 대가다",
        ),
    )


PROBABILITIES, LEVELS = (0.5, 0.05, 0.15, 0.3), 9
NINE, NOISE_1 = discretised(LEVELS), 1 / 16


def grey() -> Mixture:
    """A pixel that has one of four out of nine grey levels, every second one, with unequal probabilities."""
    return points(torch.tensor([[-0.75], [-0.25], [0.25], [0.75]], dtype=F64), torch.tensor(PROBABILITIES, dtype=F64))


Whole = Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
"""From the free numbers to those that `elbo` takes."""


def elbo(mean: Tensor, log_sd: Tensor, decoded: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Prior and reconstruction term of a VAE with one latent for `grey`, nats, by quadrature.

    The encoder is N(mean_k, sd_k^2) for level k, (4,) each; the decoder's mean is the average of `decoded` (4,) by the
    probabilities of the levels given z, its standard deviation exp(log_sigma).
    """
    p, z = torch.tensor(PROBABILITIES, dtype=F64), torch.linspace(-7, 7, 141, dtype=F64)
    density = torch.exp(-0.5 * z**2)
    latent = mean[:, None] + log_sd.exp()[:, None] * z
    encoder = Gaussian(mean[:, None, None], 2 * log_sd[:, None, None])
    given = (p.log()[:, None, None] + encoder.log_prob(latent)).softmax(0)
    x_0 = grey().mean.expand_as(latent)
    decoder = Gaussian((given * decoded[:, None, None]).sum(0), (2 * log_sigma).expand_as(latent))
    missed = -(NINE(x_0, decoder) * density / density.sum()).sum(1)
    standard = Gaussian(torch.zeros_like(mean), torch.zeros_like(mean))
    return (p * kl(Gaussian(mean, 2 * log_sd), standard)).sum(), (p * missed).sum()


def optimised(free: Sequence[Tensor], whole: Whole) -> tuple[float, float, float]:
    """Prior, middle (a VAE has none) and reconstruction in bits after L-BFGS has moved the `free` numbers."""
    optimizer = torch.optim.LBFGS(free, max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = sum(elbo(*whole(*free)), start=torch.zeros((), dtype=F64))
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        prior, reconstruction = elbo(*whole(*free))
    return float(prior) / math.log(2), 0.0, float(reconstruction) / math.log(2)


def fixed_encoder(logit: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q(x_1|x_0) of a diffusion of one step: alpha_bar_1 is free, but the same for every level."""
    x_0 = grey().mean.flatten()
    log_sd = 0.5 * torch.nn.functional.logsigmoid(-logit).expand_as(x_0)
    return logit.sigmoid().sqrt() * x_0, log_sd, x_0, log_sigma


def learned_encoder(numbers: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A mean and a deviation for each level, and what the decoder makes of it: (3, 4) free numbers."""
    mean, log_sd, decoded = numbers
    return mean, log_sd, decoded, log_sigma


def no_encoder(decoded: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Z is noise, as x_T is: the decoder alone."""
    zero = torch.zeros(len(PROBABILITIES), dtype=F64)
    return zero, zero, decoded.expand_as(zero), log_sigma


def one_step() -> dict[str, tuple[float, float, float]]:
    """The three VAEs with one latent: prior, middle and reconstruction, bits."""

    def free(*values: float) -> Tensor:
        return torch.tensor(values, dtype=F64).squeeze().requires_grad_()

    alone, by_one = (free(0.0), free(-0.5)), (free(3.0), free(-2.0))
    fixed = optimised(by_one, fixed_encoder)
    p, x_0 = torch.tensor(PROBABILITIES, dtype=F64), grey().mean.flatten()
    places = torch.special.ndtri(p.cumsum(0) - 0.5 * p)  # each level a part of the prior of its own
    numbers = torch.stack([places, (0.5 * p).log(), x_0]).requires_grad_()
    return {
        "T = 1, z is noise": optimised(alone, no_encoder),
        "T = 1, VAE with a fixed encoder": fixed,
        "T = 1, VAE with a learned encoder": optimised((numbers, free(-1.5)), learned_encoder),
    }


def side_by_side(_setting: Setting) -> Answer:
    """The bound of a pixel of four grey levels in its three parts: VAEs with one latent, diffusions with T."""
    law = grey()
    entropy = float(torch.special.entr(torch.tensor(PROBABILITIES, dtype=F64)).sum()) / math.log(2)
    found = one_step()
    pixels = last_part(Diffused(law, log_snr(2, noise_1=NOISE_1)), LEVELS)  # x_1 is the same for every T
    for T in (2, 5, 10, 30, 100, 1000):
        found[f"T = {T}, diffusion"] = (*first_parts(Diffused(law, log_snr(T, noise_1=NOISE_1))), pixels)
    rows = [(name, *three, sum(three), sum(three) - entropy) for name, three in found.items()]
    figure, (axis,) = panels(1, 3.4)
    left = torch.zeros(len(rows), dtype=F64)
    names = [row[0] for row in rows]
    for column, color, label in ((1, PURPLE, "L(T): prior"), (2, BLUE, "middle"), (3, ORANGE, "L(0): reconstruction")):
        widths = torch.tensor([row[column] for row in rows], dtype=F64)
        axis.barh(names, widths, left=left, color=color, height=0.6, label=label)
        left = left + widths
    axis.axvline(entropy, color=GREEN, ls="--", label="H(x(0))")
    for place, row in enumerate(rows):
        axis.annotate(
            f"+{row[5]:.4f}", (float(left[place]), place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(
        title="Four of nine grey levels: bits, and bits above the entropy",
        xlabel="bits",
        xlim=(0, 1.25 * float(left.max())),
    )
    axis.legend(loc="lower right")
    return Answer(
        _compared(rows, entropy),
        [Table(("model", "prior", "middle", "reconstruction", "L, bits", "L - H"), rows)],
        figure,
    )


Row = tuple[str, float, float, float, float, float]


def _compared(rows: Sequence[Row], entropy: float) -> Text:
    noise, fixed, learned, *chains = rows
    first = _first_below(chains, learned)
    longest = chains[-1]
    return Text(
        "Both minimise the same bound: prior + middle + reconstruction = L_T + (L_1 + ... + L_{T-1}) + L_0. A VAE has "
        "one latent (T = 1, no middle) and learns its encoder; a diffusion has T latents as large as the image, an "
        f"encoder without parameters, and one network for all T decoders. On a pixel of four levels with {entropy:.4f} "
        f"bits of entropy, exactly: if z is pure noise, the decoder alone needs {noise[4]:.4f} bits; a VAE whose "
        f"encoder is one step of Eq. 2 with its best alpha_bar {fixed[4]:.4f} ({fixed[1]:.4f} prior + {fixed[3]:.4f} "
        "reconstruction); with mean and deviation of the encoder free for each level (found by optimisation) "
        f"{learned[4]:.4f}. {first.en}. With T = 1000 L is {longest[4]:.4f} bits, {longest[5]:.4f} above the entropy, "
        f"and nearly all of it is middle ({longest[2]:.4f}): the prior takes {longest[1]:.1e} and the reconstruction "
        f"{longest[3]:.4f}.",
        "둘은 같은 변분 경계를 최소화한다. 사전분포 항 + 가운데 항 + 재구성 항 = L_T + (L_1 + ... + L_{T-1}) + L_0. VAE에는 "
        "잠재 변수가 하나이고(T = 1, 가운데 항 없음) 인코더를 학습한다. 확산 모델에는 이미지와 같은 크기의 잠재 변수가 "
        "T개 있고, 인코더에는 파라미터가 없으며, 신경망 하나가 T개의 디코더를 모두 맡는다. 엔트로피가 "
        f"{entropy:.4f}비트인 네 레벨 픽셀에서 정확히 계산하면, z가 순수한 잡음일 때 디코더 혼자 {noise[4]:.4f}비트가 "
        f"필요하다. 인코더가 식 2의 한 스텝인 VAE는 최선의 alpha_bar에서 {fixed[4]:.4f}비트(사전분포 항 {fixed[1]:.4f} + "
        f"재구성 항 {fixed[3]:.4f}), 레벨마다 인코더의 평균과 표준편차를 자유롭게 두고 최적화하면 "
        f"{learned[4]:.4f}비트다. {first.ko}. T = 1000이면 L은 {longest[4]:.4f}비트로 엔트로피보다 "
        f"{longest[5]:.4f}비트 많고, 거의 전부가 가운데 항({longest[2]:.4f})이다. 사전분포 항은 {longest[1]:.1e}비트, "
        f"재구성 항은 {longest[3]:.4f}비트다.",
    )


def _first_below(chains: Sequence[Row], learned: Row) -> Text:
    """The shortest diffusion that beats the VAE with the learned encoder."""
    name, *_, excess = next((row for row in chains if row[5] < learned[5]), chains[-1])
    steps = name.split(",")[0]
    return verdict(
        (
            excess < learned[5],
            f"That VAE is {learned[5]:.4f} bits above the entropy, and the first chain here that beats it has {steps} "
            f"({excess:.4f})",
            f"이 VAE는 엔트로피보다 {learned[5]:.4f}비트 많고, 표에서 처음으로 이보다 나은 체인은 {steps}일 "
            f"때다({excess:.4f}비트)",
        ),
        (
            True,
            f"That VAE is {learned[5]:.4f} bits above the entropy, and no chain here beats it (the longest: "
            f"{excess:.4f})",
            f"이 VAE는 엔트로피보다 {learned[5]:.4f}비트 많고, 표의 어느 체인도 이보다 낫지 않다(가장 긴 체인 "
            f"{excess:.4f}비트)",
        ),
    )


QUESTIONS = (
    Question(
        "dimension",
        "000 l.51-52",
        Text(
            "Why have the latents x_1, ..., x_T as many dimensions as the data?",
            "잠재 변수 x_1, ..., x_T는 왜 데이터와 차원이 같은가?",
        ),
        "section 2, Eq. 2; E2, E60",
        r"x_1, \ldots, x_T \in \mathbb{R}^D, \quad x_0 \in \mathbb{R}^D",
        as_many_as_pixels,
    ),
    Question(
        "vae",
        "000 l.83-86, 003 l.20-34",
        Text(
            "What does a diffusion share with a VAE, and what is different?",
            "확산 모델은 VAE 같은 다른 잠재 변수 모델과 무엇이 같고 무엇이 다른가?",
        ),
        "section 2, Eq. 3, 5; E26, E39",
        r"L = D_{KL}(q(x_T|x_0)\,\|\,p(x_T)) + \sum_{t>1} L_{t-1} - \log p_\theta(x_0|x_1)",
        side_by_side,
        NOTHING,
    ),
)
