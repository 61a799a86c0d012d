"""The model card of an export: README.md with the front matter of the Hugging Face hub, of what the run holds and nothing else.

Names of a user may hold anything: they are one line of text here, and no Markdown, HTML or YAML.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ddpm.errors import NotFound
from ddpm.interop import graphs, shipped
from ddpm.run.log import read_metrics
from ddpm.storage.atomic import read_json
from ddpm.trained.loaded import LoadedModel
from ddpm.version import VERSION

NAMED, LONG = 20, 120
"""So many classes are listed, and so many characters of a name are shown."""
HUB = re.compile(r"hf:(?P<name>[\w.-]+(/[\w.-]+)?)")
DIFFUSERS = """\
```python
import ddpm

model = ddpm.load("FOLDER")  # this folder
model.sample(16).grid("sheet.png")
```

```python
from diffusers import DDPMPipeline

DDPMPipeline.from_pretrained("FOLDER")().images[0].save("image.png")
```
"""
CLASSES = """\
```python
import ddpm

model = ddpm.load("FOLDER")  # this folder
model.sample(16).grid("sheet.png")
```

```python
import torch
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("FOLDER")  # it gives the network no class: step by step one does
x = torch.randn(1, *SHAPE)
for t in pipeline.scheduler.timesteps:
    output = pipeline.unet(x, t, class_labels=torch.tensor([0])).sample
    x = pipeline.scheduler.step(output, t, x).prev_sample
```
"""
GRAPH = """\
`{file}` is the network, `schedule.json` all numbers that sampling needs, and `sample.py` draws with these two alone
(numpy and {runtime}; no `ddpm`):

```console
$ python sample.py 16
```

It writes `samples.npy`: 16 images (16, {height}, {width}, {channels}), whole numbers 0..{top}. To see the first one:

```python
import numpy
from PIL import Image

image = numpy.load("samples.npy")[0] * (255.0 / {top})
Image.fromarray(image.squeeze().round().astype("uint8")).resize((256, 256), 0).save("first.png")
```

The network takes {inputs} for any number of images n; schedule.json says how its output is read.
"""


def card(trained: LoadedModel, name: str, apart: float | None = None) -> str:
    """README.md of an export.

    Args:
        trained: what is exported.
        name: the format.
        apart: how far the written network is from ours, relative to an output; None where that was not measured.
    """
    experiment = trained.experiment
    kind = "unconditional" if not experiment.model.classes else "class-conditional"
    channels, height, width = experiment.shape
    title = plain(trained.typed or trained.folder.path.absolute().name)
    lines = [
        *("---", *_front_matter(trained, name), "---", "", f"# {title}", ""),
        f"A diffusion model (DDPM, Ho, Jain, Abbeel 2020) of {height}x{width} images, {kind}, written by ddpm {VERSION}.",
        *("", "## Model", "", *_table(_model(trained))),
        *("", "## Training", "", *_table(_training(trained))),
        *("", "## What was measured", "", *_table(_measured(trained, apart))),
        *("", "## Use", "", _use(trained, name, channels, height, width)),
        *(
            "## License",
            "",
            "None is stated. Whoever publishes the model adds `license:` to the front matter above.",
            "",
        ),
    ]
    return "\n".join(lines)


def plain(text: str) -> str:
    """A name as one line of Markdown that shows just that name."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = line if len(line) <= LONG else f"{line[: LONG - 3]}..."
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~<>&$:@])", lambda found: f"&#{ord(found[0])};", line)


def _front_matter(trained: LoadedModel, name: str) -> Iterator[str]:
    """YAML, of which JSON is a part."""
    values: dict[str, Any] = {"library_name": "diffusers" if name == "diffusers" else "ddpm"}
    values["tags"] = ["ddpm", "diffusion", "image-generation", *([name] if name != "diffusers" else [])]
    if not trained.experiment.model.classes:
        values["pipeline_tag"] = "unconditional-image-generation"
    if found := HUB.fullmatch(trained.experiment.data.source):
        values["datasets"] = [found["name"]]
    return (f"{key}: {json.dumps(value)}" for key, value in values.items())


def _table(rows: Mapping[str, str]) -> Iterator[str]:
    yield from ("| | |", "|---|---|")
    yield from (f"| {name} | {value} |" for name, value in rows.items())


