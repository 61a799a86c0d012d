"""Links within the laboratory's page: to lines of the notes, questions, derivations, slips and equations."""

import html
import re
from collections.abc import Iterable

_TOKEN = re.compile(r"(Eq\. |Algorithm |ERR-|P-|E(?=\d)|sections? |appendix |Table )?(\d+(?:\.\d+)?|[A-Z]\b)(-E?\d+)?")
_LINES = re.compile(r"(000|003) l\.(\d+)|(?<=, )l?\.?(\d+)(?=[-,;]|$)")
LINKED = ("Eq. ", "Algorithm ", "ERR-", "P-", "E")


def sources(equations: str, language: str) -> str:
    """Where the paper says it: "section 2, Eq. 3" or 2절, 식 3."""
    if language == "en":
        return equations
    for pattern, korean in ((r"sections? ([\d.]+)", r"\1절"), (r"appendix ([A-Z])", r"부록 \1")):
        equations = re.sub(pattern, korean, equations)
    return equations.replace("Eq. ", "식 ").replace("Algorithm ", "알고리즘 ").replace("Table ", "표 ")


def anchor(name: str) -> str:
    """Of "Eq. 12" eq-12 and of "Algorithm 2" algorithm-2; a question, derivation, slip or E-number is its own anchor."""
    return re.sub(r"\.? ", "-", name).lower() if name.startswith(("Eq.", "Algorithm")) else name


def link(name: str, language: str) -> str:
    """To an anchor of this page, in words."""
    return f'<a href="#{anchor(name)}">{html.escape(sources(name, language))}</a>'


def links(names: Iterable[str], language: str) -> str:
    """Several, with commas."""
    return ", ".join(link(name, language) for name in names)


def equations_linked(equations: str, language: str) -> str:
    """Of "Eq. 3, 5; E25" each as a link to its first equation; sections and tables of the paper stay words."""
    kind = ""

    def one(token: re.Match[str]) -> str:
        nonlocal kind
        kind = token[1] or kind
        words = html.escape(sources(token[0], language))
        return f'<a href="#{anchor(kind + token[2])}">{words}</a>' if kind in LINKED else words

    return _TOKEN.sub(one, equations)


def lines_linked(where: str) -> str:
    """Of "000 l.16, 255-256; 003 l.77" each place as a link to its line of the notes, written "000:16, 255-256; 003:77"."""
    note = ""

    def one(token: re.Match[str]) -> str:
        nonlocal note
        note = token[1] or note
        place = f"{token[1]}:{token[2]}" if token[1] else token[0].removeprefix("l.")
        return f'<a href="#{note}-{token[2] or token[3]}">{place}</a>' if note else place

    return _LINES.sub(one, where)
