"""The section of a run's page that says whether its samples copy training images: on few samples, where that costs next to nothing."""

from collections.abc import Sequence

import torch

from ddpm.data.open import open_source
from ddpm.errors import Failure
from ddpm.experiment.config import Experiment
from ddpm.language import Text
from ddpm.parallel.device import pick_device
from ddpm.report.page import Figure, picture
from ddpm.report.run_page import NUMBERED
from ddpm.run.folder import RunFolder
from ddpm.trained.draw import How, samples_of
from ddpm.trained.loaded import load_run
from ddpm.trained.measures.memorised import Memorised, measure

SAMPLES, STEPS, HELD_OUT = 64, 20, 1000
"""So many samples are drawn by DDIM in so many steps, and at most so many held-out images are looked at."""
SHARE = 0.02
"""Of what the training cost, in images that went through the network."""
INDEX = 2**22
"""Bytes of RUN/images.index, beyond which a data set is too large to be looked through again: some 25,000 pictures."""


def copies(folder: RunFolder, language: str = "en") -> Sequence[Figure]:
    """The section, or none: where the training was too short for the cost, or the images are too many, too few or gone."""
    if not affordable(folder.read_experiment(), folder):
        return []
    try:
        trained = load_run(str(folder.path), "ema", pick_device("auto"))
        steps = min(STEPS, trained.process.schedule.T)
        data = trained.experiment.data
        held_out = open_source(data.source, "test", data.options())
        drawing = samples_of(trained, SAMPLES, How(sampler="ddim", steps=steps, progress=False))
        found = measure(drawing, held_out.take(torch.arange(min(HELD_OUT, len(held_out)))))
    except Failure:  # what the page says beside it stands
        return []
    return [section(found, steps, language)]


def affordable(experiment: Experiment, folder: RunFolder) -> bool:
    """Whether it costs next to nothing beside the training: forward passes, where a step of training is worth three."""
    steps = min(STEPS, experiment.schedule.T)
    trained = 3 * experiment.training.steps * experiment.training.batch_size
    small = not folder.index.exists() or folder.index.stat().st_size <= INDEX
    return small and SAMPLES * steps <= SHARE * trained


def section(found: Memorised, steps: int, language: str = "en") -> Figure:
    """The pairs, and the numbers in the caption."""
    one = found.closeness
    low, high = one.interval
    said = (CLOSER if one.closer else NO_CLOSER).with_values(
        language,
        count=one.count,
        samples=len(one.suspected),
        steps=steps,
        low=100 * low,
        high=100 * high,
        training=one.training,
        rate=100 * found.about["rate"],
        held_out=len(one.held_out.rows),
        expected=one.expected,
        p=one.p_value,
        neighbours=one.neighbours,
    )
    title = TITLE.in_language(language)
    return Figure(
        title,
        picture(found.picture(), PAIRS.in_language(language)),
        said,
        r"\frac{\|x - y_{(1)}\|}{\frac{1}{k}\sum_{i=1}^{k}\|x - y_{(i)}\|}",
        label=NUMBERED.in_language(language),
    )


TITLE = Text("Does it copy?", "베끼는가?")
PAIRS = Text("samples above their nearest training images", "샘플과 그 아래 가장 가까운 학습 이미지")
_FOUND = Text(
    "{count} of {samples} samples (DDIM, {steps} steps; 95 % interval of the share {low:.1f} to {high:.1f} %) are closer to one of "
    "{training:,} training images than {rate:.1f} % of {held_out} held-out images are; by chance {expected:.1f} would be "
    "(p = {p:.2g}). Close is the distance to the nearest over the mean of those to the nearest {neighbours}. Shown are the closest "
    "samples, each above its training image.",
    "샘플 {samples}장(DDIM, {steps}스텝) 가운데 {count}장(비율의 95 % 구간 {low:.1f}~{high:.1f} %)이 남겨 둔 이미지 {held_out}장의 "
    "{rate:.1f} %보다 학습 이미지 {training:,}장 가운데 하나에 더 가깝다. 우연이라면 {expected:.1f}장이다(p = {p:.2g}). "
    "가깝다는 것은 가장 가까운 것과의 거리를 가장 가까운 {neighbours}장과의 평균 거리로 나눈 값이 작다는 뜻이다. "
    "그림은 가장 가까운 샘플과 그 아래 학습 이미지다.",
)
CLOSER = Text(
    f"<b>Samples are closer to training images than chance.</b> {_FOUND.en}",
    f"<b>샘플이 우연보다 학습 이미지에 더 가깝다.</b> {_FOUND.ko}",
)
NO_CLOSER = Text(
    f"Samples are no closer to training images than chance. {_FOUND.en}",
    f"샘플이 우연보다 학습 이미지에 더 가깝지는 않다. {_FOUND.ko}",
)
