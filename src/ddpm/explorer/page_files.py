"""The files of the page, as they are served and joined: those of page/, and the formulas of the scenes as MathML."""

import json
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from latex2mathml.converter import convert

KINDS: Mapping[str, str] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
"""Of the page's files, by their ending."""


def page_files() -> Mapping[str, tuple[bytes, str]]:
    """What the page consists of, read once: nothing else of the disk can be asked for."""
    found: dict[str, tuple[bytes, str]] = {}

    def walk(folder: Traversable, path: str) -> None:
        for one in folder.iterdir():
            kind = KINDS.get(one.name.rpartition(".")[2])
            if one.is_dir():
                walk(one, f"{path}{one.name}/")
            elif kind is not None:
                found[f"{path}{one.name}"] = one.read_bytes(), kind

    walk(files("ddpm.explorer") / "page", "/")
    formulas = {name: convert(tex) for name, tex in json.loads(found.pop("/formulas.json")[0]).items()}
    module = f"/** The formulas of the scenes, as MathML. */\nexport const formulas = {json.dumps(formulas)};\n"
    return found | {"/": found["/index.html"], "/formulas.js": (module.encode(), KINDS["js"])}
