"""Answers to the questions of the laboratory, on exact models and on a trained one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddpm.laboratory.answer import SETTING, Answer, Question, Setting, Table, Text
from ddpm.laboratory.own.questions import EXACT_MODEL, ask_on_model, find_on_model
from ddpm.laboratory.own.subject import Subject
from ddpm.laboratory.questions import QUESTIONS, ask, find
from ddpm.report.answers.answer import LabAnswer
from ddpm.report.lab_page import answered, as_json, section, shown
from ddpm.report.links import sources
from ddpm.report.text import columns, wrapped
from ddpm.trained.evaluate import about
from ddpm.trained.loaded import LoadedModel


def of_question(name: str, setting: Setting, language: str) -> LabAnswer:
    """Answer a question.

    Raises:
        UsageError: there is no such question.
    """
    question = find(name)
    answer = ask(question, setting)
    return said(question, answer, as_json(question, answer, setting), language)


def of_model(name: str, subject: Subject, model: LoadedModel, language: str) -> LabAnswer:
    """Answer a question on a trained model and real images.

    Raises:
        UsageError: there is no such question, or it has no answer on a model.
    """
    question = on_the_run(find_on_model(name))
    answer = ask_on_model(name, subject)
    numbers = answered(question, answer) | {"model": about_subject(subject, model)}
    return said(question, answer, numbers, language, _of_what(subject, model, language))


def on_the_run(name: str) -> Question:
    """A question as it is asked of a model: the chain is the run's, whatever the exact experiment takes."""
    return replace(QUESTIONS[name], uses=SETTING)


def about_subject(subject: Subject, model: LoadedModel) -> dict[str, Any]:
    """Which model, images and seed, as JSON."""
    images = subject.images
    return {"run": subject.name, **about(model, len(images)), "seed": subject.seed, "data": images.name}


def said(
    question: Question, answer: Answer, numbers: Mapping[str, Any], language: str, behind: Sequence[str] = ()
) -> LabAnswer:
    """An answer in every form; `behind` are lines below its tables."""
    lines = [
        f"{question.name}. {question.asked.in_language(language)}",
        "",
        *wrapped(answer.text.in_language(language)),
        "",
        f"({sources(question.equations, language)})",
        *(line for table in answer.tables for line in ("", *_rows(table, language))),
        "",
        *behind,
    ]
    return LabAnswer(
        question.name,
        language,
        "\n".join(lines).rstrip(),
        {question.name: numbers},
        answer.figure,
        lambda: section(question, answer, language),
    )


def _rows(table: Table, language: str) -> Iterator[str]:
    cells = [[shown(cell, language) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(table.columns))]
    for row in cells:
        yield "  ".join(" " * (width - columns(cell)) + cell for cell, width in zip(row, widths, strict=True))


def _of_what(subject: Subject, model: LoadedModel, language: str) -> list[str]:
    count, data = len(subject.images), subject.images.name
    of_run = Text(
        f"{subject.label}, {model.weights} weights of step {model.step:,}; {count} images of {data}.",
        f"{subject.label}, {model.step:,}스텝의 {model.weights} 가중치; {data} 이미지 {count}장.",
    )
    return list(wrapped(f"{of_run.in_language(language)} {EXACT_MODEL.in_language(language)}"))
