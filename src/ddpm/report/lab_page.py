"""`ddpm lab`: the questions of the notes, their answers as JSON and as one page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ddpm.figures import style
from ddpm.figures.korean import in_korean
from ddpm.laboratory.answer import Answer, Cell, Question, Setting, Table, Text
from ddpm.report.links import equations_linked, lines_linked
from ddpm.report.notes_page import notes_sections
from ddpm.report.page import Fact, Figure, page
from ddpm.report.typeset import typeset

WORDS: Mapping[str, Text] = {
    "title": Text("The laboratory", "실험실"),
    "introduction": Text(
        "Every question of the study notes on Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020), "
        "answered with numbers computed for this page, on data whose exact answer is known.",
        "Denoising Diffusion Probabilistic Models(Ho, Jain, Abbeel 2020) 공부 노트의 모든 질문에, 정확한 답을 아는 "
        "데이터에서 이 페이지를 위해 계산한 숫자로 답한다.",
    ),
    "questions": Text("questions", "질문"),
    "so far": Text(
        "questions answered so far: load this page again", "지금까지 답한 질문: 이 페이지를 다시 열면 더 있다"
    ),
    "schedule": Text("schedule", "스케줄"),
    "seed": Text("seed of what is simulated", "시뮬레이션 시드"),
    "source": Text("In the notes: {where}. Answered by {equations}.", "노트 {where}. 근거: {equations}."),
    "beyond": Text("Beyond the notes. Answered by {equations}.", "노트 밖의 질문. 근거: {equations}."),
    "own": Text(" Its schedule is its own.", " 스케줄은 이 실험 자체의 것이다."),
    "run": Text("run", "run 폴더"),
    "images": Text("real images", "실제 이미지"),
    "introduction on your model": Text(
        "Questions of the study notes on Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020), answered on a "
        "trained network and real images.",
        "Denoising Diffusion Probabilistic Models(Ho, Jain, Abbeel 2020) 공부 노트의 질문에 학습한 신경망과 실제 이미지로 답한다.",
    ),
    "again": Text("Recompute with: {command}", "다시 계산하려면: {command}"),
}


def about(question: Question) -> dict[str, Any]:
    """What is asked, without an answer."""
    return {
        "question": asdict(question.asked),
        "where": question.where,
        "equations": question.equations,
        "formula": question.tex,
    }


def answered(question: Question, answer: Answer) -> dict[str, Any]:
    """Question, text and tables: everything but the drawing."""
    return {
        **about(question),
        "answer": asdict(answer.text),
        "tables": [{"columns": list(t.columns), "rows": [list(row) for row in t.rows]} for t in answer.tables],
    }


def as_json(question: Question, answer: Answer, setting: Setting) -> dict[str, Any]:
    """As `answered`, with the setting, of which only what the experiment takes."""
    given = {"schedule": {"name": setting.schedule_name, "T": setting.T}, "seed": setting.seed}
    used = {name: value for name, value in given.items() if name in question.uses}
    return answered(question, answer) | {"setting": used}


def lab_page(
    answers: Sequence[Figure],
    asked: int,
    derived: Sequence[Figure],
    setting: Setting,
    language: str,
    command: str,
) -> str:
    """Answers, then the derivations (`report.derivation`), as one page that needs no network.

    Where more are `asked` it says how many of them are answered so far.
    """
    facts = [
        _so_far(len(answers), asked, language),
        Fact(setting.label, WORDS["schedule"].in_language(language)),
        Fact(str(setting.seed), WORDS["seed"].in_language(language)),
    ]
    before, behind = notes_sections(language)
    footnote = WORDS["again"].in_language(language).format(command=command)
    return page(
        WORDS["title"].in_language(language),
        WORDS["introduction"].in_language(language),
        facts,
        [*before, *answers, *derived, *behind],
        footnote,
        language,
    )


def own_page(
    answers: Sequence[Figure], asked: int, about: Mapping[str, str], introduction: Text, language: str, command: str
) -> str:
    """Answers on a trained model as one page; `about` are "run", "images" and "seed", `introduction` says what is beside it."""
    facts = [Fact(value, WORDS[name].in_language(language)) for name, value in about.items()]
    return page(
        WORDS["title"].in_language(language),
        f"{WORDS['introduction on your model'].in_language(language)} {introduction.in_language(language)}",
        [_so_far(len(answers), asked, language), *facts],
        answers,
        WORDS["again"].in_language(language).format(command=command),
        language,
    )


def _so_far(done: int, asked: int, language: str) -> Fact:
    """How many questions are answered."""
    if done == asked:
        return Fact(str(done), WORDS["questions"].in_language(language))
    return Fact(f"{done} / {asked}", WORDS["so far"].in_language(language))


def section(question: Question, answer: Answer, language: str) -> Figure:
    """One question and its answer."""
    source = WORDS["source" if question.where else "beyond"].in_language(language)
    own = "" if "schedule" in question.uses else WORDS["own"].in_language(language)
    said = typeset(answer.text.in_language(language))
    math = f'<div class="math">{style.formula(question.tex)}</div>'
    tables = "".join(_table(table, language) for table in answer.tables)
    return Figure(
        f"{question.name}. {typeset(question.asked.in_language(language))}",
        f'<p class="answer">{said}</p>{math}{style.svg(answer.figure, language)}{tables}',
        source.format(where=lines_linked(question.where), equations=equations_linked(question.equations, language))
        + own,
        label="",
        name=question.name,
    )


def _table(table: Table, language: str) -> str:
    def cells(row: Sequence[Cell], tag: str) -> str:
        return "".join(f"<{tag}>{typeset(shown(cell, language))}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in table.rows)
    return f'<div class="scroll"><table><thead><tr>{cells(table.columns, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def shown(cell: Cell, language: str) -> str:
    """A cell as a reader wants it: seven digits of a number, words in the reader's language."""
    if isinstance(cell, float):
        return f"{cell:.7g}"
    return in_korean(str(cell)) if language == "ko" else str(cell)
