"""The laboratory's page, computed for the site, in both languages."""

from pathlib import Path

from ddpm.diffusion.schedule import linear
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.shown import At, rows
from ddpm.laboratory.questions import QUESTIONS, ask
from ddpm.language import LANGUAGES
from ddpm.report import derivation
from ddpm.report.lab_page import lab_page, section

AT = At(300, 0.5)


def write_lab(folder: Path) -> None:
    """lab.en.html and lab.ko.html: what `ddpm lab all` writes, at the paper's schedule."""
    setting = Setting("linear", linear(1000))
    answers = {name: ask(question, setting) for name, question in QUESTIONS.items()}
    derived = {name: rows(found, setting.schedule, AT, setting.seed) for name, found in DERIVATIONS.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for language in LANGUAGES:
        page = lab_page(
            [section(QUESTIONS[name], answer, language) for name, answer in answers.items()],
            len(QUESTIONS),
            [derivation.section(DERIVATIONS[name], lines, AT, language) for name, lines in derived.items()],
            setting,
            language,
            f"ddpm lab all --language {language}",
        )
        (folder / f"lab.{language}.html").write_text(page, encoding="utf-8")
