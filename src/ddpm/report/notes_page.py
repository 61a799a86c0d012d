"""The notes, the slips, the equations and the code as sections of the laboratory's page, each linked with the others.

Anchors: #000-163 is a line of the notes, #Q20 a question, #ERR-40 a slip, #eq-12 and #E45 equations, #mean a derivation.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from ddpm.figures import style
from ddpm.laboratory.answer import Text
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.notes import mentions, statements
from ddpm.laboratory.notes.equations import Numbered, of_the_ledger, of_the_paper
from ddpm.laboratory.notes.errata import KINDS, Erratum, errata
from ddpm.laboratory.notes.source import Source, source_of
from ddpm.laboratory.notes.statements import Statement
from ddpm.laboratory.questions import QUESTIONS
from ddpm.report.links import anchor, links, sources
from ddpm.report.page import Figure
from ddpm.report.typeset import prose, typeset

WORDS: Mapping[str, Text] = {
    "statements": Text("The notes, statement by statement", "노트를 한 문장씩"),
    "find": Text("a line such as 000:163, or a word", "000:163 같은 줄 번호, 또는 낱말"),
    "about": Text(
        "In words of our own, with note and line. A slip links to the errata, a question to its answer with numbers, a derivation "
        "to its lines, an equation to the paper, and the code to its source, all on this page.",
        "노트의 내용을 우리말로 다시 적고 노트와 줄을 붙였다. 고칠 것은 정오표로, 질문은 숫자로 한 답으로, 유도는 그 줄로, 식은 논문의 "
        "식으로, 코드는 소스로 이어진다. 모두 이 페이지 안에 있다.",
    ),
    "errata": Text("Errata", "정오표"),
    "errata_about": Text(
        "What the two notes (ERR) and the paper itself (P) wrote, and what is right.",
        "두 노트(ERR)와 논문 자체(P)에 적힌 것과 옳은 것.",
    ),
    "paper": Text("The equations of the paper", "논문의 식"),
    "paper_about": Text("As the paper numbers them.", "번호는 논문의 것이다."),
    "ledger": Text("The equations E1 to E92", "식 E1에서 E92"),
    "ledger_about": Text(
        "What the paper does not number, or leaves out, has a number of ours; the code's docstrings use it.",
        "논문이 번호를 붙이지 않았거나 적지 않은 식에 우리가 붙인 번호다. 코드의 docstring이 이 번호를 쓴다.",
    ),
    "code": Text("The code", "코드"),
    "code_about": Text(
        "The classes and functions that the statements point to, as they run here.",
        "위에서 가리킨 클래스와 함수의 소스. 지금 이 페이지를 계산한 코드 그대로다.",
    ),
}
COLUMNS = Text("Where|What the notes say|What is right|Go to", "위치|노트의 말|옳은 것|보기")
SLIPS = Text("Name|Where|Kind|As written|Right|Go to", "이름|위치|종류|적힌 것|옳은 것|보기")
SCRIPT = """<script>
{
  const box = document.getElementById("find"), rows = document.querySelectorAll("#statements tbody tr");
  box.hidden = false;
  box.oninput = () => {
    const asked = box.value.trim().toLowerCase(), line = /^(000|003):(\\d+)$/.exec(asked);
    for (const row of rows)
      row.hidden = line ? !row.dataset.lines.split(" ").includes(asked) : !row.textContent.toLowerCase().includes(asked);
  };
}
</script>"""


@cache
def notes_sections(language: str) -> tuple[Sequence[Figure], Sequence[Figure]]:
    """What stands before the answers on the page, and what stands behind them."""
    return [_statements(language)], [
        _errata(language),
        _equations("paper", of_the_paper(), language),
        _equations("ledger", of_the_ledger(), language),
        _code(language),
    ]


def some_statements(name: str, found: Sequence[Statement], language: str, before: str) -> Figure:
    """Some of the statements, as a section; `before` says why these."""
    rows = [_statement(statement, language) for statement in found]
    return Figure(html.escape(name), _table(COLUMNS, rows, language), html.escape(before), label="")


def one_erratum(erratum: Erratum, language: str) -> Figure:
    """A slip as a section."""
    return Figure(erratum.name, _table(SLIPS, [_erratum(erratum, language)], language), "", label="")


def one_equation(row: Numbered, language: str) -> Figure:
    """An equation as a section."""
    return Figure("", f'<div class="numbered">{_equation(row, language)}</div>', "", label="")


def _section(name: str, drawing: str, language: str, about: str) -> Figure:
    return Figure(
        WORDS[name].in_language(language), drawing, html.escape(WORDS[about].in_language(language)), "", "", name
    )


def _table(columns: Text, rows: Iterable[str], language: str) -> str:
    head = "".join(f"<th>{name}</th>" for name in columns.in_language(language).split("|"))
    return f'<div class="scroll"><table class="words"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _statements(language: str) -> Figure:
    rows = [_statement(statement, language) for statement in statements.statements()]
    box = f'<input id="find" type="search" hidden placeholder="{WORDS["find"].in_language(language)}">'
    return _section("statements", box + _table(COLUMNS, rows, language) + SCRIPT, language, "about")


def _statement(statement: Statement, language: str) -> str:
    kind = html.escape(statements.KINDS[statement.kind].in_language(language))
    code = source_of(statement.code)
    to = [
        links(statement.errata, language),
        links([*statement.questions, *statement.derivations], language),
        links((one for name in statement.equations for one in _in_order(name)), language),
        f'<a href="#{html.escape(code.name)}">{html.escape(code.place.removeprefix("ddpm/"))}</a>',
        f"<code>{html.escape(statement.shown_by)}</code>",
    ]
    cells = [
        f"{''.join(_line_anchors(statement))}<b>{html.escape(statement.where)}</b><br><i>{kind}</i>",
        prose(statement.says.in_language(language)),
        prose(statement.reply.in_language(language)),
        "<br>".join(part for part in to if part),
    ]
    at = " ".join(f"{statement.note}:{line}" for line in statement.lines)
    return f'<tr class="{statement.kind}" data-lines="{at}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _line_anchors(statement: Statement) -> Iterable[str]:
    """An anchor for each line at which no earlier statement stands: #000-163."""
    for line in statement.lines:
        if statements.at(f"{statement.note}:{line}")[0][0] is statement:
            yield f'<a id="{statement.note}-{line}"></a>'


