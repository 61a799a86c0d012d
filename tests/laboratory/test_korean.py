"""What the laboratory says in Korean: particles follow the sound of what stands before them, and no label stays English."""

import re
from dataclasses import fields, is_dataclass

import pytest
from matplotlib.text import Text as Drawn
from matplotlib.ticker import NullFormatter

from ddpm.diffusion.schedule import SCHEDULES
from ddpm.figures.korean import catalogue, in_korean
from ddpm.korean import PARTICLES, particle
from ddpm.laboratory.answer import Setting, Text
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.notes.errata import errata
from ddpm.laboratory.questions import QUESTIONS, ask
from ddpm.report import derivation, lab_page

FORMS = {form: both for both, forms in PARTICLES.items() if both not in ("와(과)", "(이)") for form in forms}
READ = r"(?<=[0-9A-Za-z)\]}%²³αβγδεζηθλμσχ̃∞])"
PARTICLE = re.compile(rf"{READ}(으로|이|가|은|는|을|를|과|와|로)(?=[\s.,;:)'\"…]|$)")
IS = re.compile(rf"{READ}(?<!%)(다|고|며|지만)(?=[\s.,;:)]|$)")
NOUNS = "잡음 신호 체인 스텝 스케줄 우도 분산 평균 커널 디코더 신경망 경계 점수 샘플 이미지 데이터 가우시안 엔트로피 간격 기댓값"
NOUN = re.compile(rf"(?:^|(?<=[\s(]))(?:{NOUNS.replace(' ', '|')})(이|가|은|는|을|를|과|와|으로|로)(?=[\s.,;:)]|$)")


def misread(text):
    """What has a particle that does not fit."""
    both_written = re.findall(r"\S+(?:\([가는를와으이]\)|\(으\)로)(?=[\s.,]|$)", text)
    wrong = [text[: found.end()][-30:] for found in PARTICLE.finditer(text) if not _fits(text, found)]
    wrong += [text[: found.end()][-30:] for found in NOUN.finditer(text) if not _fits(text, found)]
    after = (text[: found.start()] for found in IS.finditer(text))
    return wrong + [before[-30:] + "다" for before in after if particle(before, "(이)")] + both_written


def _fits(text, found):
    return particle(text[: found.start(1)], FORMS[found[1]]) == found[1]


def texts(value):
    """Every `Text` in a value."""
    if isinstance(value, Text):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts(part)]
    if is_dataclass(value):
        return [text for field in fields(value) for text in texts(getattr(value, field.name))]
    return []


@pytest.mark.parametrize("text", ["0.632이 된다", "잡음가 작다", "1.004으로", "x_0을", "KL와", "0.3다.", "1.2을(를) "])
def test_what_does_not_fit_is_found(text):
    assert misread(text)


@pytest.mark.parametrize(
    "text", ["0.632가 된다", "잡음이 작다", "1.004로", "x_0를", "KL과", "0.3이다.", "간격(gap)은 0.2다"]
)
def test_what_fits_is_not_found(text):
    assert not misread(text)


def test_what_always_is_the_same():
    """Questions, derivations, errata and the words of the pages."""
    questions = [question.asked for question in QUESTIONS.values()]
    for text in texts([questions, list(DERIVATIONS.values()), errata(), dict(lab_page.WORDS), derivation.CAPTION]):
        assert misread(text.ko) == [], text.ko


NAMES = frozenset(
    [
        "alpha",
        "beta",
        "sigma",
        "eps",
        "theta",
        "lambda",
        "mu",
        "eta",
        "phi",
        "tilde",
        "hat",
        "bar",
        "sqrt",
        "log",
        "exp",
        "tanh",
        "Var",
        "Cov",
        "corr",
        "max",
        "min",
        "nats",
        "nat",
        "dim",
        "bits",
        "dB",
        "NLL",
        "RMSE",
        "MSE",
        "SNR",
        "KL",
        "ELBO",
        "ERR",
        "DDPM",
        "DDIM",
        "VAE",
        "NCSN",
        "CIFAR",
        "MNIST",
        "EMA",
        "DPM",
        "simple",
    ]
) | {word for name in SCHEDULES for word in name.split("-")}
SHORT = frozenset(["a", "an", "as", "at", "be", "by", "in", "is", "it", "no", "of", "on", "or", "so", "to", "up", "we"])
LATIN = re.compile(r"(?<![A-Za-z_^])[A-Za-z]{2,}(?![A-Za-z_]|\d+\[|\[)")


def english(label):
    """Words that are no names: code with an underscore is one, and an abbreviation of two letters."""
    words = LATIN.findall(label.replace(r"\mathdefault", "").replace(r"\times", ""))
    return [word for word in words if word not in NAMES and (len(word) > 2 or word in SHORT)]


def labels(answer):
    """What a reader sees besides the text: columns and words of tables; texts, ticks and legends of the figure."""
    for table in answer.tables:
        yield from table.columns
        yield from (cell for row in table.rows for cell in row if isinstance(cell, str))
    yield from (drawn.get_text() for drawn in answer.figure.findobj(Drawn))
    for panel in answer.figure.axes:
        for axis in (panel.xaxis, panel.yaxis):
            formatter = axis.get_major_formatter()
            if not isinstance(formatter, NullFormatter):
                yield from formatter.format_ticks(list(axis.get_majorticklocs()))


def assert_korean(answer, *names):
    """To the last label; `names` are no English."""
    assert misread(answer.text.ko) == [], answer.text.ko
    left = {label for label in labels(answer) if set(english(in_korean(label))) - set(names)}
    assert not left, (
        f"without Korean: {sorted(left)}. Add each to src/ddpm/figures/korean.json, in the order of the alphabet: "
        "{n} for a number, {name} for anything else that varies, {0}, {1} ... for them in the Korean"
    )


def assert_cases_korean(said):
    """Of every verdict, the cases that do not hold too: the fixture `every_case`."""
    for korean in said:
        assert misread(korean) == [], korean


@pytest.mark.long
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_korean_to_the_last_label(name, every_case):
    """On the usual schedule; on others it is a part of `test_any_schedule_will_do`."""
    assert_korean(ask(QUESTIONS[name], Setting("linear", SCHEDULES["linear"](1000))))
    assert_cases_korean(every_case)


@pytest.mark.parametrize(
    "label", ["largest difference", "L, its terms", "of x_0", "in eps", "10 steps", "without entry"]
)
def test_english_is_found(label):
    assert english(label)
    assert in_korean(label) == label or not english(in_korean(label))


@pytest.mark.parametrize("label", ["sqrt(alpha_bar_t)", "beta-tilde_2", "alphas_cumprod_prev[t-1]", "linear, T = 50"])
def test_names_and_symbols_are_none(label):
    assert not english(label)


def test_the_catalogue_is_in_order_and_korean():
    """In order, so that two who add to it rarely add in one place."""
    assert list(catalogue()) == sorted(catalogue())
    for label, korean in catalogue().items():
        assert not english(re.sub(r"\{\w+\}", "", korean)), label
        assert misread(korean) == [], label
        places = len(re.findall(r"\{n\}|\{name\}", label))
        assert set(re.findall(r"\{(\w+)\}", korean.replace("L_{t-1}", ""))) <= {*map(str, range(places)), "t"}
