"""Of several processes only the first one writes."""

import pytest
import torch
from PIL import Image

from ddpm.checkpoints import Checkpoint
from ddpm.data.imageset import Broken, ImageSet
from ddpm.parallel.world import World
from ddpm.run.folder import RunFolder
from ddpm.run.writer import grid_path, writing

BROKEN = ImageSet("a", torch.zeros(1, 1, 2, 2, dtype=torch.uint8), broken=(Broken("a.png", "damaged", "cut off"),))


@pytest.mark.parametrize("rank", [0, 1])
def test_only_the_first_process_writes(rank, tmp_path):
    folder = RunFolder(tmp_path)
    folder.create()
    with writing(folder, World(rank, 2), 0, 0) as writer:
        said = [*writer.write_row({"step": 1, "loss": 0.5}), *writer.write_bad_images(BROKEN)]
        said += writer.save_grid(Image.new("L", (8, 8)), 1)
        outcomes = [*writer.save(1, Checkpoint({}, {"step": 1})), *writer.finish()]
        outcomes += [*writer.save_owned(2, Checkpoint({}, {"step": 2})), *writer.wait()]
    assert said == []
    written = {path.name for path in tmp_path.rglob("*") if path.is_file() and "tfevents" not in path.name}
    ours = {"metrics.jsonl", "bad_images.csv", grid_path(folder, 1).name, "manifest.json", "state.json"}
    assert written == (set() if rank else ours)
    assert len(outcomes) == (0 if rank else 2)