def _in_order(name: str) -> list[str]:
    """Of "E20-E23" each, in order."""
    return sorted(
        mentions.equations_in(name), key=lambda found: (found[0] == "E" and found[1] != "q", len(found), found)
    )


def _errata(language: str) -> Figure:
    return _section(
        "errata", _table(SLIPS, [_erratum(e, language) for e in errata()], language), language, "errata_about"
    )


def _erratum(erratum: Erratum, language: str) -> str:
    held = [s for s in statements.statements() if erratum.name in s.errata]
    derivations = [d.name for d in DERIVATIONS.values() if erratum.name in {slip.erratum for slip in d.slips}]
    to = [
        links([*([erratum.shown_by] if erratum.shown_by else []), *derivations], language),
        links(_in_order(erratum.equation), language),
    ]
    where = ", ".join(_to_line(s) for s in held) or typeset(sources(erratum.where, language))
    cells = [
        f"<b>{erratum.name}</b>",
        where,
        html.escape(KINDS[erratum.kind].in_language(language)),
        typeset(erratum.written.in_language(language)),
        typeset(erratum.right.in_language(language)),
        "<br>".join(part for part in to if part),
    ]
    return f'<tr id="{erratum.name}">' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _to_line(statement: Statement) -> str:
    return f'<a href="#{statement.anchor}">{html.escape(statement.where)}</a>'


def _equations(name: str, rows: Sequence[Numbered], language: str) -> Figure:
    entries = "".join(_equation(row, language) for row in rows)
    return _section(name, f'<div class="numbered">{entries}</div>', language, f"{name}_about")


def _equation(row: Numbered, language: str) -> str:
    title = f"{sources(row.name, language)}. {row.title.in_language(language)}"
    held = [s for s in statements.statements() if row.name in s.named]
    asked = [q.name for q in QUESTIONS.values() if row.name in mentions.equations_in(q.equations)]
    slips = [e.name for e in errata() if row.name in mentions.equations_in(e.equation)]
    code = [f"{place.path}:{place.line}" for place in mentions.named_in_code().get(row.name, ())]
    to = [links([*asked, *slips], language), ", ".join(_to_line(s) for s in held)]
    found = " · ".join(part for part in [*to, *(f"<code>{html.escape(place)}</code>" for place in code)] if part)
    return (
        f'<div id="{anchor(row.name)}"><h3>{html.escape(title)}</h3><div class="math">{_formula(row.tex)}</div>'
        f"<p>{typeset(row.says.in_language(language))}</p><p>{found}</p></div>"
    )


@cache
def _formula(tex: str) -> str:
    return style.formula(tex)


def _code(language: str) -> Figure:
    used = sorted({statement.code for statement in statements.statements()})
    return _section("code", "".join(_source(source_of(name)) for name in used), language, "code_about")


def _source(source: Source) -> str:
    text = html.escape(source.text)
    return f'<div class="source" id="{html.escape(source.name)}"><h3><code>{source.place}</code></h3><pre>{text}</pre></div>'
