"""Table 2 once more, small: networks of every prediction, variance and objective, trained alike and scored on the same images.

The paper's table has FIDs; here are bits/dim of held-out images, for an FID of digits of 8x8 pixels says nothing.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.objective import OBJECTIVES
from ddpm.diffusion.prediction import PREDICTIONS
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.diffusion.schedule import Schedule, linear
from ddpm.diffusion.variance import VARIANCES, beta_tilde_2
from ddpm.errors import Diverged
from ddpm.evaluation.paired import Difference, difference
from ddpm.evaluation.rate import Bound, images_of, measure, summarise
from ddpm.figures.korean import in_korean
from ddpm.figures.style import BLUE, GREEN, ORANGE, STYLE, panels
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.own.subject import Followed, unfollowed
from ddpm.laboratory.verdict import verdict
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.training.adam import adam
from ddpm.training.loop import Progress, batches_of, train
from ddpm.training.trainer import Recipe

BUDGET = 180.0
IMAGES, ENOUGH = 100, 500
SHAPE = UNetShape(channels=16, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0, groups=8)
RECIPE = Recipe(steps=1_000_000, batch_size=64, lr=2e-3, ema_decay=0.995, timesteps="stratified")
"""Of as many steps as the time allows."""


@dataclass(frozen=True)
class Kind:
    """A row of the table, by the names of `PREDICTIONS`, `VARIANCES` and `OBJECTIVES`."""

    prediction: str
    variance: str
    objective: str

    @property
    def loss(self) -> str:
        """As the paper writes it."""
        squared = {"mean": "|mu-tilde - mu|^2", "eps": "L_simple", "x0": "|x_0 - x_0-hat|^2"}
        return "L" if self.objective == "variational" else squared[self.prediction]

    @property
    def name(self) -> str:
        """In one word for each part."""
        return f"{self.prediction}, {self.variance}, {self.loss}"


WAYS = (("learned", "variational"), ("fixed-large", "variational"), ("fixed-large", "simple"))
KINDS = tuple(Kind(prediction, *way) for prediction in ("mean", "eps", "x0") for way in WAYS)
"""The paper's six rows, and the same for a network that predicts x_0."""
PAPER = Kind("eps", "fixed-large", "simple")
"""What all are compared with: the paper's choice."""


def usual_chain(T: int = 100) -> Schedule:
    """The published chain of 1000 steps in T jumps: a chain of its own, with the same noise at the steps that it keeps."""
    length = max(T, 1000)
    whole = linear(length, 0.1 / length, 20 / length)
    return Schedule(whole.respace([round(length * (i + 1) / T) for i in range(T)]).beta, kind="linear")


@dataclass(frozen=True, eq=False)
class Trained:
    """After `steps` steps each: the bounds, by kind; of those that diverged there is none."""

    steps: int
    parameters: int
    bounds: Mapping[Kind, Bound]

    def against(self, kind: Kind, other: Kind) -> Difference | None:
        """By how much the bound of `kind` is above that of `other`; None where one of them diverged."""
        if kind not in self.bounds or other not in self.bounds:
            return None
        return difference(self.bounds[other], self.bounds[kind])


def trained(
    schedule: Schedule,
    seed: int = 0,
    budget: float = BUDGET,
    steps: int | None = None,
    num_images: int = IMAGES,
    kinds: Sequence[Kind] = KINDS,
    followed: Followed = unfollowed,
) -> Trained:
    """Networks of all kinds: the same start, images, times and noise, a step of each in turn, so that all make as many.

    Args:
        schedule: of all.
        seed: of everything that is random.
        budget: seconds of training, for all of them together.
        steps: of each, instead of a budget.
        num_images: held-out digits that they are scored on.
        kinds: which.
        followed: shows the progress.
    """
    images, held_out = (open_source("digits", split) for split in ("train", "test"))
    x_0 = images_of(images, torch.arange(len(images)), torch.device("cpu")).float()
    processes = {kind: _process(kind, schedule, images, seed) for kind in kinds}
    recipe = Recipe(
        steps=steps or RECIPE.steps,
        batch_size=RECIPE.batch_size,
        lr=RECIPE.lr,
        ema_decay=RECIPE.ema_decay,
        timesteps=RECIPE.timesteps,
        seed=seed,
    )
    going = {kind: _training(p, x_0, recipe, kind) for kind, p in processes.items()}
    latest: dict[Kind, Progress] = {}
    seconds = math.inf if steps else budget
    parts = _rounds(going, latest, seconds)
    for _ in followed(parts, steps or round(budget), "training" if steps else "training, seconds"):
        pass
    some = held_out.take(torch.arange(min(num_images, len(held_out))))
    bounds = {kind: _scored(latest[kind].average, some, seed, followed, kind) for kind in going}
    made = max((one.step for one in latest.values()), default=0)
    network = processes[kinds[0]].network
    assert isinstance(network, torch.nn.Module)
    return Trained(made, sum(weight.numel() for weight in network.parameters()), bounds)


