"""The score of a trained network, and what Algorithm 2 and annealed Langevin dynamics draw with it (Q4)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm.diffusion.reverse import ReverseProcess
from ddpm.figures.pictures import square, to_pictures
from ddpm.figures.style import BLUE, GREY, ORANGE, panels
from ddpm.laboratory.answer import Answer, Table, Text
from ddpm.laboratory.distance import sliced_wasserstein
from ddpm.laboratory.forward import some_steps
from ddpm.laboratory.own.subject import Subject
from ddpm.laboratory.verdict import verdict
from ddpm.sampling.ancestral import Ancestral
from ddpm.sampling.chain import Sampler, chain, last_of
from ddpm.sampling.few_steps import FewSteps
from ddpm.sampling.langevin import SongLangevin
from ddpm.seeds import generator
from ddpm.tensors import noise_from

CORRECTIONS = 10
"""Steps of Langevin dynamics at a level; a tenth of the chain's steps are levels, so that both samplers cost the same."""
SETS = 8
"""Sets of real images whose distance from the images says what chance does."""


def away(subject: Subject, t: int) -> float:
    """How far the network's score is from the exact model's, relative to this one's size, at x_t of the images."""
    x_t = subject.network.q.sample(subject.x_0, t, noise_from(generator(subject.seed, "score", t))(subject.x_0))
    network, exact = subject.of_network().score(x_t, t), subject.exact.score(x_t, t)
    return float((network - exact).norm() / exact.norm())


def nearer(better: int, of: int) -> Text:
    """At how many of the steps the network's score is nearer to the true one than the exact model's."""
    return verdict(
        (
            better > 0.9 * of,
            f"this network's loss is the smaller one at {better} of {of} steps: its score is nearer to that of real "
            "images than the Gaussian's is",
            f"이 신경망의 손실이 {of}스텝 가운데 {better}스텝에서 더 작다. 가우시안의 점수보다 실제 이미지의 점수에 "
            "가깝다",
        ),
        (
            better < 0.1 * of,
            f"this network's loss is the smaller one at {better} of {of} steps only: its score is farther from that of "
            "real images than the Gaussian's is",
            f"이 신경망의 손실은 {of}스텝 가운데 {better}스텝에서만 더 작다. 가우시안의 점수보다 실제 이미지의 "
            "점수에서 멀다",
        ),
        (
            True,
            f"this network's loss is the smaller one at {better} of {of} steps: its score is nearer to that of real "
            "images at those, and the Gaussian's at the others",
            f"이 신경망의 손실은 {of}스텝 가운데 {better}스텝에서 더 작다. 그곳에서는 신경망의 점수가, 나머지에서는 "
            "가우시안의 점수가 실제 이미지의 점수에 가깝다",
        ),
    )


@dataclass(frozen=True, eq=False)
class Drawn:
    """By name: network evaluations, the samples of the exact model and of the network, and both distances from the images."""

    evaluations: int
    samples: tuple[Tensor, Tensor]
    distances: tuple[float, float]


def _sampled(subject: Subject, p: ReverseProcess, sampler: Sampler, what: str) -> Tensor:
    draw = noise_from(generator(subject.seed, "samplers"))
    x_T = draw(torch.zeros_like(subject.x_0))
    total = p.schedule.T
    return last_of(subject.followed(chain(p, x_T, sampler, draw), total, what)).x


def _distance(subject: Subject, x: Tensor) -> float:
    a, b = (images.cpu().double().flatten(1) for images in (x, subject.x_0))
    return sliced_wasserstein(a, b, generator(subject.seed, "directions"))


