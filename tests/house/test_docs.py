"""What the pages say is complete: settings are explained, equations that are named have an entry, commands are shown."""

import json
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest
from docs import ledger, reference, results

import ddpm
from ddpm.cli.parser import COMMANDS
from ddpm.errors import Diverged
from ddpm.experiment.presets import PRESETS
from ddpm.laboratory.notes.equations import of_the_ledger
from ddpm.laboratory.notes.mentions import numbers_in
from ddpm.language import LANGUAGES

ROOT = Path(__file__).resolve().parents[2]


def test_every_setting_is_explained_in_its_order():
    assert list(reference.explained()) == [name for name, _, _ in reference.settings()]


def test_every_command_and_flag_is_on_the_page():
    pages = [reference.commands_page(language) for language in LANGUAGES]
    assert list(reference.commands()) == list(COMMANDS)
    for name, parser in reference.commands().items():
        assert all(f"\nddpm {name}\n" in f"\n{page}" for page in pages)
        for action in parser._actions:
            for flag in set(action.option_strings) - {"-h", "--help"}:
                assert all(f"``{flag}" in page for page in pages), (name, flag)


def test_the_korean_page_of_commands_is_korean():
    """All that explains a command or a flag, but for lists of names."""
    page = reference.commands_page("ko")
    cells = re.findall(r"^     - (.*)$", page, re.MULTILINE)
    english = {cell for cell in cells if not re.search("[가-힣]", cell)}
    assert len(cells) > 150
    assert all(re.fullmatch(r"[\w, ()-]+", cell) for cell in english), english


def test_every_exit_code_is_on_the_page():
    page = reference.exit_codes()
    for code in (0, 2, 65, 66, 69, 70, 71, 73, 74, 75, 78, 80, 130):
        assert f"``{code}``" in page
    assert str(Diverged.__doc__).rstrip(".") in page


def test_a_preset_shows_what_it_changes():
    page = reference.presets_page()
    for name in PRESETS:
        assert f"\n{name}\n" in f"\n{page}"
    assert "``schedule.name``\n     - ``log-snr``" in page


def test_the_ledger_is_whole():
    rows = of_the_ledger()
    assert [row.name for row in rows] == [f"E{n}" for n in range(1, 93)]
    for row in rows:
        assert row.tex and row.title.en and row.says.en
        assert row.title.ko and re.search("[가-힣]", row.says.ko)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("(E29, E31-E33)", {"E29", "E31", "E32", "E33"}), ("E75-76", {"E75", "E76"}), ("E100, SE3, 1E5", set())],
)
def test_what_a_docstring_names(text, numbers):
    assert numbers_in(text) == numbers


def test_the_code_is_found_by_its_equation():
    named = {place: numbers for place, numbers in ledger.mentions("diffusion")}
    assert any("E45" in numbers for numbers in named.values())
    assert named[":py:obj:`ddpm.diffusion.reverse.ReverseProcess.score`"] == {"E56"}


@pytest.mark.parametrize("name", results.TABLES)
def test_a_table_of_results_holds_its_benchmarks_numbers(name):
    source, make = results.TABLES[name]
    header, rows = make()
    assert rows and all(len(row) == len(header) for row in rows)
    about = results.about(source)
    assert json.loads((results.FOLDER / f"{source}.json").read_text())["about"]["commit"] in about


def test_a_number_comes_through():
    assert ("the preset", "1.784 ± 0.015", "0.51", "862") in [tuple(row) for row in results.digits()[1]]


def test_links_between_pages_lead_somewhere():
    """README's links to pages, and every :doc: of a page."""
    for readme in ("README.md", "README.ko.md"):
        for link in re.findall(r"\]\(((?!http)[^)#]+)", (ROOT / readme).read_text()):
            assert (ROOT / link).exists(), (readme, link)
    for page in (ROOT / "docs").rglob("*.rst"):
        if "generated" in page.parts or "_build" in page.parts:
            continue
        for link in re.findall(r":doc:`(?:[^`<]*<)?([^`>]+)>?`", page.read_text()):
            target = ROOT / "docs" / link[1:] if link[0] == "/" else page.parent / link
            assert "generated" in link or target.with_suffix(".rst").exists(), (page, link)


