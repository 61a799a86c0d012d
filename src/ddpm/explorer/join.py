"""A page of several files as one: its style, and all its ES modules as one program, because a file cannot import another.

Each module becomes a function that is called when it is first imported and returns what it exports. Of the language's ways
to import and export these are known: ``import { a, b as c } from "./x.js"``, ``import * as x from "./x.js"``,
``import("./x.js")``, ``export`` before ``const``, ``let``, ``function`` or ``class`` of one name, and ``export { a }``, also from
another module. All others are refused.
"""

import base64
import hashlib
import html
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

Files = Mapping[str, str]
"""What a page consists of, by the path in its folder."""
PAGE, PROGRAM, THREAD = "index.html", "main.js", "engine/worker.js"
"""The files from which all is found: in the page `PROGRAM` begins, in its thread `THREAD`."""

_DOCUMENTATION = re.compile(r"^[ \t]*/\*\*.*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r'^import\s*\{([^}]*)\}\s*from\s*"([^"]+)";', re.MULTILINE)
_WHOLE = re.compile(r'^import\s*\*\s*as\s+(\w+)\s+from\s*"([^"]+)";', re.MULTILINE)
_LATER = re.compile(r'\bimport\(\s*"([^"]+)"\s*\)')
_EXPORTED = re.compile(r"^export\s+((?:async\s+)?function\s*\*?|class|const|let)\s+([\w$]+)", re.MULTILINE)
_LISTED = re.compile(r'^export\s*\{([^}]*)\}(?:\s*from\s*"([^"]+)")?;', re.MULTILINE)
_UNKNOWN = re.compile(r"^\s*(?:import|export)\b.*|.*\bimport\.meta\b.*|.*\bimport\s*\(.*", re.MULTILINE)
_STYLE = re.compile(r'<link\s[^>]*rel="stylesheet"[^>]*>')
_SCRIPT = re.compile(r'<script\s[^>]*src="(?:\./)?main\.js"[^>]*>\s*</script>')
_POLICY = re.compile(r'\s*<meta\s[^>]*http-equiv="Content-Security-Policy"[^>]*>')


class CannotJoin(ValueError):
    """A page is not made as one file can hold it: a fault of who wrote the page."""


def program(files: Files) -> str:
    """All modules that `PROGRAM` and `THREAD` need, as one script; which of the two begins is seen where it runs.

    Raises:
        CannotJoin: a module imports or exports in another way than those above, or is not there.
    """
    found: dict[str, _Module] = {}
    waiting = [PROGRAM, THREAD]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = _module(_read(files, path), path)
            waiting += found[path].first + found[path].later
    for path, module in found.items():
        for whence, name in module.named:
            if name not in found[whence].exports:
                raise CannotJoin(f"{path} imports {name}, which {whence} does not export by a line of its own")
    first = {path: module.first for path, module in found.items()}
    try:
        TopologicalSorter(first).prepare()
    except CycleError as error:
        raise CannotJoin(f"modules of the page import each other in a circle: {' <- '.join(error.args[1])}") from error
    functions = ",\n".join(f"{json.dumps(path)}: () => {{\n{found[path].body}}}" for path in sorted(found))
    text = (
        '"use strict";\n(() => {\n'
        f"const modules = {{\n{functions}\n}};\n"
        "const loaded = new Map();\n"
        "const load = (path) => {\n"
        "  if (!loaded.has(path)) loaded.set(path, modules[path]());\n"
        "  return loaded.get(path);\n"
        "};\n"
        f'if (typeof document === "undefined") load({json.dumps(THREAD)}).serve(self);\n'
        f"else load({json.dumps(PROGRAM)});\n"
        "})();\n"
    )
    if re.search(r"</script|<!--", text, re.IGNORECASE):
        raise CannotJoin('a module of the page holds "</script" or "<!--", which would end it')
    return text


@dataclass(frozen=True)
class _Module:
    """The body of a module's function, the paths of the modules that it imports at first, and later, and the names that it exports.

    `named` are those that it imports, with the path of their module.
    """

    body: str
    first: list[str]
    later: list[str]
    exports: list[str]
    named: list[tuple[str, str]]


def _module(source: str, path: str) -> _Module:
    first: list[str] = []
    later: list[str] = []
    asked: list[tuple[str, str]] = []

    def load(address: str, when: list[str]) -> str:
        if not address.startswith("."):
            raise CannotJoin(f"{path} imports what is no file beside it: {address}")
        when.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), address)))
        return f"load({json.dumps(when[-1])})"

    def named(found: re.Match[str]) -> str:
        pairs = [re.split(r"\s+as\s+", name.strip()) for name in found[1].split(",") if name.strip()]
        loaded = load(found[2], first)
        asked.extend((first[-1], pair[0]) for pair in pairs)
        return f"const {{ {', '.join(': '.join(pair) for pair in pairs)} }} = {loaded};"

    exports: list[str] = []

    def listed(found: re.Match[str]) -> str:
        pairs = [re.split(r"\s+as\s+", name.strip()) for name in found[1].split(",") if name.strip()]
        whence = f"{load(found[2], first)}." if found[2] else ""
        if whence:
            asked.extend((first[-1], pair[0]) for pair in pairs)
        exports.extend(f"{pair[-1]}: {whence}{pair[0]}" for pair in pairs)
        return ""

    text = _DOCUMENTATION.sub("", source)
    text = _NAMED.sub(named, text)
    text = _WHOLE.sub(lambda found: f"const {found[1]} = {load(found[2], first)};", text)
    text = _LATER.sub(lambda found: f"Promise.resolve().then(() => {load(found[1], later)})", text)
    exports += [found[2] for found in _EXPORTED.finditer(text)]
    text = _LISTED.sub(listed, _EXPORTED.sub(r"\1 \2", text))
    if (unknown := _UNKNOWN.search(text)) is not None:
        raise CannotJoin(f"{path} imports or exports in a way that one file cannot: {unknown[0].strip()}")
    body = f"{text.strip()}\nreturn {{ {', '.join(exports)} }};\n"
    return _Module(body, first, later, [one.split(":")[0] for one in exports], asked)


def _read(files: Files, path: str) -> str:
    if path not in files:
        raise CannotJoin(f"the page has no file {path}")
    return files[path]


def joined(files: Files, model: Mapping[str, Any]) -> str:
    """The page as one file with a model in it, which can reach nothing outside itself.

    Args:
        files: `PAGE` and what it needs: style sheets that it links, `PROGRAM` and all that this imports.
        model: what the program finds in the element "model"; the program itself is in the element "program".

    Raises:
        CannotJoin: as `program`; or the page does not begin `PROGRAM`.
    """
    page, script = _POLICY.sub("", _read(files, PAGE)), program(files)
    data = json.dumps(model, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; worker-src blob:; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    scripts = f'<script type="application/json" id="model">{data}</script>\n<script id="program">{script}</script>'
    page = _STYLE.sub(lambda link: _style(files, link[0]), page)
    without, count = _SCRIPT.subn("", page)
    if count != 1 or "</body>" not in without or "<head>" not in without:
        raise CannotJoin(f"{PAGE} must have a head, a body and one script, {PROGRAM}")
    head = f'<head>\n<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    return without.replace("<head>", head, 1).replace("</body>", f"{scripts}\n</body>", 1)


def _style(files: Files, link: str) -> str:
    """A linked style sheet, written out."""
    found = re.search(r'href="(?:\./)?([^":]+)"', link)
    if found is None:
        raise CannotJoin(f"a style sheet of the page is no file beside it: {link}")
    return f"<style>\n{_read(files, found[1])}</style>"
