"""`python -m benchmarks` lists the benchmarks; `python -m benchmarks NAME ...` runs one, as `python -m benchmarks.NAME ...` does."""

import ast
import runpy
import sys
from pathlib import Path

NOT_RUN = {"__init__", "__main__", "machine", "peer", "other_people", "foreign"}


def names() -> dict[str, str]:
    """The benchmarks by name, with the first line of what each says of itself; nothing is imported."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) for file in files}
    return {name: (text or "").splitlines()[0] for name, text in texts.items() if name not in NOT_RUN}


def main() -> None:
    """List or run."""
    found = names()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in found:
        # As if it had been asked for by its own name: the results say the command.
        module, sys.argv = f"benchmarks.{name}", [str(Path(__file__).with_name(f"{name}.py")), *sys.argv[2:]]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    width = max(map(len, found))
    if name not in ("-h", "--help"):
        print(f"there is no benchmark {name!r}: python -m benchmarks lists them", file=sys.stderr)
        sys.exit(2)
    print("python -m benchmarks NAME [its own flags, or --help]\n")
    print("\n".join(f"{one:{width}}  {text}" for one, text in found.items()))


if __name__ == "__main__":
    main()