def test_the_two_languages_have_the_same_pages():
    for kind in ("tutorials", "how-to"):
        english = {path.name for path in (ROOT / "docs" / kind).glob("*.rst")}
        assert english == {path.name for path in (ROOT / "docs" / "ko" / kind).glob("*.rst")}


def test_the_korean_page_of_names_has_all_of_them():
    """Each public name once as an entry, and none that is gone."""
    text = (ROOT / "docs" / "ko" / "api.rst").read_text(encoding="utf-8")
    entries = re.findall(r"^   \* - (.*)$", text, re.MULTILINE)
    told = [name for entry in entries for name in re.findall(r"`ddpm\.(\w+)", entry)]
    named = set(re.findall(r"`ddpm\.(\w+)", text))
    assert named == {name for name in ddpm.__all__ if not name.startswith("_")}
    assert len(told) == len(set(told))


def _glossary(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = [re.split(r"\n     - ?", row) for row in text.split("   * - ")[2:]]
    return [[cell.strip().strip("*") for cell in row] for row in rows]


def test_the_glossary_is_one_in_both_languages():
    """The same terms, symbols and code, all there; each term once."""
    english, korean = _glossary("explanation/glossary.rst"), _glossary("ko/glossary.rst")
    assert len(english) > 40
    assert [(en, ko, tex, code) for en, ko, _, tex, code in english] == [
        (en, ko, tex, code) for ko, en, _, tex, code in korean
    ]
    for column in (0, 1):
        assert len({row[column] for row in english}) == len(english)
    for *_, code in english:
        assert pkgutil.resolve_name(re.search(r"~([\w.]+)`", code)[1])


@pytest.mark.parametrize(
    "folder", ["docs/ko", "src/ddpm/laboratory", "src/ddpm/report", "src/ddpm/figures", "src/ddpm/explorer/page"]
)
def test_korean_has_one_word_for_one_thing(folder):
    """That of the glossary. (What the notes wrote is theirs.)"""
    rivals = (
        "사슬|순방향|모형|역과정|전송률|가능도|스코어|목적 함수|이동 평균|표준 오차|(?:사후|사전|혼합|결합|주변) 분포"
    )
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in (".py", ".rst", ".json", ".js") and path.name != "errata.json":
            assert not re.findall(rivals, path.read_text(encoding="utf-8")), path


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["tutorials/paper", "tutorials/own-network", "ko/tutorials/paper", "ko/tutorials/own-network"]
)
def test_a_tutorial_runs(page):
    """Its Python, in order, in one namespace, with fewer steps of training."""
    text = (ROOT / "docs" / f"{page}.rst").read_text()
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", text)
    assert len(blocks) > 4
    code = "\n".join(textwrap.dedent(block) for block in blocks)
    for many, few in (
        ("range(300)", "range(2)"),
        ("steps=200", "steps=2"),
        ("[:32]", "[:2]"),
        ("(1000, 1, 2, 2)", "(50, 1, 2, 2)"),
    ):
        code = code.replace(many, few)
    exec(compile(code, page, "exec"), {"__name__": "tutorial"})


def test_the_changes_are_by_day_and_kind():
    """The newest day first; below each, what was added, changed and fixed, in this order, and nothing else."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    days = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    dates = [day.split("\n")[0] for day in days]
    assert dates == sorted(set(dates), reverse=True)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", date) for date in dates)
    for day in days:
        kinds = re.findall(r"^\*\*(\w+)\*\*$", day, re.MULTILINE)
        assert kinds == [kind for kind in ("Added", "Changed", "Fixed") if kind in kinds]
        lines = [line for line in day.split("\n")[1:] if line and not line.startswith(("**", "## "))]
        assert lines and all(line.startswith(("- ", "  ")) for line in lines)
