"""Files from anybody: nothing in them is run, and no more memory is taken than they have."""

import io
import json
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
import torch

from ddpm import interop
from ddpm.errors import DataError, Failure, Mismatch, NotFound, UsageError
from ddpm.interop import Told
from ddpm.interop.diffusers import network
from ddpm.interop.files import weights_in
from tests.harness.hostile import BINS, CODES, CONFIG, KINDS, LARGEST, folder_of, made, saved, size_of


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_models(tmp_path, kind):
    """Refused with a code, and at once: the time of each is in benchmarks/results/hostile.json, below a second; here it is ten."""
    path, said = made(tmp_path, kind)
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(Failure, match=said) as caught:
        interop.read(path, Told((8,)))
    seconds, taken = time.process_time() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == CODES.get(kind, 65)
    assert len(str(caught.value)) < 2000
    assert not (tmp_path / "run-by-the-file").exists()
    assert seconds < 10
    assert taken < size_of(path) + 2**26


def test_the_payload_is_one(tmp_path):
    """Unpickled without care it would have run: the test above can fail."""
    torch.load(io.BytesIO(BINS["a payload"](tmp_path / "run-by-the-file")[0]), weights_only=False)
    assert (tmp_path / "run-by-the-file").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is in /proc")
def test_the_memory_of_a_process(tmp_path):
    """That torch takes is not Python's to count: the peak of a process rises by the size of the file and 64 MB at most."""
    program = (
        "import json, sys, pathlib, torch; torch.set_num_threads(1)\n"
        "from benchmarks.hostile import measured; from ddpm.interop import files; from tests.harness import hostile\n"
        "place = pathlib.Path(sys.argv[1]); good = place / 'good.bin'\n"
        "good.write_bytes(hostile.saved({'a': torch.zeros(3)})); files.weights_in(good)\n"
        "paths = [hostile.made(place / str(number), kind)[0] for number, kind in enumerate(hostile.LARGEST)]\n"
        "print(json.dumps([(measured(path)['MB'], hostile.size_of(path) / 1e6) for path in paths]))"
    )
    said = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    assert len(found) == len(LARGEST)
    for kind, (risen, size) in zip(LARGEST, found, strict=True):
        assert risen < size + 64, kind


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"block_out_channels": [10**9]}, DataError, "asks for"),
        ({"layers_per_block": 10**9}, DataError, "asks for"),
        ({"block_out_channels": ["8"]}, Failure, "."),
        ({"block_out_channels": []}, DataError, "as many blocks"),
        ({"norm_num_groups": None}, Failure, "."),
        ({"sample_size": None}, UsageError, "sample_size"),
        ({"sample_size": -3}, DataError, "sides -3"),
        ({"in_channels": 10**12}, Failure, "."),
        ({"time_embedding_type": "fourier"}, UsageError, "time_embedding_type = 'fourier'"),
        ({"time_embedding_type": "learned"}, UsageError, "time_embedding_type = 'learned'"),
        ({"down_block_types": ["SkipDownBlock2D"]}, UsageError, "SkipDownBlock2D"),
        ({"act_fn": "mish"}, UsageError, "act_fn = 'mish'"),
        ({"class_embed_type": "timestep"}, UsageError, "class_embed_type"),
        ({"attention_head_dim": 3}, Failure, "heads of 3 channels"),
        ({"block_out_channels": [0]}, DataError, "damaged configuration"),
    ],
)
def test_hostile_and_foreign_configurations(tmp_path, change, kind, said):
    path = folder_of(tmp_path / "model", {**CONFIG, **change}, saved({"a": torch.zeros(3)}))
    with pytest.raises(kind, match=said):
        interop.read(path)


def whole_weights():
    """Those of the network of `CONFIG`."""
    from ddpm.models.unet import UNet

    shape = network.shape_of(CONFIG)
    ours = dict(UNet(shape).named_parameters())
    names = network.layout(shape).names(shape, ours)
    return {names[name]: weight.detach() for name, weight in ours.items()}


