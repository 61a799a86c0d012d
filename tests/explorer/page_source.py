"""A page as small as can be, with the real engine: what is exported is the engine, whatever the scenes are."""

import shutil
from pathlib import Path

from tests.explorer.harness import ENGINE

INDEX = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A page</title><link rel="stylesheet" href="style.css"></head>
<body><pre id="said"></pre><script type="module" src="main.js"></script></body>
</html>
"""
MAIN = """import { say as tell } from "./say.js";

import("./engine/worker.js")
  .then(({ openBackend }) => openBackend(document))
  .then(
    (backend) => {
      window.backend = backend;
      tell(`ready ${backend.constructor.name}`);
    },
    (error) => tell(error.message),
  );
"""
SAY = """export function say(text) {
  document.getElementById("said").textContent = text;
}
"""


def page_folder(place: Path) -> Path:
    """The page's folder."""
    place.mkdir()
    for name, text in {
        "index.html": INDEX,
        "main.js": MAIN,
        "say.js": SAY,
        "style.css": "pre { color: blue }\n",
    }.items():
        (place / name).write_text(text)
    shutil.copytree(ENGINE, place / "engine")
    return place