def _model(trained: LoadedModel) -> dict[str, str]:
    experiment, process, schedule = trained.experiment, trained.experiment.process, trained.experiment.schedule
    channels, height, width = experiment.shape
    rows = {
        "parameters": f"{experiment.size()[1]:,}",
        "images": f"{channels} x {height} x {width} (channels, height, width), {experiment.levels} levels, in [-1, 1]",
        "schedule": f"{schedule.name}, T = {schedule.T}",
        "prediction": process.prediction,
        "variance": process.variance,
        "limit of the estimates of x_0": process.limit,
        "weights": f"{plain(trained.weights)}, of step {trained.step:,}",
        "digest of the weights": f"`{trained.digest}`",
    }
    if experiment.model.classes:
        more = ", ..." if len(experiment.classes) > NAMED else ""
        rows["classes"] = f"{len(experiment.classes)}: {', '.join(map(plain, experiment.classes[:NAMED]))}{more}"
    return rows


def _training(trained: LoadedModel) -> dict[str, str]:
    """How the run went up to these weights; of a model of another library what is known of it."""
    if (origin := _origin(trained.folder.origin)) not in (None, shipped.FORMAT):
        return {"trained by": f"another library, read as {plain(origin)}; nothing more is known of its training here"}
    experiment = trained.experiment
    recipe, data = experiment.training, experiment.data
    rows = {
        "data": _name_of_data(data.source),
        "objective": experiment.objective,
        "steps": f"{trained.step:,}",
        "batch size": f"{recipe.batch_size}",
        "learning rate": f"{recipe.lr:g}",
        "decay of the moving average": f"{recipe.ema_decay:g}",
        "augmentation": data.augmentation,
        "seed": f"{recipe.seed}",
    }
    if experiment.init is not None:
        rows["began with"] = (
            f"the weights {plain(experiment.init.weights)} of another run, of step {experiment.init.step:,}"
        )
    last = [row for row in read_metrics(trained.folder.metrics) if row["step"] <= trained.step]
    if last and last[-1]["step"] == trained.step:
        rows["images seen"] = f"{last[-1]['images']:,}"
        rows["time"] = f"{last[-1]['seconds'] / 60:.1f} minutes"
    return rows


def _measured(trained: LoadedModel, apart: float | None) -> dict[str, str]:
    """The last estimate of the bound while training, and the check of the export."""
    found = [
        row
        for row in read_metrics(trained.folder.metrics)
        if row["step"] <= trained.step and row.get("bits_per_dim") is not None
    ]
    rows = {}
    if found:
        row, rhythm = found[-1], trained.experiment.rhythm
        error = row.get("bits_per_dim_stderr")
        rows["bits/dim"] = (
            f"{row['bits_per_dim']:.3f}{'' if error is None else f' ± {error:.3f}'} (standard error): the variational bound of "
            f"the moving average at step {row['step']:,}, estimated on at most {rhythm.images:,} held-out images with "
            f"{rhythm.evaluations} evaluations for each"
        )
    if apart is not None:
        rows["check of this export"] = (
            f"largest difference to the network it was made from: {apart:.1e} of an output, on images of noise"
        )
    return rows or {"bits/dim": "not measured"}


def _use(trained: LoadedModel, name: str, channels: int, height: int, width: int) -> str:
    if name not in graphs.FORMATS:
        classes = trained.experiment.model.classes
        return (CLASSES if classes else DIFFUSERS).replace("*SHAPE", f"{channels}, {height}, {width}")
    inputs = f"x_t (n, {channels}, {height}, {width}) float32 and timestep (n,) float32"
    if trained.experiment.model.classes:
        inputs += ", and label (n,) int64, where -1 is no class,"
    return GRAPH.format(
        file=graphs.FORMATS[name],
        runtime="onnxruntime" if name == "onnx" else "torch",
        inputs=inputs,
        height=height,
        width=width,
        channels=channels,
        top=trained.experiment.levels - 1,
    )


def _name_of_data(source: str) -> str:
    """Without the folders of whoever trained it."""
    return plain(source if HUB.fullmatch(source) else Path(source).name or "not named")


def _origin(path: Path) -> str | None:
    """The format in which another library kept the model; None for a run of ours."""
    try:
        found = read_json(path)
    except NotFound:
        return None
    return str(found.get("format", "unknown")) if isinstance(found, dict) else "unknown"
