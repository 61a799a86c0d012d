"""Write the notebooks, in English and in Korean, from their one source: python examples/notebooks/build.py."""

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "notes_with_answers.txt"
LANGUAGES = {"en": 0, "ko": 1}


def cells(text: str, language: str) -> list[tuple[str, str]]:
    """Kind, markdown or code, and text of each cell: words of this language, and code with its comments in it.

    In the source a cell begins with a line ``--- en``, ``--- ko`` or ``--- code``. A comment in two languages is
    ``## English | Korean``, and ``{language}`` stands for the notebook's.
    """
    parts = re.split(r"^--- (en|ko|code)\n", text, flags=re.MULTILINE)[1:]
    found = []
    for kind, body in zip(parts[::2], parts[1::2], strict=True):
        if kind == "code":
            found.append(("code", _code(body.strip("\n"), language)))
        elif kind == language:
            found.append(("markdown", body.strip("\n")))
    return found


def _code(text: str, language: str) -> str:
    comment = re.compile(r"## (.*) \| (.*)$", re.MULTILINE)
    text = comment.sub(lambda found: f"# {found[1 + LANGUAGES[language]]}", text)
    return text.replace("{language}", language)


def notebook(language: str) -> str:
    """The notebook as its file holds it: version 4.5 of Jupyter's format, without outputs."""
    found: list[dict[str, Any]] = []
    for number, (kind, text) in enumerate(cells(SOURCE.read_text(encoding="utf-8"), language)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number:03d}", "metadata": {}}
        cell |= {"execution_count": None, "outputs": []} if kind == "code" else {}
        found.append(cell | {"source": text.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": found, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def path(language: str) -> Path:
    """Where it is."""
    return SOURCE.with_suffix(f".{language}.ipynb")


if __name__ == "__main__":
    for each in LANGUAGES:
        path(each).write_text(notebook(each), encoding="utf-8")
        print(path(each))
