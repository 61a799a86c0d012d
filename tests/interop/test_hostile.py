"""Files from anybody: nothing in them is run, and no more memory is taken than they have."""

import io
import json
import os
import pickle
import tracemalloc
import zipfile

import pytest
import torch

from ddpm import interop
from ddpm.errors import DataError, Failure, Mismatch, NotFound, UsageError
from ddpm.interop.diffusers import network
from ddpm.interop.files import weights_in

CONFIG = {
    **network.DEFAULTS,
    "_class_name": "UNet2DModel",
    "sample_size": 8,
    "block_out_channels": [8],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "norm_num_groups": 4,
    "layers_per_block": 1,
}


def folder_of(path, config=CONFIG, weights=None):
    """A flat folder; `weights` are the bytes of its .bin."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    if weights is not None:
        (path / "diffusion_pytorch_model.bin").write_bytes(weights)
    return path


def saved(held, **how):
    """What torch.save writes."""
    file = io.BytesIO()
    torch.save(held, file, **how)
    return file.getvalue()


def archive(pickled, *, packed=False):
    """A torch file with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/version", "3\n")
    return file.getvalue()


class Payload:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def _nested(levels):
    """Levels of twelve keys, all of the same dict below: 12^8 entries in a few KB."""
    held = {"a": torch.zeros(1)}
    for _ in range(levels):
        held = {f"{key}": held for key in range(12)}
    return held


def _deep(levels):
    held = torch.zeros(1)
    for _ in range(levels):
        held = [held]
    return held


HUGE = saved({"a": torch.zeros(1).expand(10**6, 10**6)})


def hostile(tmp_path):
    """Name, bytes of a .bin file, and what is said of it."""
    mark = tmp_path / "run-by-the-file"
    payload = pickle.dumps({"a": Payload(mark)}, protocol=2)
    return {
        "a payload": (archive(payload), "which is no tensor|no tensor; nothing was run"),
        "a payload by another opcode": (archive(pickle.dumps({"a": Payload(mark)}, protocol=4)), "nothing was run"),
        "a payload beside the archive": (payload, "header|pickle"),
        "a packed archive": (archive(b"\x80\x02}q\x00." + b" " * 10**6, packed=True), "packed"),
        "one dict many times in itself": (saved(_nested(8)), "entries"),
        "dicts deep in each other": (saved(_deep(200)), "deep"),
        "huge by its strides": (HUGE, "larger than the file"),
        "an old pickle": (saved({"a": torch.zeros(2)}, _use_new_zipfile_serialization=False), "before version 1.6"),
        "no pickle": (archive(b""), "pickle"),
        "cut": (saved({"a": torch.zeros(100)})[:300], "archive"),
        "empty": (b"", "0 bytes"),
    }


@pytest.mark.parametrize("kind", hostile(__import__("pathlib").Path("/tmp")))
def test_hostile_weights(tmp_path, kind):
    data, said = hostile(tmp_path)[kind]
    path = folder_of(tmp_path / "model", weights=data)
    tracemalloc.start()
    with pytest.raises(DataError, match=said):
        interop.read(path)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not (tmp_path / "run-by-the-file").exists()
    assert taken < len(data) * 3 + 2**26


def test_the_payload_is_one(tmp_path):
    """Unpickled without care it would have run: the test above can fail."""
    data, _ = hostile(tmp_path)["a payload"]
    torch.load(io.BytesIO(data), weights_only=False)
    assert (tmp_path / "run-by-the-file").exists()


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


def test_no_weight_is_passed_over(tmp_path):
    """One too many, one too few, one of another shape: each is named."""
    path = folder_of(tmp_path / "model")
    shape = network.shape_of(CONFIG)
    from ddpm.models.unet import UNet

    ours = dict(UNet(shape).named_parameters())
    names = network.layout(shape).names(shape, ours)
    whole = {names[name]: weight.detach() for name, weight in ours.items()}
    file = path / "diffusion_pytorch_model.bin"
    file.write_bytes(saved(whole))
    assert interop.read(path).facts["network"].endswith("each matched by name and shape")
    for changed, said in (
        ({**whole, "more.weight": torch.zeros(1)}, "more.weight"),
        ({name: weight for name, weight in whole.items() if name != "conv_in.bias"}, "conv_in.bias"),
        ({**whole, "conv_in.bias": torch.zeros(9)}, r"conv_in.bias has the shape \(9,\)"),
    ):
        file.write_bytes(saved(changed))
        with pytest.raises(Mismatch, match=said):
            interop.read(path)


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
    path = folder_of(tmp_path / "model", weights=hostile(tmp_path)["a payload"][0])
    said = ddpm("import", path, tmp_path / "run")
    assert said.code == 65
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
    said = ddpm("import", tmp_path, tmp_path / "run")
    assert said.code == 2
    assert "no model of a format that is known" in said.err


def test_safetensors_are_read_too(tmp_path):
    with pytest.raises(DataError, match="damaged weights"):
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
