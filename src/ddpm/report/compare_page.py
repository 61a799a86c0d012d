"""Several models side by side on one page: bits, distances and costs in a table, images from the same noise, the bound by t."""

import html
from collections.abc import Sequence

from ddpm.evaluation.images.score import NAMES, Score
from ddpm.evaluation.paired import Comparison
from ddpm.figures import plots, style
from ddpm.figures.pictures import tile, to_pictures
from ddpm.language import Text
from ddpm.report.page import Fact, Figure, page, picture
from ddpm.trained.measures.drawn import Drawn

PICTURES = 12
"""Images in a row of the page: the first ones of each model."""
INTERVAL = Text("95% interval", "95% 구간")
EVALUATIONS, SPEED = Text("evaluations", "평가 횟수"), Text("ms/image", "ms/장")
MEMORY = Text("MB at once", "한 번에 MB")


def headings(drawn: Drawn, language: str) -> list[str]:
    """Over the columns of `cells`."""
    scores = drawn.distances.scores if drawn.distances else ()
    named = [word for score in scores for word in (NAMES[score.name], INTERVAL)]
    return [word.in_language(language) for word in (EVALUATIONS, *named, SPEED, MEMORY)]


def cells(drawn: Drawn) -> list[str]:
    """Of one model: evaluations, each score with its interval, milliseconds an image and megabytes."""
    scores = drawn.distances.scores if drawn.distances else ()
    measured = [cell for score in scores for cell in (f"{score.value:.4g}", _interval(score))]
    evaluations = "-" if drawn.evaluations is None else str(drawn.evaluations)
    return [evaluations, *measured, f"{drawn.seconds * 1000:.3g}", f"{drawn.memory / 1e6:.3g}"]


def _interval(score: Score) -> str:
    return "-" if score.low is None or score.high is None else f"{score.low:.4g} .. {score.high:.4g}"


def compare_page(
    found: Comparison, parameters: Sequence[int], drawn: Sequence[Drawn] | None, images: str, language: str
) -> str:
    """The whole page as HTML.

    Args:
        found: the bounds.
        parameters: of each network.
        drawn: what each model drew, where it was asked for.
        images: which real ones, in words.
        language: "en" or "ko".
    """
    facts = [
        Fact(str(len(found.names)), MODELS.in_language(language)),
        Fact(f"{found.bounds[0].images:,}", REAL.in_language(language)),
    ]
    if drawn:
        facts.append(Fact(f"{len(drawn[0].images):,}", SAMPLES.in_language(language)))
    sections = [_bounds(found, parameters, images, language)]
    if drawn:
        sections.append(_samples(found.names, drawn, language))
    return page(TITLE.in_language(language), INTRODUCTION.in_language(language), facts, sections, images, language)


def _bounds(found: Comparison, parameters: Sequence[int], images: str, language: str) -> Figure:
    rows = []
    differences = (None, *found.differences)
    for name, size, bound, one in zip(found.names, parameters, found.bounds, differences, strict=True):
        differs = ["", ""] if one is None else [f"{one.mean:+.4f}", _error(one.stderr, bound.images)]
        rows.append([name, f"{size:,}", f"{bound.total:.4f}", _error(bound.stderr, bound.images), *differs])
    heads = [head.in_language(language) for head in (MODEL, PARAMETERS, BITS, ERROR, DIFFERENCE, ERROR)]
    return Figure(
        BOUNDS.in_language(language),
        _table(heads, rows) + style.svg(plots.compared(found), language),
        BOUNDS_SAID.with_values(language, images=html.escape(images), first=html.escape(found.names[0])),
        r"L = L_T + \sum_{t=2}^T L_{t-1} + L_0",
        label="",
    )


def _error(stderr: float, images: int) -> str:
    return f"{stderr:.4f}" if images > 1 else "-"


def _samples(names: Sequence[str], drawn: Sequence[Drawn], language: str) -> Figure:
    """The first images of each in a row, the x_T of a column the same; below it the table."""
    rows = []
    for name, one in zip(names, drawn, strict=True):
        few = to_pictures(one.images.tensor[:PICTURES], one.images.levels)
        rows.append(f"<p><b>{html.escape(plots.shortened(name))}</b></p>{picture(tile(few, PICTURES), name)}")
    heads = [MODEL.in_language(language), *headings(drawn[0], language)]
    table = _table(heads, [[name, *cells(one)] for name, one in zip(names, drawn, strict=True)])
    return Figure(
        DRAWN.in_language(language),
        "".join(rows) + table,
        DRAWN_SAID.with_values(language, sampler=html.escape(drawn[0].sampler)),
        label="",
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(texts: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{line(heads, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


TITLE = Text("Diffusion models side by side", "확산 모델 견주기")
INTRODUCTION = Text(
    "The same real images, the same noise, the same number of evaluations of the network.",
    "같은 실제 이미지, 같은 잡음, 같은 신경망 평가 횟수로 견준다.",
)
MODELS, REAL = Text("models", "모델"), Text("real images", "실제 이미지")
SAMPLES = Text("samples of each", "모델마다 샘플")
MODEL, PARAMETERS = Text("model", "모델"), Text("parameters", "파라미터")
BITS, ERROR, DIFFERENCE = Text("bits/dim", "bits/dim"), Text("± stderr", "± 표준오차"), Text("difference", "차이")
BOUNDS = Text("The variational bound", "변분 경계")
BOUNDS_SAID = Text(
    "{images}. Differences are to {first}, image by image: what is easy or hard about an image cancels.",
    "{images}. 차이는 {first}에 대한 것이고 이미지마다 잰다. 이미지의 쉽고 어려움은 상쇄된다.",
)
DRAWN = Text("Samples from the same noise", "같은 잡음에서 뽑은 샘플")
DRAWN_SAID = Text(
    "By {sampler}; images of one column begin at the same x<sub>T</sub>. None is chosen. The interval holds the distance of "
    "endlessly many images in 95 of 100 such sets. Time is of this machine; memory is the weights and what one evaluation of a "
    "batch needs at once.",
    "{sampler}(으)로 뽑았다. 한 열의 이미지는 같은 x<sub>T</sub>에서 시작한다. 고르지 않았다. 구간은 이런 집합 100개 가운데 "
    "95개에서 이미지가 끝없이 많을 때의 거리를 포함한다. 시간은 이 컴퓨터에서 잰 것이고, 메모리는 가중치와 배치를 한 번 평가하는 데 "
    "한꺼번에 필요한 양이다.",
)
