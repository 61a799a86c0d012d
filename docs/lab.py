"""The laboratory's page, computed for the site, in both languages."""

from pathlib import Path

from ddpm.data.decoding.workers import cores
from ddpm.diffusion.schedule import linear
from ddpm.laboratory.answer import Setting
from ddpm.laboratory.derivations.every import DERIVATIONS, derived
from ddpm.laboratory.derivations.shown import At
from ddpm.laboratory.questions import QUESTIONS
from ddpm.language import LANGUAGES
from ddpm.report import derivation
from ddpm.report.answers.together import answering
from ddpm.report.lab_page import lab_page

AT = At(300, 0.5)


def write_lab(folder: Path) -> None:
    """lab.en.html and lab.ko.html: what `ddpm lab all` writes, at the paper's schedule; each answer is computed once for both."""
    setting = Setting("linear", linear(1000))
    lines = derived(setting, AT)
    folder.mkdir(parents=True, exist_ok=True)
    with answering(QUESTIONS, setting, list(LANGUAGES), cores()) as answers:
        derivations = {
            language: [derivation.section(DERIVATIONS[name], found, AT, language) for name, found in lines.items()]
            for language in LANGUAGES
        }
        told = list(answers)
    for language in LANGUAGES:
        sections = [answer.sections[language] for answer in told]
        command = f"ddpm lab all --language {language}"
        page = lab_page(sections, len(QUESTIONS), derivations[language], setting, language, command)
        (folder / f"lab.{language}.html").write_text(page, encoding="utf-8")
