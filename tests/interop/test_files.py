"""Files of weights that say nothing but weights: OpenAI's two, and the port of the authors'.

That their own code gives the same numbers is in benchmarks/results/interop_agreement.json; here their names are written by hand.
"""

import json
import re

import pytest
import torch

import ddpm as face
from ddpm.cli.terminal.speech import SPEECH
from ddpm.errors import DataError, Failure, Mismatch, UsageError
from ddpm.interop import Told, read
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.report.text import columns


def random_network(shape, outputs=3):
    torch.manual_seed(0)
    network = UNet(shape, 3, outputs)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn_like(weight))
    return network


PORT = {
    **{"time.0": "temb.dense.0", "time.2": "temb.dense.1", "first": "conv_in", "norm": "norm_out", "last": "conv_out"},
    **{"down.0": "down.0.block.0", "down.1.conv": "down.0.downsample.conv", "down.2": "down.1.block.0"},
    **{"middle.0": "mid.block_1", "middle.1": "mid.block_2"},
    **{"up.0": "up.1.block.0", "up.1": "up.1.block.1", "up.2.conv": "up.1.upsample.conv"},
    **{"up.3": "up.0.block.0", "up.4": "up.0.block.1"},
}
INSIDE = {
    **{"norm_1": "norm1", "conv_1": "conv1", "time": "temb_proj", "norm_2": "norm2", "conv_2": "conv2"},
    "skip": "nin_shortcut",
}


def in_the_port(network):
    """Its weights under the port's names."""
    found = {}
    for name, weight in network.state_dict().items():
        part, _, kind = name.rpartition(".")
        if ".block." in part:
            place, inside = part.split(".block.")
            theirs = f"{PORT[place]}.{INSIDE[inside]}"
        elif ".attention." in part:
            place, inside = part.split(".attention.")
            block = "mid.attn_1" if place == "middle.0" else PORT[place].replace("block", "attn")
            theirs = f"{block}.{ {'norm': 'norm', 'query': 'q', 'key': 'k', 'value': 'v', 'out': 'proj_out'}[inside] }"
        else:
            theirs = PORT[part]
        found[f"{theirs}.{kind}"] = weight.clone()
    return found


def test_the_port(tmp_path, ddpm):
    """A whole file of a training: what was trained, the optimiser, and the average at the end."""
    network = random_network(UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,)))
    average = {f"module.{name}": weight for name, weight in in_the_port(network).items()}
    raw = {name: weight + 1 for name, weight in average.items()}
    moments = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 2e-4}]}
    torch.save([raw, moments, 5, 790_000, average], tmp_path / "model.ckpt")
    foreign = read(tmp_path / "model.ckpt", Told(resolution=(32,)))
    for name, weight in network.state_dict().items():
        assert torch.equal(foreign.ema[name], weight)
        assert torch.equal(foreign.raw[name], weight + 1)
    assert foreign.experiment.model == UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,))
    with pytest.raises(UsageError, match="how large its images are"):
        read(tmp_path / "model.ckpt")
    said = ddpm("import", tmp_path / "model.ckpt", tmp_path / "run", "--resolution", 16)
    assert said.code == 0, said.err
    assert face.load(tmp_path / "run").shape == (3, 16, 16)


OPENAI = UNetShape(
    channels=64,
    multipliers=(1, 2),
    blocks=1,
    attention=(1,),
    dropout=0.0,
    classes=3,
    head_channels=32,
    scale_shift=True,
    padding="around",
    norm_eps=1e-5,
    cosines_first=True,
    freq_shift=0,
)
PLACES = {
    **{"time.0": "time_embed.0", "time.2": "time_embed.2", "label": "label_emb", "first": "input_blocks.0.0"},
    **{"norm": "out.0", "last": "out.2", "down.0": "input_blocks.1", "down.1.conv": "input_blocks.2.0.op"},
    **{"down.2": "input_blocks.3", "middle.0": "middle_block", "middle.1": "middle_block"},
    **{"up.0": "output_blocks.0", "up.1": "output_blocks.1", "up.2.conv": "output_blocks.1.2.conv"},
    **{"up.3": "output_blocks.2", "up.4": "output_blocks.3"},
}
LAYERS = {
    **{"norm_1": "in_layers.0", "conv_1": "in_layers.2", "time": "emb_layers.1"},
    **{"norm_2": "out_layers.0", "conv_2": "out_layers.3", "skip": "skip_connection"},
}


def in_openai(network, heads, *, new_order):
    """Its weights under OpenAI's names, with query, key and value in one; for each of so many heads in the legacy order."""
    state, found = network.state_dict(), {}
    for name, weight in state.items():
        part, _, kind = name.rpartition(".")
        if ".block." in part:
            place, inside = part.split(".block.")
            found[f"{PLACES[place]}.{2 if place == 'middle.1' else 0}.{LAYERS[inside]}.{kind}"] = weight
        elif part.endswith(".query"):
            head = part.removesuffix(".query")
            three = [state[f"{head}.{each}.{kind}"].flatten(1) if kind == "weight" else state[f"{head}.{each}.{kind}"][:, None] for each in ("query", "key", "value")]  # fmt: skip  # noqa: E501
            rows = three if new_order else [rows for group in zip(*(one.chunk(heads(len(one))) for one in three), strict=True) for rows in group]  # fmt: skip  # noqa: E501
            joined = torch.cat(rows)
            place = PLACES[head.split(".attention")[0]]
            found[f"{place}.1.qkv.{kind}"] = joined[..., None] if kind == "weight" else joined[:, 0]
        elif part.endswith((".norm", ".out")) and ".attention." in part:
            place, inside = part.split(".attention.")
            theirs = "proj_out" if inside == "out" else "norm"
            found[f"{PLACES[place]}.1.{theirs}.{kind}"] = weight.flatten(1)[..., None] if weight.ndim == 4 else weight
        elif ".attention." not in part:
            found[f"{PLACES[part]}.{kind}"] = weight
    return {name: weight.clone() for name, weight in found.items()}


