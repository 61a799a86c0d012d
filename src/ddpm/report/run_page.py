"""The sections of a run's page: what it drew, how it learned, what that costs in bits, and on which schedule."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ddpm.diffusion.schedule import Schedule
from ddpm.evaluation.rate import Bound
from ddpm.experiment.config import Experiment
from ddpm.figures import plots, style
from ddpm.figures.pictures import square, tile, to_pictures
from ddpm.language import Text
from ddpm.report.page import Fact, Figure, animation, filmstrip, page, picture
from ddpm.tensors import ImageBatch

NAMED = 100
"""Classes whose names a page lists."""


@dataclass(frozen=True)
class Filmstrip:
    """Moments of some chains: t, x_t and the estimate of x_0, each (images, C, H, W)."""

    t: Sequence[int]
    x: Sequence[ImageBatch]
    x_0: Sequence[ImageBatch]


def run_page(
    experiment: Experiment,
    parameters: int,
    rows: Sequence[dict[str, Any]],
    bits: Fact,
    sections: Sequence[Figure],
    language: str = "en",
) -> str:
    """The whole page as HTML."""
    facts = [
        bits,
        Fact(f"{parameters:,}", Text("parameters", "파라미터").in_language(language)),
        *[Fact(f"{last['step']:,}", STEPS.with_values(language, minutes=last["seconds"] / 60)) for last in rows[-1:]],
        Fact(
            f"{experiment.schedule.name}, T = {experiment.schedule.T}", Text("schedule", "스케줄").in_language(language)
        ),
        Fact(
            experiment.process.variance,
            Text("variance of the reverse process", "역방향 과정의 분산").in_language(language),
        ),
    ]
    return page(
        TITLE.with_values(language, source=experiment.data.source),
        INTRODUCTION.in_language(language),
        facts,
        sections,
        FOOTNOTE.with_values(language, preset=experiment.preset, seed=experiment.training.seed),
        language,
    )


TITLE = Text("A diffusion model of {source}", "{source}의 확산 모델")
INTRODUCTION = Text(
    "Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020), trained with ddpm.",
    "Denoising Diffusion Probabilistic Models(Ho, Jain, Abbeel 2020)를 ddpm으로 학습했다.",
)
STEPS = Text("steps in {minutes:.1f} minutes", "스텝, {minutes:.1f}분 동안")
FOOTNOTE = Text(
    "Preset {preset}, seed {seed}. ddpm evaluate RUN --data SOURCE recomputes the bits.",
    "프리셋 {preset}, 시드 {seed}. ddpm evaluate RUN --data SOURCE로 비트를 다시 계산한다.",
)
HELD_OUT = Text("bits/dim of held-out images", "bits/dim, 남겨 둔 이미지")


def exact_bits(bound: Bound, language: str = "en") -> Fact:
    """The bound, for the top of the page."""
    label = Text(
        f"bits/dim of {bound.images} held-out {'image' if bound.images == 1 else 'images'}",
        f"bits/dim, 남겨 둔 이미지 {bound.images}장",
    )
    return Fact(f"{bound.total:.3f} ± {bound.stderr:.3f}", label.in_language(language))


def estimated_bits(rows: Sequence[dict[str, Any]], language: str = "en") -> Fact:
    """The last estimate of the bound while training, if there was any."""
    found = [row for row in rows if "bits_per_dim" in row]
    label = HELD_OUT.in_language(language)
    if not found:
        return Fact(Text("not measured", "재지 않음").in_language(language), label)
    row = found[-1]
    value = f"{row['bits_per_dim']:.3f} ± {row['bits_per_dim_stderr']:.3f}"
    when = Text(" (estimate at step {step:,})", "({step:,}스텝에서 추정)").with_values(language, step=row["step"])
    return Fact(value, label + when)


def preview(image: Image.Image, classes: Sequence[str] = (), language: str = "en") -> Figure:
    """The last grid that training left; of a model of classes it has them in columns, one after the other."""
    names = html.escape(", ".join(classes[:NAMED]) + (", ..." if len(classes) > NAMED else ""))
    told = Text(
        f" Its columns are of the classes, in this order and again: {names}.",
        f" 열은 클래스이고, 이 순서로 되풀이된다: {names}.",
    )
    drawn = Text(
        "Drawn while training by DDIM in a few steps, from the same noise each time.",
        "학습하는 동안 DDIM의 적은 스텝으로, 매번 같은 잡음에서 뽑았다.",
    )
    return Figure(
        SAMPLES.in_language(language),
        picture(image, SAMPLES.in_language(language)),
        drawn.in_language(language) + (told.in_language(language) if classes else ""),
        r"x_{t-1} = \sqrt{\bar\alpha_{t-1}}\,\hat x_0 + \sqrt{1-\bar\alpha_{t-1}}\,\epsilon_\theta(x_t, t)",
        label=NUMBERED.in_language(language),
    )


SAMPLES = Text("Samples", "샘플")
NUMBERED = Text("Figure {number}.", "그림 {number}.")
STILL = Text("Drawn from the model; not chosen.", "모델에서 뽑은 그대로다. 고르지 않았다.")
MOVING = Text("the same samples, from noise to image", "같은 샘플, 잡음에서 이미지까지")
CHAINS = Text(
    "The same chains, from x<sub>T</sub> to x<sub>0</sub>.", "같은 체인, x<sub>T</sub>에서 x<sub>0</sub>까지."
)
ALGORITHM_2 = Text(
    "Algorithm 2: start from noise, and at each step draw from the reverse process. The last step adds none. (The "
    "estimate of x<sub>0</sub> inside it is kept in [−1, 1] if the process says so.)",
    "알고리즘 2. 잡음에서 시작해 스텝마다 역방향 과정에서 뽑는다. 마지막 스텝은 잡음을 더하지 않는다. (그 안의 "
    "x<sub>0</sub> 추정값은 과정이 그렇게 정해져 있으면 [−1, 1] 안에 둔다.)",
)


def samples(drawn: ImageBatch, moving: Path, levels: int, language: str = "en") -> Figure:
    """Samples, and how they came about."""
    still = picture(square(to_pictures(drawn, levels)), SAMPLES.in_language(language))
    return Figure(
        SAMPLES.in_language(language),
        f'<div class="pair"><div>{still}<p>{STILL.in_language(language)}</p></div>'
        f"<div>{animation(moving, MOVING.in_language(language))}<p>{CHAINS.in_language(language)}</p></div></div>",
        ALGORITHM_2.in_language(language),
        r"x_{t-1} = \frac{1}{\sqrt{\alpha_t}}\left(x_t - \frac{1-\alpha_t}{\sqrt{1-\bar\alpha_t}}\,"
        r"\epsilon_\theta(x_t, t)\right) + \sigma_t z, \quad z \sim \mathcal{N}(0, I)",
        label=NUMBERED.in_language(language),
    )


FILM = Text(
    "Above: x<sub>t</sub> at some t. Below: what the network took the image to be when it made that "
    "x<sub>t</sub>. Large features come first, details last.",
    "위: 몇몇 t의 x<sub>t</sub>. 아래: 그 x<sub>t</sub>를 만들 때 신경망이 추정한 이미지. 큰 모양이 먼저, 세부가 나중에 나온다.",
)


def film(strip: Filmstrip, levels: int, language: str = "en") -> Figure:
    """One row an image, one column a moment: first x_t, then the estimates of x_0."""
    what = Text("moments of some chains", "몇몇 체인의 순간들").in_language(language)

    def drawing(moments: Sequence[ImageBatch]) -> str:
        by_image = torch.stack([to_pictures(x, levels) for x in moments], dim=1)
        sheet = tile(by_image.flatten(0, 1), len(moments))
        return filmstrip([f"t = {t}" for t in strip.t], sheet, what)

    return Figure(
        Text("From noise to image", "잡음에서 이미지까지").in_language(language),
        drawing(strip.x) + drawing(strip.x_0),
        FILM.in_language(language),
        r"x_0 \approx \hat x_0 = \frac{x_t - \sqrt{1-\bar\alpha_t}\,\epsilon_\theta(x_t, t)}{\sqrt{\bar\alpha_t}}",
        label=NUMBERED.in_language(language),
    )


MINIMISED = {
    "simple": r"L_{\mathrm{simple}} = E_{t, x_0, \epsilon}\left\|y - y_\theta("
    r"\sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon,\ t)\right\|^2,\quad y = TARGET",
    "weighted": r"E_{t, x_0, \epsilon}\ T\,w_t \left\|\epsilon - \epsilon_\theta(x_t, t)\right\|^2",
    "variational": r"L = E\left[L_T + L_{T-1} + \cdots + L_1 + L_0\right]",
}
TARGETS = {
    "eps": r"\epsilon",
    "x0": "x_0",
    "mean": r"\tilde\mu_t(x_t, x_0)",
    "v": r"\sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0",
}


def minimised(experiment: Experiment) -> str:
    """The formula of the training objective; the hybrid is L_simple and a little of the bound."""
    name = {"hybrid": "simple"}.get(experiment.objective, experiment.objective)
    tex = MINIMISED[name].replace("TARGET", TARGETS[experiment.process.prediction])
    return r"L_{\mathrm{simple}} + 0.001\,L_{\mathrm{vlb}},\quad " + tex if experiment.objective == "hybrid" else tex


LEARNING = Text(
    "Left: what training minimises. Right: the bound of held-out images on the same times and noise each time, with "
    "the weights' moving average; the band is one standard error over images.",
    "왼쪽: 학습이 줄이는 값. 오른쪽: 남겨 둔 이미지의 변분 경계. 매번 같은 t와 잡음에서 가중치의 이동평균으로 계산하며, "
    "띠는 이미지에 대한 표준오차다.",
)


def learning(experiment: Experiment, rows: Sequence[dict[str, Any]], language: str = "en") -> Figure:
    """Loss and held-out bound over the steps."""
    return Figure(
        Text("Learning", "학습").in_language(language),
        style.svg(plots.training(rows), language),
        LEARNING.in_language(language),
        minimised(experiment),
        label=NUMBERED.in_language(language),
    )


TERM_BY_TERM = Text(
    "How many bits each part of the code for a held-out image takes ({images} images, each once, every t, "
    "fresh noise for each). An upper bound on the negative log-likelihood: pixels are coded by the exact mass of "
    "their bins.",
    "남겨 둔 이미지의 부호에서 부분마다 드는 비트(이미지 {images}장을 한 번씩, 모든 t에서, t마다 새 잡음으로). 음의 로그 "
    "우도의 상한이고, 픽셀은 그 구간의 정확한 확률로 부호화한다.",
)
PROGRESSIVE = Text(
    "If x<sub>T</sub>, x<sub>T−1</sub>, … were sent one after the other, how many bits would have arrived, and "
    "how far would the estimate of the image be from it? (Section 4.3 of the paper, Figure 5.)",
    "x<sub>T</sub>, x<sub>T−1</sub>, …을 차례로 보낸다면 그때까지 받은 비트는 얼마이고, 이미지의 추정값은 얼마나 떨어져 "
    "있는가? (논문 4.3절, 그림 5.)",
)
SCHEDULE = Text(
    "How much of the image is left at each step, on two scales, and the two fixed variances between which the best "
    "one lies when the data have unit variance.",
    "스텝마다 이미지가 얼마나 남는지를 두 눈금으로 그렸다. 오른쪽은 고정 분산 둘이며, 데이터의 분산이 1이면 최적의 분산은 그 "
    "사이에 있다.",
)


def bits(bound: Bound, language: str = "en") -> list[Figure]:
    """The bound term by term, and the rate-distortion curve."""
    return [
        Figure(
            Text("The bound, term by term", "항별로 본 변분 경계").in_language(language),
            style.svg(plots.bound_by_t(bound), language),
            TERM_BY_TERM.with_values(language, images=bound.images),
            r"L = D_{KL}(q(x_T|x_0)\,\|\,p(x_T)) + \sum_{t=2}^{T} D_{KL}(q(x_{t-1}|x_t,x_0)\,\|\,p_\theta(x_{t-1}|x_t))"
            r" - \log p_\theta(x_0|x_1)",
            label=NUMBERED.in_language(language),
        ),
        Figure(
            Text("Progressive lossy compression", "점진적 손실 압축").in_language(language),
            style.svg(plots.rate_distortion(bound), language),
            PROGRESSIVE.in_language(language),
            r"R(t) = L_T + \sum_{s=t+1}^{T} L_{s-1}, \quad \mathrm{RMSE}(t) = \sqrt{E\,\|x_0 - "
            r"\hat x_0(x_t, t)\|^2 / D}",
            label=NUMBERED.in_language(language),
        ),
    ]


def schedule(q: Schedule, name: str, language: str = "en") -> Figure:
    """The schedule."""
    return Figure(
        Text("The schedule", "스케줄").in_language(language),
        style.svg(plots.schedule(q, name), language),
        SCHEDULE.in_language(language),
        r"q(x_t|x_0) = \mathcal{N}(\sqrt{\bar\alpha_t}\,x_0, (1-\bar\alpha_t) I), \quad \tilde\beta_t = "
        r"\frac{1-\bar\alpha_{t-1}}{1-\bar\alpha_t}\,\beta_t",
        label=NUMBERED.in_language(language),
    )
