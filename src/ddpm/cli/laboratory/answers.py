"""What `ddpm lab` says: the questions, answers with their tables, and where the figures are."""

from pathlib import Path

from ddpm.cli.laboratory.derivations import about_derivations, derive_all, list_derivations
from ddpm.cli.terminal.console import note, say, track
from ddpm.cli.terminal.files import JsonTarget, existing_folder
from ddpm.cli.terminal.text import columns, wrapped
from ddpm.cli.terminal.words import counted
from ddpm.figures import style
from ddpm.figures.fonts import korean_font
from ddpm.laboratory.answer import Answer, Question, Setting, Table, Text
from ddpm.laboratory.derivations.shown import At
from ddpm.laboratory.questions import QUESTIONS, ask, find
from ddpm.report.lab_page import about, as_json, lab_page, section, shown
from ddpm.report.links import sources
from ddpm.storage.atomic import write_bytes, write_text

MORE = Text(
    "ddpm lab Q20 answers a question, ddpm lab mean writes out a derivation, ddpm lab all makes a page of all of them, "
    "ddpm lab Q20 --run RUN answers on your own model (ddpm lab --run RUN lists what is), ddpm lab table-2 trains nine "
    "networks and compares them; --language ko for Korean",
    "ddpm lab Q20 --language ko는 질문에 답하고, ddpm lab mean --language ko는 유도를 한 줄씩 쓰고, ddpm lab all --language "
    "ko는 모두를 한 페이지로 쓴다. ddpm lab Q20 --run RUN은 내 모델로 답하고(ddpm lab --run RUN은 그런 질문의 목록), ddpm lab "
    "table-2는 신경망 아홉 개를 학습해 견준다",
)

NO_FONT = "그림의 라벨은 영어다. 이 컴퓨터에는 matplotlib이 쓸 한글 글꼴이 없다(Debian, Ubuntu: apt-get install fonts-noto-cjk)"


def list_questions(language: str, json_target: JsonTarget) -> None:
    """Name and question, a line each; then the derivations."""
    json_target.write({question.name: about(question) for question in QUESTIONS.values()} | about_derivations())
    for question in QUESTIONS.values():
        say(f"{question.name:<10} {question.asked.in_language(language)}")
    say("")
    list_derivations(language)
    say("")
    for line in wrapped(MORE.in_language(language)):
        say(line)


def answer_one(name: str, setting: Setting, folder: Path, language: str, json_target: JsonTarget) -> None:
    """Write one answer's figure and print it with its tables."""
    question = find(name)
    existing_folder(folder)
    answer = ask(question, setting)
    path = folder / f"{question.name}.png"
    write_figure(path, answer, language)
    json_target.write({question.name: as_json(question, answer, setting)})
    print_answer(question, answer, language)
    tell_figure(path, language)


def write_figure(path: Path, answer: Answer, language: str) -> None:
    """As a PNG, whole or not at all."""
    write_bytes(path, style.png(answer.figure, language))


def tell_figure(path: Path, language: str) -> None:
    """Where it is; and that its labels are English, where no font of this machine has Korean."""
    say(f"figure: {path}")
    if language == "ko" and korean_font() is None:
        note(NO_FONT)


def answer_all(setting: Setting, at: At, folder: Path, language: str, json_target: JsonTarget, command: str) -> None:
    """Write the page of all answers and derivations, again after each answer: it can be read meanwhile, and says how far it is.

    `command` makes the page again; the page shows it.
    """
    existing_folder(folder)
    path = folder / "lab.html"
    derivations, derived = derive_all(setting, at, language)
    sections, values = [], {}
    for question in track(QUESTIONS.values(), len(QUESTIONS), "answering"):
        answer = ask(question, setting)
        sections.append(section(question, answer, language))
        values[question.name] = as_json(question, answer, setting)
        write_text(path, lab_page(sections, len(QUESTIONS), derivations, setting, language, command))
    json_target.write(values | derived)
    say(f"{counted(len(values), 'answer')}: {path}   (open it in a browser)")


def print_answer(question: Question, answer: Answer, language: str) -> None:
    """Question, answer and tables."""
    say(f"{question.name}. {question.asked.in_language(language)}")
    say("")
    for line in wrapped(answer.text.in_language(language)):
        say(line)
    say("")
    say(f"({sources(question.equations, language)})")
    for table in answer.tables:
        say("")
        _print_table(table, language)
    say("")


def _print_table(table: Table, language: str) -> None:
    cells = [[shown(cell, language) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(columns(row[i]) for row in cells) for i in range(len(table.columns))]
    for row in cells:
        say("  ".join(" " * (width - columns(cell)) + cell for cell, width in zip(row, widths, strict=True)))