def test_no_weight_is_passed_over(tmp_path):
    """One too many, one too few, one of another shape: each is named."""
    path = folder_of(tmp_path / "model")
    whole = whole_weights()
    file = path / "diffusion_pytorch_model.bin"
    file.write_bytes(saved(whole))
    assert interop.read(path).facts["network"].endswith("each matched by name and shape")
    for changed, said in (
        ({**whole, "more.weight": torch.zeros(1)}, "more.weight"),
        ({name: weight for name, weight in whole.items() if name != "conv_in.bias"}, "conv_in.bias"),
        ({**whole, "conv_in.bias": torch.zeros(9)}, r"conv_in.bias has the shape \(9,\)"),
        ({**whole, "conv_in.bias": torch.zeros(8, dtype=torch.int8)}, r"conv_in.bias holds whole numbers \(int8\)"),
    ):
        file.write_bytes(saved(changed))
        with pytest.raises(Mismatch, match=said):
            interop.read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_weights_that_are_not_finite(ddpm, tmp_path, value):
    """Named before anything is written: a run was left half written, and the hint was of a training."""
    weights = {name: weight.double() for name, weight in whole_weights().items()}
    weights["conv_in.bias"][1] = value
    folder = folder_of(tmp_path / "nan", weights=saved(weights))
    said = ddpm("import", folder, tmp_path / "run")
    assert (said.code, said.err.count("\n"), (tmp_path / "run").exists()) == (65, 1, False)
    assert "not finite in float32: conv_in.bias: " in said.err
    weights["conv_in.bias"][1] = 0
    assert ddpm("import", folder_of(tmp_path / "well", weights=saved(weights)), tmp_path / "run").code == 0


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel is not read, as it draws what a text says: "),
        ({"_class_name": "AutoencoderKL"}, "AutoencoderKL is not read, as it draws nothing by itself"),
        (
            {"architectures": ["BertModel"], "model_type": "bert"},
            "BertModel is not read, but a UNet2DModel of pixels is: ",
        ),
        ({"a": 1}, "no model of a format that is known"),
    ],
)
def test_what_a_folder_holds_is_said(ddpm, tmp_path, config, said):
    for folder in (tmp_path, tmp_path / "pipeline" / "unet"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
    for folder in (tmp_path, tmp_path / "pipeline"):
        told = ddpm("import", folder, tmp_path / "run")
        assert (told.code, said in told.err, "hint: known are" in told.err) == (2, True, True)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_what_a_file_holds_is_said(ddpm, tmp_path, trained):
    file = tmp_path / "weights.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(file))
    (tmp_path / "text.pt").write_text("model:\n  channels: 3\n")
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pt")
    for source, code, said in (
        (file, 65, f"no file of weights: {file}: it is a TorchScript program"),
        (tmp_path / "text.pt", 65, "text.pt: it is neither safetensors nor what torch.save writes"),
        (tmp_path / "other.pt", 2, "weights of no network that is known: 1 tensors, the first 'a.weight': "),
        (trained, 2, "this is a run already, and needs no import: "),
    ):
        told = ddpm("import", source, tmp_path / "run")
        assert (told.code, said in told.err, "damaged" in told.err) == (code, True, False), told.err
    torch.save(torch.nn.Linear(2, 2).state_dict(), file)
    assert set(weights_in(file)) == {"weight", "bias"}


def test_links(tmp_path):
    """None leads out of the folder, but the hub's own into its blobs."""
    outside = tmp_path / "secret.bin"
    outside.write_bytes(saved({"a": torch.zeros(3)}))
    path = folder_of(tmp_path / "model")
    (path / "diffusion_pytorch_model.bin").symlink_to(outside)
    with pytest.raises(DataError, match="leads out of its folder"):
        interop.read(path)
    hub = tmp_path / "models--a--b"
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots" / "abc").mkdir(parents=True)
    (hub / "blobs" / "0123").write_text(json.dumps(CONFIG))
    (hub / "snapshots" / "abc" / "config.json").symlink_to("../../blobs/0123")
    assert interop.recognised(hub / "snapshots" / "abc")
    with pytest.raises(NotFound, match="no weights"):
        interop.read(hub / "snapshots" / "abc")


def test_the_exit_code(ddpm, tmp_path):
    """65, in one line, and no run is left."""
    path, _ = made(tmp_path, "a payload")
    said = ddpm("import", path, tmp_path / "run")
    assert said.code == 65
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
    said = ddpm("import", tmp_path, tmp_path / "run")
    assert said.code == 2
    assert "no model of a format that is known" in said.err


def test_safetensors_are_read_too(tmp_path):
    with pytest.raises(DataError, match="no file of weights"):
        file = tmp_path / "x.safetensors"
        file.write_bytes((2**60).to_bytes(8, "little") + b"{}")
        weights_in(file)


@pytest.mark.parametrize(
    ("scheduler", "kind", "said"),
    [
        ({"beta_start": 0, "beta_end": 0}, UsageError, "no schedule"),
        ({"trained_betas": []}, DataError, "0 trained_betas"),
        ({"trained_betas": [0.1, 0.2]}, DataError, "2 trained_betas"),
        ({"num_train_timesteps": 1, "rescale_betas_zero_snr": True}, Failure, "."),
        ({"num_train_timesteps": 1000.7}, DataError, "num_train_timesteps"),
        ({"num_train_timesteps": True}, DataError, "num_train_timesteps"),
        ({"clip_sample": "no"}, DataError, "clip_sample"),
        ({"_class_name": "FooScheduler"}, UsageError, "FooScheduler is not supported"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler"}, UsageError, "not supported"),
        ({"prediction_type": "flow_prediction"}, UsageError, "prediction_type"),
        ({"variance_type": "learned"}, UsageError, "variance_type"),
        ({"thresholding": True}, UsageError, "thresholding"),
        ({"clip_sample_range": 2.0}, UsageError, "clip_sample_range"),
        ({"beta_schedule": "laplace"}, UsageError, "beta_schedule"),
    ],
)
def test_schedulers_that_we_do_not_know(tmp_path, scheduler, kind, said):
    path = folder_of(tmp_path / "model", weights=saved({"a": torch.zeros(3)}))
    (path / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(kind, match=said):
        interop.read(path)
