"""`ddpm import`: a model of another library becomes a run."""

from argparse import ArgumentParser, Namespace

from ddpm.cli.flags import groups
from ddpm.cli.flags.kinds import filled, positive
from ddpm.cli.terminal.console import say, show
from ddpm.cli.terminal.files import JsonTarget
from ddpm.cli.terminal.speech import said

ABOUT = "make a run of a model of another library"
EXAMPLES = """\
ddpm import hf:google/ddpm-cifar10-32 runs/cifar
ddpm import results/model-700.pt runs/flowers --resolution 128
ddpm import 64x64_diffusion.pt runs/imagenet \\
    --flags="--image_size 64 --num_channels 192 --num_head_channels 64"
"""


def flags(parser: ArgumentParser) -> None:
    """Of `ddpm import`."""
    what = parser.add_argument_group("what to read")
    what.add_argument(
        "source",
        type=filled,
        metavar="SOURCE",
        help="a folder of diffusers (a pipeline, a checkpoint of its training script, or a UNet2DModel alone), or a file of "
        "weights of OpenAI's improved- or guided-diffusion, of lucidrains' denoising-diffusion-pytorch (2.0 and later), of the "
        "PyTorch port of the authors' weights, or their own TensorFlow variables in an .npz",
    )
    what.add_argument(
        "--resolution",
        type=positive,
        metavar="N",
        help="side of the images, where the file does not say it (the authors', the port's, lucidrains')",
    )
    what.add_argument(
        "--flags",
        metavar="'--NAME VALUE ...'",
        help="those that OpenAI's or the authors' scripts trained it with, or what lucidrains' file does not say (--objective, "
        "--sinusoidal_pos_emb_theta), in quotation marks",
    )
    where = parser.add_argument_group("where it goes")
    where.add_argument("output_dir", type=filled, metavar="RUN", help="a new run folder")
    groups.json(where, "what was found")
    groups.running(parser)


def run(options: Namespace) -> None:
    """Read it, write it, and say what was found."""
    from ddpm.interop import Told
    from ddpm.report.text import columns, left
    from ddpm.run.folder import RunFolder
    from ddpm.run.imported import import_run, own_folder, place

    json_target = JsonTarget(options.json)
    folder = RunFolder(own_folder(options.output_dir))
    told = Told((options.resolution,) if options.resolution else None, options.flags)
    foreign = import_run(place(options.source), folder, told)
    json_target.write({"format": foreign.format, "run": str(folder.path), "found": dict(foreign.facts)})
    found = {said(f"{name}:").removesuffix(":"): said(value) for name, value in foreign.facts.items()}
    rows = {said("format:").removesuffix(":"): foreign.format} | found
    width = max(map(columns, rows))
    for name, value in rows.items():
        show(f"{left(name, width)}  {value}")
    say(f"a run: {folder.path}")
    json_target.tell()