def _process(kind: Kind, schedule: Schedule, images: ImageSet, seed: int) -> ReverseProcess:
    """A new network of this kind; those with as many outputs begin alike."""
    variance, channels = VARIANCES[kind.variance](beta_tilde_2), images.shape[0]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        network = UNet(SHAPE, channels, channels * (1 + variance.outputs))
    prediction, decoder = PREDICTIONS[kind.prediction], discretised(images.levels)
    return ReverseProcess(network, schedule, prediction, variance, decoder=decoder)


def _training(p: ReverseProcess, x_0: torch.Tensor, recipe: Recipe, kind: Kind) -> Iterator[Progress]:
    assert isinstance(p.network, torch.nn.Module)
    batches = batches_of(x_0, None, recipe.batch_size, recipe.seed)
    return train(p, batches, OBJECTIVES[kind.objective], adam(p.network, recipe.lr), recipe)


def _rounds(going: dict[Kind, Iterator[Progress]], latest: dict[Kind, Progress], seconds: float) -> Iterator[int]:
    """A step of each in turn, all or none, until the time is over; those that diverge leave `going`. Yields for each second.

    Where there is no end by time it yields after each round.
    """
    began, said = time.monotonic(), 0
    while going and time.monotonic() - began < seconds:
        for kind, steps in list(going.items()):
            try:
                latest[kind] = next(steps)
            except Diverged:
                del going[kind]
            except StopIteration:
                return
        passed = int(min(time.monotonic() - began, seconds)) if seconds < math.inf else said + 1
        yield from range(said, passed)
        said = passed


def _scored(p: ReverseProcess | None, images: ImageSet, seed: int, followed: Followed, kind: Kind) -> Bound:
    assert p is not None
    parts = measure(p, images, seed, len(images), torch.device("cpu"))
    measured = followed(parts, p.schedule.T + 1, f"evaluating {kind.name}")
    return summarise(measured, p.schedule, len(images), math.prod(images.shape))


def compared(found: Difference | None, a: Text, b: Text) -> Text:
    """Which of two codes better, by the bits of b less those of a."""
    if found is None:
        return Text(f"one of {a.en} and {b.en} diverged", f"{a.ko}, {b.ko} 가운데 하나가 발산했다")
    mean, error = found.mean, found.stderr
    return verdict(
        (
            mean > 2 * error,
            f"{a.en} needs {mean:.4f} ± {error:.4f} bits/dim less than {b.en}",
            f"{a.ko} 쪽이 {b.ko} 쪽보다 {mean:.4f} ± {error:.4f} bits/dim 적게 든다",
        ),
        (
            mean < -2 * error,
            f"{b.en} needs {-mean:.4f} ± {error:.4f} bits/dim less than {a.en}",
            f"{b.ko} 쪽이 {a.ko} 쪽보다 {-mean:.4f} ± {error:.4f} bits/dim 적게 든다",
        ),
        (
            True,
            f"no difference is seen between {a.en} and {b.en} ({mean:+.4f} ± {error:.4f})",
            f"{a.ko} 쪽과 {b.ko} 쪽은 다르다고 할 수 없다({mean:+.4f} ± {error:.4f})",
        ),
    )


PAIRS = (
    (
        Kind("eps", "fixed-large", "variational"),
        PAPER,
        Text("eps trained by L", "L로 학습한 eps"),
        Text("eps trained by L_simple", "L_simple로 학습한 eps"),
    ),
    (
        Kind("mean", "fixed-large", "variational"),
        Kind("mean", "fixed-large", "simple"),
        Text("the mean trained by L", "L로 학습한 평균"),
        Text("the mean trained by its plain squared distance", "단순한 제곱 거리로 학습한 평균"),
    ),
    (
        Kind("eps", "learned", "variational"),
        Kind("eps", "fixed-large", "variational"),
        Text("a learned variance (eps, L)", "학습한 분산(eps, L)"),
        Text("a fixed one (eps, L)", "고정된 분산(eps, L)"),
    ),
)
"""What the answer says of the table: pairs of its rows."""


