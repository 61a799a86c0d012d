"""What `ddpm lab` says: the questions, answers with their tables, and where the figures are."""

from pathlib import Path

from ddpm.cli.laboratory.derivations import about_derivations, derive_all, list_derivations
from ddpm.cli.terminal.console import remark, say, show, track
from ddpm.cli.terminal.files import JsonTarget, existing_folder
from ddpm.cli.terminal.words import counted
from ddpm.data.decoding.workers import cores
from ddpm.figures import style
from ddpm.figures.fonts import korean_font
from ddpm.laboratory.answer import Setting, Text
from ddpm.laboratory.derivations.shown import At
from ddpm.laboratory.questions import QUESTIONS, find
from ddpm.report.answers.answer import LabAnswer
from ddpm.report.answers.lab import without_figure
from ddpm.report.answers.questions import of_question
from ddpm.report.answers.together import answering
from ddpm.report.lab_page import about, lab_page
from ddpm.report.text import wrapped
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
        show(f"{question.name:<10} {question.asked.in_language(language)}")
    show("")
    list_derivations(language)
    show("")
    for line in wrapped(MORE.in_language(language)):
        show(line)


def answer_one(asked: str, setting: Setting, at: At, folder: Path, language: str, json_target: JsonTarget) -> None:
    """Print one answer, and write its figure where it has one."""
    answer = without_figure(asked, setting, at, language)
    if answer is None:
        find(asked)
        existing_folder(folder)
        answer = of_question(asked, setting, language)
    tell(answer, folder / f"{answer.name}.png", json_target)


def tell(answer: LabAnswer, path: Path, json_target: JsonTarget) -> None:
    """Write its figure, if it has one, to this path, and its numbers as JSON; print it."""
    if answer.figure is not None:
        write_bytes(path, style.png(answer.figure, answer.language))  # whole or not at all
    json_target.write(answer.numbers)
    show(answer.text)
    if answer.figure is not None:
        show("")
        tell_figure(path, answer.language)


def tell_figure(path: Path, language: str) -> None:
    """Where it is; and that its labels are English, where no font of this machine has Korean."""
    say(f"figure: {path}")
    if language == "ko" and korean_font() is None:
        remark(NO_FONT)


def answer_all(setting: Setting, at: At, folder: Path, language: str, json_target: JsonTarget, command: str) -> None:
    """Write the page of all answers and derivations, again after each answer: it can be read meanwhile, and says how far it is.

    `command` makes the page again; the page shows it.
    """
    existing_folder(folder)
    path = folder / "lab.html"
    sections, values = [], {}
    with answering(QUESTIONS, setting, [language], cores()) as answers:
        derivations, derived = derive_all(setting, at, language)
        for told in track(answers, len(QUESTIONS), "answering"):
            sections.append(told.sections[language])
            values[told.name] = told.values
            write_text(path, lab_page(sections, len(QUESTIONS), derivations, setting, language, command))
    json_target.write(values | derived)
    say(f"{counted(len(values), 'answer')}: {path}   (open it in a browser)")
