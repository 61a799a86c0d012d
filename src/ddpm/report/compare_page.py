"""Several models side by side on one page: bits, distances and costs in a table, images from the same noise, the bound by t."""

import html
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from ddpm.evaluation.images.score import NAMES, Score
from ddpm.evaluation.paired import Paired
from ddpm.figures import plots, style
from ddpm.figures.pictures import tile, to_pictures
from ddpm.language import Text
from ddpm.report.page import Fact, Figure, page, picture
from ddpm.trained.measures.drawn import Drawn

PICTURES = 12
"""Images in a row of the page: the first ones of each model."""
INTERVAL, LESS = Text("95% interval", "95% 구간"), Text("less bias", "편향 제외")
EVALUATIONS, SPEED = Text("evaluations", "평가 횟수"), Text("ms/image", "ms/장")
MEMORY = Text("MB at once", "한 번에 MB")


def biased(drawn: Sequence[Drawn]) -> set[str]:
    """The scores that few images make too large, of any of the models."""
    return {score.name for one in drawn if one.distances for score in one.distances.scores if score.bias}


def headings(drawn: Sequence[Drawn], language: str) -> list[str]:
    """Over the columns of `cells`."""
    scores, with_bias = drawn[0].distances.scores if drawn[0].distances else (), biased(drawn)
    named = [word for score in scores for word in (NAMES[score.name], *[LESS] * (score.name in with_bias), INTERVAL)]
    return [word.in_language(language) for word in (EVALUATIONS, *named, SPEED, MEMORY)]


def cells(drawn: Drawn, with_bias: Container[str]) -> list[str]:
    """Of one model: evaluations, each score with its interval, milliseconds an image and megabytes.

    A score of `with_bias`, which few images make too large, stands there with and without that: the interval is of the latter.
    """
    scores = drawn.distances.scores if drawn.distances else ()
    measured = [
        cell
        for score in scores
        for cell in (
            f"{score.value:.4g}",
            *[f"{score.without_bias:.4g}"] * (score.name in with_bias),
            interval(score),
        )
    ]
    evaluations = "-" if drawn.evaluations is None else str(drawn.evaluations)
    return [evaluations, *measured, f"{drawn.seconds * 1000:.3g}", f"{drawn.memory / 1e6:.3g}"]


def interval(score: Score) -> str:
    """Of a score, or a dash."""
    return "-" if score.low is None or score.high is None else f"{score.low:.4g} .. {score.high:.4g}"


@dataclass(frozen=True)
class Model:
    """One of the models: its name, the numbers in its network, how it is read, and how it differs from the first, in words."""

    name: str
    parameters: int
    reading: str
    verdict: str


@dataclass(frozen=True)
class Made:
    """How the page was made, for who wants to make it again."""

    version: str
    date: str
    seed: int
    command: str


def compare_page(
    found: Paired,
    models: Sequence[Model],
    drawn: Sequence[Drawn] | None,
    images: tuple[str, str],
    made: Made,
    language: str,
) -> str:
    """The whole page as HTML.

    Args:
        found: the bounds.
        models: in the same order, what was read.
        drawn: what each model drew, where it was asked for.
        images: which real ones, in words: of the bounds, and of the distances.
        made: how the page was made.
        language: "en" or "ko".
    """
    facts = [
        Fact(str(len(found.names)), MODELS.in_language(language)),
        Fact(f"{found.bounds[0].images:,}", REAL.in_language(language)),
    ]
    if drawn:
        facts.append(Fact(f"{len(drawn[0].images):,}", SAMPLES.in_language(language)))
    sections = [_bounds(found, models, images[0], language)]
    if drawn:
        sections.append(_samples(found.names, drawn, images[1], language))
    title = TITLE.with_values(language, models=", ".join(map(plots.shortened, found.names)))
    footnote = FOOTNOTE.with_values(language, **vars(made))
    return page(title, INTRODUCTION.in_language(language), facts, sections, footnote, language)


def _bounds(found: Paired, models: Sequence[Model], images: str, language: str) -> Figure:
    differences = (None, *found.differences)
    rows = {
        PARAMETERS: [Cell(f"{model.parameters:,}") for model in models],
        BITS: [Cell(f"{bound.total:.4f}", _error(bound.stderr, bound.images)) for bound in found.bounds],
        DIFFERENCE: [
            Cell("") if one is None else Cell(f"{one.mean:+.4f}", _error(one.stderr, len(one.per_image)), model.verdict)
            for model, one in zip(models, differences, strict=True)
        ],
        READING: [Cell("", model.reading) for model in models],
    }
    drawings = "".join(f"<div>{style.svg(figure, language)}</div>" for figure in plots.compared_apart(found))
    return Figure(
        BOUNDS.in_language(language),
        f'{_table(found.names, rows, language)}<div class="pair">{drawings}</div>',
        BOUNDS_SAID.with_values(language, images=html.escape(images), first=html.escape(found.names[0])),
        r"L = L_T + \sum_{t=2}^T L_{t-1} + L_0",
        label="",
    )


