"""Tables and titles as reStructuredText."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> str:
    """A list-table; every cell is reStructuredText of one paragraph."""
    how = f"   :widths: {' '.join(map(str, widths))}\n" if widths else ""
    return f".. list-table::\n   :header-rows: 1\n{how}\n" + "".join(_row(row) for row in [header, *rows]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "   * - " + "\n     - ".join(cell or "\\ " for cell in cells) + "\n"


def title(text: str, line: str = "=") -> str:
    """A title, underlined; Korean letters are two wide."""
    return f"{text}\n{line * 2 * len(text)}\n\n"
