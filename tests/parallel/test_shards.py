"""A network in shards (FSDP): the same training, checkpoints and samples as with whole ones, whoever goes on."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from ddpm.checkpoints import Checkpoint
from ddpm.checkpoints.background import gathered
from ddpm.cli.parser import parse
from ddpm.cli.train import experiment_of
from ddpm.parallel.world import World, full, meant_for
from ddpm.run.folder import RunFolder
from ddpm.run.start import Fresh
from ddpm.run.train import train_run
from tests.harness.commands import TINY
from tests.harness.zygote import Strike, free_port
from tests.parallel.test_processes import DROPPING, _rows, _run, _tensors, require_near

UNEVEN = ["--batch-size", 7, "--set", "training.accumulate=3", "--set", "training.decay=constant"]
"""Two processes have three rows and four, which must be cut into as many parts: all take part in each."""
SHARDS = ["--set", "parallel=fsdp"]
SMALL = ["--set", "model.multipliers=1", "--set", "model.attention=[]"]
AVERAGES = ["--set", "training.more_ema_decays=0.9,0.5"]


def _train(folder, steps, *more):
    return ["train", "--output-dir", folder, *DROPPING, *UNEVEN, "--steps", steps, "--set", "rhythm.log=1", *more]


def _alike(folder, other, step):
    """Losses and bounds agree to rounding, step by step; so do all tensors, of the same names and files."""
    one, two = _rows(folder), _rows(other)
    assert [row["step"] for row in one] == [row["step"] for row in two] == list(range(1, step + 1))
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-4)
    assert two[-1]["bits_per_dim"] == pytest.approx(one[-1]["bits_per_dim"], rel=1e-4)
    ours, theirs = _tensors(folder, step, 5), _tensors(other, step, 5)
    assert list(ours) == list(theirs)
    for name, tensor in ours.items():
        require_near(theirs[name], tensor, name)


def _layout(folder, step):
    """Files with their sizes, and what a checkpoint says of itself besides digests and measured times."""
    saved = folder / "checkpoints" / f"step-{step:09d}"
    state = json.loads((saved / "state.json").read_text())
    manifest = json.loads((saved / "manifest.json").read_text())
    tensors = {group: list(named) for group, named in manifest["tensors"].items()}
    headers = {file.name: _header(file) for file in sorted(saved.glob("*.safetensors"))}
    return headers, tensors, list(state), state["step"], state["adam_step"], state["scaler"], state["images"]


def _header(file):
    data = file.read_bytes()
    return data[: 8 + int.from_bytes(data[:8], "little")], len(data)


@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_shards_are_the_same_training(forked, tmp_path, ddpm, optimizer):
    """Two processes in shards and one: the same losses, and the same checkpoint, which samples."""
    chosen = (*AVERAGES, *SMALL, "--set", f"training.optimizer={optimizer}")
    asked = parse([str(argument) for argument in _train("unused", 2, *chosen)])
    list(train_run(experiment_of(asked), RunFolder(tmp_path / "one"), torch.device("cpu"), Fresh(), lambda: False))
    said = _run(forked, 2, *_train(tmp_path / "two", 2, *chosen, *SHARDS))
    assert "3.5 images each, the network in shards" in said[0]
    _alike(tmp_path / "one", tmp_path / "two", 2)
    assert _layout(tmp_path / "two", 2) == _layout(tmp_path / "one", 2)
    drawn = ("--num-images", 1, "--steps", 2, "--output-dir", tmp_path / "drawn", "--weights", "ema-0.5")
    assert ddpm("sample", tmp_path / "two", *drawn).code == 0


@pytest.mark.parametrize(
    ("setting", "named"),
    [("compile=true", "compile"), ("precision=fp16", "fp16"), ("schedule.name=learned", "learned")],
)
def test_what_shards_do_not_go_with(tmp_path, ddpm, setting, named):
    learned = ("--variance", "fixed-large", "--objective", "variational") if named == "learned" else ()
    said = ddpm("train", "--output-dir", tmp_path / "run", *TINY[:-2], *learned, *SHARDS, "--set", setting)
    assert (said.code, said.out) == (2, "")
    assert f"does not go with {'a ' * (named == 'learned')}{named}" in said.err
    assert not (tmp_path / "run").exists()


def test_an_unknown_way_to_share(tmp_path, ddpm):
    said = ddpm("train", "--output-dir", tmp_path / "run", *TINY, "--set", "parallel=zero")
    assert said.code == 2
    assert "choose from ddp, fsdp" in said.err


def test_only_the_first_process_keeps_the_whole():
    """Gathering is for all, the host's memory of the others stays free; a whole tensor is its own part."""
    content = Checkpoint({"model": {"a": torch.ones(3)}}, {"step": 1})
    assert torch.equal(gathered(content, World(0, 2)).tensors["model"]["a"], torch.ones(3))
    assert gathered(content, World(1, 2)).tensors == {"model": {}}
    assert full(content.tensors["model"]["a"]) is content.tensors["model"]["a"]
    assert torch.equal(meant_for(torch.zeros(3), torch.ones(3)), torch.ones(3))


