"""The pictures of the examples: whatever PNG or GIF a program wrote since its last block, shown below the block."""

from pathlib import Path
from shutil import copyfile
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