def two_samplers(subject: Subject) -> dict[str, Drawn]:
    """Algorithm 2 on the whole chain, and annealed Langevin dynamics on a tenth of it, from the same x_T and as many evaluations."""
    levels = max(2, subject.T // CORRECTIONS)
    ways: dict[str, tuple[Sampler, FewSteps]] = {
        "Algorithm 2": (Ancestral(), FewSteps()),
        "annealed Langevin": (SongLangevin(CORRECTIONS), FewSteps(levels)),
    }
    found = {}
    for name, (sampler, few) in ways.items():
        processes = (few.of(subject.exact), few.of(subject.of_network()))
        labels = ("the exact model", "the network")
        samples = [
            _sampled(subject, p, sampler, f"{name}, {whose}") for p, whose in zip(processes, labels, strict=True)
        ]
        evaluations = sampler.evaluations(processes[0].schedule.T) or 0
        distances = [_distance(subject, x) for x in samples]
        found[name] = Drawn(evaluations, (samples[0], samples[1]), (distances[0], distances[1]))
    return found


def chance(subject: Subject) -> tuple[float, float]:
    """Mean and standard deviation of the distance of as many other real images from the images; of few others they repeat."""
    others, random = subject.others, generator(subject.seed, "other images")
    distances = []
    for _ in range(SETS):
        rows = torch.randint(len(others), (len(subject.images),), generator=random)
        distances.append(_distance(subject, others.scaled(rows)))
    found = torch.tensor(distances, dtype=torch.float64)
    return float(found.mean()), float(found.std())


def which_sampler(ancestral: float, langevin: float, spread: float) -> Text:
    """Whose samples are nearer to the images; a distance counts from two standard deviations on."""
    return verdict(
        (
            ancestral < langevin - 2 * spread,
            "with as many evaluations Algorithm 2 comes nearer to the images than annealed Langevin dynamics",
            "같은 횟수의 계산으로 알고리즘 2가 담금질 랑주뱅보다 이미지에 더 가까이 간다",
        ),
        (
            langevin < ancestral - 2 * spread,
            "with as many evaluations annealed Langevin dynamics comes nearer to the images than Algorithm 2",
            "같은 횟수의 계산으로 담금질 랑주뱅이 알고리즘 2보다 이미지에 더 가까이 간다",
        ),
        (
            True,
            "with as many evaluations neither sampler comes nearer to the images than the other, but for chance",
            "같은 횟수의 계산으로 두 방법의 거리는 우연을 넘어설 만큼 다르지 않다",
        ),
    )


def score_matching(subject: Subject) -> Answer:
    """The denoising loss of both scores at every t, how far they are apart, and two samplers with each."""
    exact, network = (found.bound.mse_eps for found in subject.both)
    noise = subject.schedule.one_minus_alpha_bar
    losses = [errors[1:] / noise[1:] for errors in (exact, network)]  # E|s - grad log q(x_t|x_0)|^2 for each coordinate
    rows = [
        (t, *(float(loss[t - 1]) for loss in losses), float(losses[1][t - 1] - losses[0][t - 1]), away(subject, t))
        for t in some_steps(subject.schedule)
    ]
    better = int((losses[1] < losses[0]).sum())
    drawn, (floor, spread) = two_samplers(subject), chance(subject)
    ancestral, langevin = (one.distances[1] for one in drawn.values())
    found, sampler = nearer(better, subject.T), which_sampler(ancestral, langevin, spread)
    table = [("other real images", 0, floor, floor)]
    table += [(name, one.evaluations, *one.distances) for name, one in drawn.items()]
    figure, axes = panels(3)
    t = range(1, subject.T + 1)
    for loss, color, name in zip(losses, (ORANGE, BLUE), ("exact model", "this network"), strict=True):
        axes[0].plot(t, loss * noise[1:], color=color, label=name)
    axes[0].axhline(1, color=GREY, lw=0.8)
    axes[0].set(title=f"(1 − ᾱ) · denoising loss, {subject.label}", xlabel="t", ylabel="‖ε − ε_θ‖² for each coordinate")
    axes[0].legend()
    for axis, (name, one) in zip(axes[1:], drawn.items(), strict=True):
        axis.imshow(square(to_pictures(one.samples[1], subject.images.levels)), cmap="gray", interpolation="nearest")
        axis.set(title=f"{name}: {one.distances[1]:.3f}", xticks=[], yticks=[])
        axis.grid(visible=False)
    return Answer(
        Text(
            "Theory: the best eps_theta is -sqrt(1 - alpha_bar_t) times the score, and denoising losses exceed "
            "explicit ones by a constant that is the same for every network: of two, the one with the smaller "
            "denoising loss is nearer to the true score, though nobody knows it. Beside the score of the Gaussian "
            f"{found.en}. Drawing with it, {sampler.en}: sliced Wasserstein distances {ancestral:.4f} and "
            f"{langevin:.4f}; other real images are at {floor:.4f} ± {spread:.4f}.",
            "이론: 최적의 eps_theta는 점수에 -sqrt(1 - alpha_bar_t)를 곱한 것이고, 잡음 제거 손실은 어떤 신경망에서든 "
            "직접 점수 매칭의 손실보다 같은 상수만큼 크다. 그래서 참 점수를 아무도 몰라도, 잡음 제거 손실이 작은 쪽이 "
            f"참 점수에 가깝다. 가우시안의 점수와 견주면 {found.ko}. 이 점수로 샘플링하면 {sampler.ko}. 이미지까지의 슬라이스 "
            f"바서슈타인 거리는 {ancestral:.4f}, {langevin:.4f}(이)고, 다른 실제 이미지는 {floor:.4f} ± "
            f"{spread:.4f}(이)다.",
        ),
        [
            Table(
                (
                    "t",
                    "denoising loss, exact model",
                    "denoising loss, this network",
                    "difference",
                    "the scores apart, relative",
                ),
                rows,
            ),
            Table(("sampler", "evaluations", "distance, exact model", "distance, this network"), table),
        ],
        figure,
    )
