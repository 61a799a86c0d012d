"""The pictures of the examples: whatever PNG or GIF a program wrote since its last block, shown below the block."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

from sphinx_gallery.scrapers import figure_rst


class Pictures:
    """A scraper of sphinx-gallery: an example names its folder `out`."""

    def __init__(self) -> None:
        self.seen: dict[Path, int] = {}

    def __repr__(self) -> str:
        return "Pictures()"

    def __call__(self, block: object, variables: dict[str, Any], settings: dict[str, Any]) -> str:
        """The reStructuredText of the new pictures."""
        folder = variables["example_globals"].get("out")
        if folder is None:
            return ""
        shown = []
        for path in sorted(Path(folder).glob("*.png"), key=lambda path: path.stat().st_mtime_ns):
            written = path.stat().st_mtime_ns
            if self.seen.get(path.resolve()) == written:
                continue
            self.seen[path.resolve()] = written
            target = next(variables["image_path_iterator"])
            copyfile(path, target)
            shown.append(target)
        return figure_rst(shown, settings["src_dir"]) if shown else ""


class Folder:
    """What an example is given as its first argument when the site runs it: an empty folder of its own below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __repr__(self) -> str:
        return "Folder()"

    def __call__(self, settings: Mapping[str, Any], script: Mapping[str, Any]) -> list[str]:
        """The arguments of the program."""
        folder = self.root / Path(script["src_file"]).stem
        rmtree(folder, ignore_errors=True)
        return [str(folder)]