FLAGS = (
    "--image_size 64 --num_channels 64 --channel_mult 1,2 --num_res_blocks 1 --attention_resolutions 32 --class_cond True "
    "--num_head_channels 32 --learn_sigma True --diffusion_steps 4000 --noise_schedule cosine --lr 1e-4"
)


@pytest.mark.parametrize("new_order", [False, True])
def test_openai(tmp_path, new_order):
    """Both orders of query, key and value; T = 4000, of which the network is told 1000 numbers."""
    network = random_network(OPENAI, 6)
    torch.save(in_openai(network, OPENAI.heads_of, new_order=new_order), tmp_path / "ema.pt")
    foreign = read(tmp_path / "ema.pt", Told(flags=f"{FLAGS} --use_new_attention_order {new_order}"))
    for name, weight in network.state_dict().items():
        assert torch.equal(foreign.ema[name], weight), name
    assert foreign.experiment.model == OPENAI
    schedule = foreign.experiment.schedule.build(256)
    assert schedule.timestep_map[[1, 2, 4000]].tolist() == [0, 0.25, 999.75]
    assert foreign.experiment.process.variance == "learned"
    other = read(tmp_path / "ema.pt", Told(flags=f"{FLAGS} --use_new_attention_order {not new_order}"))
    assert any(not torch.equal(other.ema[name], weight) for name, weight in foreign.ema.items())


@pytest.mark.parametrize(
    ("flags", "kind", "said"),
    [
        (None, UsageError, "how many heads"),
        ("--num_heads", UsageError, "are pairs such as"),
        ("--colour red", UsageError, "--colour"),
        (f"{FLAGS} --noise_schedule sqrt", UsageError, "--noise_schedule sqrt"),
        (f"{FLAGS} --learn_sigma perhaps", UsageError, "True or False"),
        (f"{FLAGS} --num_channels many", DataError, "no network of this shape"),
        (f"{FLAGS} --num_channels 100000", DataError, "asks for"),
        (f"{FLAGS} --num_res_blocks 2", Mismatch, "such as"),
        (f"{FLAGS} --num_head_channels 7", Failure, "heads of 7 channels"),
        (f"{FLAGS} --attention_resolutions 0", DataError, "no network of this shape"),
    ],
)
def test_flags_that_are_wrong(tmp_path, flags, kind, said):
    torch.save(in_openai(random_network(OPENAI, 6), OPENAI.heads_of, new_order=False), tmp_path / "ema.pt")
    with pytest.raises(kind, match=said):
        read(tmp_path / "ema.pt", Told(flags=flags))


def test_openai_from_the_command(ddpm, tmp_path):
    torch.save(in_openai(random_network(OPENAI, 6), OPENAI.heads_of, new_order=False), tmp_path / "ema.pt")
    said = ddpm("import", tmp_path / "ema.pt", tmp_path / "run")
    assert said.code == 2
    assert "--flags" in said.err
    said = ddpm("import", tmp_path / "ema.pt", tmp_path / "run", f"--flags={FLAGS}", "--json", "-")
    assert said.code == 0, said.err
    assert json.loads(said.out)["found"]["timesteps"] == "the network is told 0.25 (t - 1) at t = 1..T"
    assert face.load(tmp_path / "run").shape == (3, 64, 64)


def test_a_network_is_told_real_numbers():
    """At every step, for one t and for a batch of them; the steps are found again from what is told."""
    from ddpm.experiment.config import ScheduleConfig

    schedule = ScheduleConfig("linear", 40, timestep_scale=0.25).build(256)
    told = []
    p = face.ReverseProcess(lambda x, timestep: told.append(timestep) or torch.zeros_like(x), schedule)
    x = torch.randn(3, 1, 4, 4)
    p(x, 7)
    p(x, torch.tensor([1, 7, 40]))
    assert told[0].tolist() == [1.5] * 3
    assert told[1].tolist() == [0, 1.5, 9.75]
    assert schedule.step_of(told[1]).tolist() == [1, 7, 40]
    with pytest.raises(ValueError, match="no step"):
        schedule.step_of(torch.tensor([1.6]))
    assert schedule.respace([4, 40]).timestep_map.tolist() == [0, 0.75, 9.75]


def test_what_was_found_is_said_in_korean(ddpm, tmp_path):
    """Labels and sentences, in columns; names and numbers are as they are."""
    torch.save(in_openai(random_network(OPENAI, 6), OPENAI.heads_of, new_order=False), tmp_path / "ema.pt")
    torch.save(
        in_the_port(random_network(UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,)))),
        tmp_path / "port.ckpt",
    )
    ways = {"ema.pt": f"--flags={FLAGS}", "port.ckpt": "--resolution=32"}
    try:
        said = {
            name: ddpm("import", tmp_path / name, tmp_path / name[:3], flag, "--language", "ko")
            for name, flag in ways.items()
        }
    finally:
        SPEECH.begin("en")
    for one in said.values():
        *rows, last = one.out.splitlines()
        labels, values = zip(*(re.split("  +", row) for row in rows), strict=True)
        assert last.startswith("run: ")
        assert not [label for label in labels if label != "attention" and not re.search("[가-힣]", label)]
        assert not [value for value in values if re.search(r"\b(the|are|each|saved|heads|levels|none)\b", value)]
        assert len({columns(row[: len(row) - len(value)]) for row, value in zip(rows, values, strict=True)}) == 1
    assert "채널이 32개씩인 헤드" in said["ema.pt"].out
