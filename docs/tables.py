"""Tables and titles as reStructuredText."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> str:
    """A list-table; every cell is reStructuredText of one paragraph."""
    how = f"   :widths: {' '.join(map(str, widths))}\n" if widths else ""
    return f".. list-table::\n   :header-rows: 1\n{how}\n" + "".join(row(cells) for cells in [header, *rows]) + "\n"


def row(cells: Sequence[str]) -> str:
    """One row of it."""
    return "   * - " + "\n     - ".join(cell or "\\ " for cell in cells) + "\n"


def title(text: str, line: str = "=") -> str:
    """A title, underlined; Korean letters are two wide."""
    return f"{text}\n{line * 2 * len(text)}\n\n"


def head(name: str, about: str) -> str:
    """The title of a page and what it is about, with the role that `html` uses."""
    return f".. role:: html(raw)\n   :format: html\n\n{title(name)}{about}\n\n"


def html(text: str) -> str:
    """HTML in the middle of a line."""
    return f":html:`{text}`"
