"""Which questions have a part on your own model, and how it is asked."""

import warnings
from collections.abc import Callable, Mapping

import matplotlib as mpl

from ddpm.diffusion.schedule import SignalRemains
from ddpm.errors import UsageError, chosen
from ddpm.figures.style import STYLE
from ddpm.laboratory.answer import Answer, Text
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.own import estimators, rate, score, variances, weights
from ddpm.laboratory.own.subject import Subject
from ddpm.laboratory.questions import QUESTIONS, written

ON_MODEL: Mapping[str, Callable[[Subject], Answer]] = {
    "Q4": score.score_matching,
    "Q5": rate.progressive,
    "Q20": estimators.rao_blackwell,
    "Q22": weights.loss_weights,
    "Q23": variances.beta_or_beta_tilde,
    "Q24": variances.entropy_bounds,
    "Q25": weights.predicting_the_mean,
    "masking": rate.pixel_by_pixel,
}
"""By the names of the questions of the laboratory: what answers them on a trained network and real images."""

EXACT_MODEL = Text(
    "The exact model beside it is the best network for Gaussian images with the mean and covariance of the training "
    "images: on real images no linear estimate does better.",
    "곁에 둔 정확한 모델은 학습 이미지와 평균과 공분산이 같은 가우시안 이미지에 가장 좋은 신경망이다. 실제 "
    "이미지에서도 선형 추정 가운데 이보다 나은 것은 없다.",
)


def find_on_model(name: str) -> str:
    """The name of a question that has such a part, in upper or lower case.

    Raises:
        UsageError: there is no such question, or it has none.
    """
    if written(name) in DERIVATIONS:
        raise UsageError(
            f"{written(name)} is a derivation; on your own model {', '.join(ON_MODEL)} are answered",
            f"ddpm lab {written(name)}",
        )
    found = written(name)
    if found in QUESTIONS and found not in ON_MODEL:
        raise UsageError(
            f"{found} is answered on exact models alone; on your own model {', '.join(ON_MODEL)} are",
            f"ddpm lab {found}",
        )
    chosen(ON_MODEL, found, "question")
    return found


def ask_on_model(name: str, subject: Subject) -> Answer:
    """Answer one of `ON_MODEL`, figures in the house's style.

    Raises:
        UsageError: as `find_on_model`.
    """
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", SignalRemains)
        return ON_MODEL[find_on_model(name)](subject)