def least(found: Trained) -> Text:
    """Which row has the fewest bits, and how many others are not told from it."""
    order = sorted(found.bounds, key=lambda kind: found.bounds[kind].total)
    best, others = order[0], order[1:]
    away = {kind: difference(found.bounds[best], found.bounds[kind]) for kind in others}
    alike = [kind.name for kind, one in away.items() if one.mean <= 2 * one.stderr]
    total = found.bounds[best].total
    return verdict(
        (
            not alike,
            f"The fewest bits are those of ({best.name}): {total:.4f} bits/dim, and it is told from all others",
            f"비트가 가장 적은 것은 ({in_korean(best.name)})의 {total:.4f} bits/dim이고, 나머지 모두와 구별된다",
        ),
        (
            True,
            f"The fewest bits are those of ({best.name}): {total:.4f} bits/dim; not told from it: {'; '.join(alike)}",
            f"비트가 가장 적은 것은 ({in_korean(best.name)})의 {total:.4f} bits/dim이고, 이것과 구별되지 않는 것은 "
            f"다음과 같다: {'; '.join(map(in_korean, alike))}",
        ),
    )


def how_far(steps: int) -> Text:
    """What so many steps can tell."""
    return verdict(
        (
            steps < ENOUGH,
            f"After fewer than {ENOUGH} steps this tells how fast they learn rather than how well; a longer --budget tells more",
            f"{ENOUGH}스텝도 되지 않으므로 이 표는 얼마나 잘 배우는지보다는 얼마나 빨리 배우는지를 말한다. --budget을 늘려 보라",
        ),
        (
            True,
            "A longer --budget may still turn the order round",
            "--budget을 늘리면 순서가 바뀔 수도 있다",
        ),
    )


@mpl.rc_context(STYLE)
def answer(found: Trained, label: str, kinds: Sequence[Kind] = KINDS) -> Answer:
    """The table, with the standard error of each row and of its difference to the paper's choice, image by image."""
    rows = []
    for kind in kinds:
        bound, away = found.bounds.get(kind), found.against(kind, PAPER)
        own = (bound.total, bound.stderr) if bound else ("diverged", "-")
        than = (away.mean, away.stderr) if away and kind != PAPER else ("-", "-")
        rows.append((kind.prediction, kind.variance, kind.loss, *own, *than))
    best, enough = least(found), how_far(found.steps)
    pairs = [compared(found.against(b, a), *words) for a, b, *words in PAIRS]
    figure, (axis,) = panels(1, 3.6)
    colours = {"mean": ORANGE, "eps": BLUE, "x0": GREEN}
    there = [kind for kind in kinds if kind in found.bounds]
    bounds = [found.bounds[kind] for kind in there]
    bars = axis.barh(
        [kind.name for kind in there],
        [bound.total for bound in bounds],
        xerr=[2 * bound.stderr for bound in bounds],
        color=[colours[kind.prediction] for kind in there],
        height=0.6,
    )
    axis.bar_label(bars, fmt="%.3f", padding=8, fontsize=8)
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    axis.set(title=f"Digits, {found.steps} steps each, {label}", xlabel="L, bits/dim (± 2 standard errors)")
    images = next(iter(found.bounds.values())).images if found.bounds else 0
    en, ko = ". ".join(_begun(pair.en) for pair in pairs), ". ".join(pair.ko for pair in pairs)
    return Answer(
        Text(
            f"Networks of {found.parameters:,} parameters after {found.steps:,} steps each, with the same images, "
            f"times and noise, on {images} held-out digits. {best.en}. {en}. The paper's table has FIDs, and they are "
            "left out: of 8x8 digits an FID says nothing. 'Learned' is an interpolation between beta-tilde and beta "
            f"(E54), not the paper's diagonal. {enough.en}.",
            f"파라미터 {found.parameters:,}개인 신경망들을 같은 이미지, t, 잡음으로 {found.steps:,}스텝씩 학습해 남겨 "
            f"둔 숫자 이미지 {images}개로 쟀다. {best.ko}. {ko}. 논문의 표에 있는 FID는 뺐다. 8x8 숫자 이미지의 FID는 "
            "아무것도 말해 주지 않는다. '학습한 분산'은 논문의 대각 행렬이 아니라 beta-tilde와 beta 사이를 보간한 "
            f"것이다(E54). {enough.ko}.",
        ),
        [
            Table(
                (
                    "prediction",
                    "variance",
                    "objective",
                    "L, bits/dim",
                    "± stderr",
                    "less the paper's choice",
                    "its stderr",
                ),
                rows,
            )
        ],
        figure,
    )


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def table_2(setting: Setting) -> Answer:
    """The table by the usual budget."""
    return answer(trained(setting.schedule, setting.seed), setting.label)


TABLE_2 = Question(
    "table-2",
    "",
    Text(
        "What should a network predict, with which variance and by which objective? (Trains nine networks)",
        "신경망은 무엇을 예측하고, 분산은 무엇으로 두고, 무엇으로 학습해야 하는가? (신경망 아홉 개를 학습한다)",
    ),
    "section 4.2, Table 2; E47, E53, E54",
    r"\tilde\mu \;/\; \epsilon \;/\; x_0 \quad\times\quad \Sigma \;/\; \sigma_t^2 I \quad\times\quad L \;/\; L_{simple}",
    table_2,
)
