"""The page of the numbered equations E1 to E92 that docstrings name, each with the code that names it."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.paper_map import link, places
from docs.tables import title

from ddpm.laboratory.notes.equations import Numbered, of_the_ledger
from ddpm.laboratory.notes.mentions import numbers_in
from ddpm.language import LANGUAGES, Text

GROUPS: Mapping[str, Text] = {
    "E1": Text("Data and the forward process", "데이터와 정방향 과정"),
    "E18": Text("The bound", "변분 경계"),
    "E42": Text("Variances", "분산"),
    "E47": Text("Means and losses", "평균과 손실"),
    "E55": Text("Scores and Langevin dynamics", "점수와 랑주뱅 동역학"),
    "E60": Text("The decoder", "디코더"),
    "E67": Text("Training and sampling", "학습과 샘플링"),
    "E72": Text("Progressive coding and interpolation", "점진적 부호화와 보간"),
    "E81": Text("Network and training", "신경망과 학습"),
    "E85": Text("Data of which everything is known", "모든 것을 아는 데이터"),
}
"""Where a new part begins."""
IN_THE_CODE = Text("In the code", "코드")


def write_ledger(folder: Path, packages: tuple[str, ...]) -> None:
    """The pages of both languages, below `folder`/LANGUAGE, with links into these packages."""
    named: dict[str, list[str]] = {}
    for package in packages:
        for place, numbers in mentions(package):
            for number in numbers:
                named.setdefault(number, []).append(place)
    for language in LANGUAGES:
        text = "".join(_entry(row, named.get(row.name, []), language) for row in of_the_ledger())
        (folder / language).mkdir(parents=True, exist_ok=True)
        (folder / language / "ledger.inc").write_text(text, encoding="utf-8")


def _entry(row: Numbered, places: list[str], language: str) -> str:
    text = title(GROUPS[row.name].in_language(language), "-") if row.name in GROUPS else ""
    name, says = row.title.in_language(language), row.says.in_language(language)
    label = f".. _{row.name}:\n\n" if language == "en" else ""
    text += f'{label}.. raw:: html\n\n   <span id="{row.name}"></span>\n\n.. rubric:: {row.name}. {name}\n\n'
    text += f".. math::\n\n   {row.tex}\n\n{says}\n\n"
    return text + (f"{IN_THE_CODE.in_language(language)}: {', '.join(places)}.\n\n" if places else "")


def mentions(package: str) -> Iterator[tuple[str, set[str]]]:
    """What in a package names equations and is on the site, as a link, and which."""
    for place in places(f"src/ddpm/{package}"):
        numbers = numbers_in(place.docstring)
        if numbers and not any(part.startswith("_") for part in place.name.split(".")):
            yield link(place), numbers