PARTS = """
import json, sys
import torch
from ddpm.cli.parser import parse
from ddpm.cli.train import experiment_of
from ddpm.run.session import new_state
from ddpm.data.open import open_source
from ddpm.parallel.world import connected, full, is_shard, joined
from ddpm import checkpoints

asked = experiment_of(parse(sys.argv[1:]))
experiment = asked.for_data(open_source("digits", "train", asked.data.options()))
with joined() as world, connected(world, torch.device("cpu")):
    state = new_state(experiment, torch.device("cpu"), world)
    for parameter in state.network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    found = {}
    for group, named in checkpoints.pack(state).tensors.items():
        parts = [tensor.to_local() if is_shard(tensor) else tensor for tensor in named.values()]
        here = sum(part.untyped_storage().nbytes() for part in parts)
        found[group] = [here, sum(4 * full(tensor).numel() for tensor in named.values())]
    print(json.dumps(found))
"""


@pytest.mark.long
def test_each_process_has_its_part():
    """Of weights, averages and moments: in memory, half of the bytes where there are two."""
    port, ranks = str(free_port()), []
    for rank in ("0", "1"):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        command = [sys.executable, "-c", PARTS, *map(str, _train("unused", 1, *AVERAGES, *SHARDS))]
        ranks.append(subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True))
    for said in [json.loads(process.communicate(timeout=120)[0]) for process in ranks]:
        assert sorted(said) == ["ema", "ema-0.5", "ema-0.9", "model", "optimizer"]
        for here, whole in said.values():
            assert 0.4 * whole < here < 0.6 * whole


@pytest.mark.long
def test_shards_copies_and_one_process_in_turn(forked, tmp_path):
    """Whoever began it: 2 in shards, 1, 2 with copies, 2 in shards again, 3 in shards; as one process throughout."""
    _run(forked, 1, *_train(tmp_path / "one", 10, *AVERAGES))
    for processes, steps, how in ((2, 2, SHARDS), (1, 4, ()), (2, 6, ()), (2, 8, SHARDS), (3, 10, SHARDS)):
        _run(forked, processes, *_train(tmp_path / "turns", steps, *AVERAGES, *how))
    _alike(tmp_path / "one", tmp_path / "turns", 10)
    assert _layout(tmp_path / "turns", 10) == _layout(tmp_path / "one", 10)


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_going_on_in_shards_is_exact(forked, tmp_path, precision):
    """4 steps = 2 + 2, to the bit, with dropout, flips, uneven parts and three averages."""
    how = (*AVERAGES, *SHARDS, "--precision", precision)
    _run(forked, 2, *_train(tmp_path / "whole", 4, *how))
    for steps in (2, 4):
        _run(forked, 2, *_train(tmp_path / "part", steps, *how))
    whole, part = _tensors(tmp_path / "whole", 4, 5), _tensors(tmp_path / "part", 4, 5)
    assert all(torch.equal(part[name], tensor) for name, tensor in whole.items())
    kept = [[(row["loss"], row["grad_norm"]) for row in _rows(tmp_path / name)] for name in ("whole", "part")]
    assert kept[0] == kept[1]


@pytest.mark.long
@pytest.mark.parametrize("asked", [0, 1])
def test_a_signal_stops_all_shards(forked, tmp_path, asked):
    """At the same step, saved, and one process goes on."""
    folder, rest = tmp_path / "run", ("--set", "rhythm.save=1000", "--set", "rhythm.evaluate=0")
    asking = Strike("network", 9, signal.SIGTERM, asked)
    ended = forked.run(*_train(folder, 1000, *rest, *AVERAGES, *SHARDS), ranks=2, strikes=[asking])
    assert ended.codes == [75, 75], ended.said
    (saved,) = (folder / "checkpoints").iterdir()
    step = int(saved.name.removeprefix("step-"))
    _run(forked, 1, *_train(folder, step + 1, *rest, *AVERAGES))
    assert _rows(folder)[-1]["step"] == step + 1


@pytest.mark.long
def test_shards_diverge_together(forked, tmp_path):
    """Steps that are not finite are skipped by all, and end the run in all; no checkpoint holds what is not finite."""
    ended = forked.run(*_train(tmp_path / "two", 40, *AVERAGES, *SHARDS, "--lr", "1e30"), ranks=2)
    assert ended.codes == [80, 80], ended.said
    ended = forked.run(*_train(tmp_path / "one", 40, *AVERAGES, "--lr", "1e30"))
    assert ended.codes == [80], ended.said
    kept = [sorted(path.name for path in (tmp_path / run / "checkpoints").iterdir()) for run in ("one", "two")]
    assert kept[0] == kept[1]
