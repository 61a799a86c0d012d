"""A page as small as can be, with the real engine: what is tried is the engine, whatever the scenes are."""

from tests.explorer.harness import ENGINE

INDEX = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A page</title><link rel="stylesheet" href="style.css"></head>
<body><pre id="said"></pre><script type="module" src="main.js"></script></body>
</html>
"""
MAIN = """import { say as tell } from "./say.js";

import("./engine/worker.js")
  .then(({ openBackend }) => openBackend(document, new URLSearchParams(location.hash.slice(1)).get("engine") || null))
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


def small_page() -> dict[str, str]:
    """Its files."""
    engine = {f"engine/{path.relative_to(ENGINE).as_posix()}": path.read_text() for path in ENGINE.rglob("*.js")}
    return engine | {"index.html": INDEX, "main.js": MAIN, "say.js": SAY, "style.css": "pre { color: blue }\n"}