def _error(stderr: float, images: int) -> str:
    return f"± {stderr:.4f}" if images > 1 else ""


def _samples(names: Sequence[str], drawn: Sequence[Drawn], images: str, language: str) -> Figure:
    """The first images of each in a row, the x_T of a column the same; below it the table."""
    pictures = []
    for name, one in zip(names, drawn, strict=True):
        few = to_pictures(one.images.tensor[:PICTURES], one.images.levels)
        pictures.append(f"<p><b>{html.escape(plots.shortened(name))}</b></p>{picture(tile(few, PICTURES), name)}")
    rows = {EVALUATIONS: [Cell("-" if one.evaluations is None else str(one.evaluations)) for one in drawn]}
    with_bias = biased(drawn)
    for scores in zip(*(one.distances.scores if one.distances else () for one in drawn), strict=True):
        if scores[0].name in with_bias:
            rows[NAMES[scores[0].name]] = [Cell(f"{score.value:.4g}") for score in scores]
            rows[_without(NAMES[scores[0].name])] = [
                Cell(f"{score.without_bias:.4g}", interval(score)) for score in scores
            ]
        else:
            rows[NAMES[scores[0].name]] = [Cell(f"{score.value:.4g}", interval(score)) for score in scores]
    rows |= {SPEED: [Cell(f"{one.seconds * 1000:.3g}") for one in drawn]}
    rows |= {MEMORY: [Cell(f"{one.memory / 1e6:.3g}") for one in drawn]}
    return Figure(
        DRAWN.in_language(language),
        "".join(pictures) + _table(names, rows, language),
        DRAWN_SAID.with_values(language, sampler=html.escape(drawn[0].sampler), images=html.escape(images)),
        label="",
    )


def _without(score: Text) -> Text:
    return Text(*(WITHOUT.with_values(language, score=score.in_language(language)) for language in ("en", "ko")))


@dataclass(frozen=True)
class Cell:
    """A number, and what stands below it in small letters."""

    value: str
    error: str = ""
    words: str = ""

    def in_html(self) -> str:
        """As what is inside of a cell."""
        below = "".join(f"<small>{html.escape(text)}</small>" for text in (self.error, self.words) if text)
        return f"{html.escape(self.value)}{below}"


def _table(names: Sequence[str], rows: Mapping[Text, Sequence[Cell]], language: str) -> str:
    """A column for each model: there are few of them, and many numbers of each."""
    heads = "".join(f"<th>{html.escape(plots.shortened(name))}</th>" for name in names)
    lines = [
        f"<tr><th>{html.escape(head.in_language(language))}</th>"
        f"{''.join(f'<td>{cell.in_html()}</td>' for cell in cells)}</tr>"
        for head, cells in rows.items()
    ]
    return (
        f'<div class="scroll"><table class="sides"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


TITLE = Text("{models} side by side", "{models} 견주기")
FOOTNOTE = Text("ddpm {version}, {date}, seed {seed}. {command}", "ddpm {version}, {date}, 시드 {seed}. {command}")
INTRODUCTION = Text(
    "The same real images, the same noise, the same number of evaluations of the network.",
    "같은 실제 이미지, 같은 잡음, 같은 신경망 평가 횟수로 견준다.",
)
MODELS, REAL = Text("models", "모델"), Text("real images", "실제 이미지")
SAMPLES = Text("samples of each", "모델마다 샘플")
PARAMETERS, READING = Text("parameters", "파라미터"), Text("read as", "읽은 방법")
BITS, DIFFERENCE = Text("bits/dim ± stderr", "bits/dim ± 표준오차"), Text("difference ± stderr", "차이 ± 표준오차")
WITHOUT = Text("{score}, without the bias of few images", "{score}, 이미지가 적어 커진 몫을 뺀 것")
BOUNDS = Text("The variational bound", "변분 경계")
BOUNDS_SAID = Text(
    "{images}. Differences are to {first}, image by image: what is easy or hard about an image cancels.",
    "{images}. 차이는 {first}에 대한 것이고 이미지마다 잰다. 이미지의 쉽고 어려움은 상쇄된다.",
)
DRAWN = Text("Samples from the same noise", "같은 잡음에서 뽑은 샘플")
DRAWN_SAID = Text(
    "By {sampler}, against {images}; images of one column begin at the same x<sub>T</sub>. None is chosen. The interval below a "
    "number holds it for endlessly many images in 95 of 100 such sets. Time is of this machine; memory is the weights and what one "
    "evaluation of a batch needs at once.",
    "{sampler}(으)로 뽑아 {images}과(와) 견주었다. 한 열의 이미지는 같은 x<sub>T</sub>에서 시작한다. 고르지 않았다. 수 아래의 "
    "구간은 이런 집합 100개 가운데 95개에서 이미지가 끝없이 많을 때의 값을 포함한다. 시간은 이 컴퓨터에서 잰 것이고, 메모리는 "
    "가중치와 배치를 한 번 평가하는 데 한꺼번에 필요한 양이다.",
)
