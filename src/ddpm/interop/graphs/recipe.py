"""Draw images with this folder alone: Algorithm 2 of Ho, Jain, Abbeel 2020, by numpy and onnxruntime (or torch).

python sample.py 16        draws 16 images into samples.npy: (16, height, width, channels), whole numbers 0..levels-1
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray
Network = Callable[..., Array]


def opened(folder: Path) -> Network:
    """The network: (x_t (n, C, H, W) float32, timestep (n,) float32[, label (n,) int64]) -> output, all of numpy."""
    if (folder / "network.onnx").is_file():
        import onnxruntime  # noqa: PLC0415

        session = onnxruntime.InferenceSession(folder / "network.onnx", providers=onnxruntime.get_available_providers())
        names = [entry.name for entry in session.get_inputs()]
        return lambda *inputs: np.asarray(session.run(None, dict(zip(names, inputs, strict=True)))[0])
    import torch  # noqa: PLC0415

    network = torch.export.load(folder / "network.pt2").module()
    return lambda *inputs: network(*map(torch.from_numpy, inputs)).detach().numpy()


def draw(network: Network, told: dict[str, Any], noise: Callable[[tuple[int, ...]], Array], labels: Array) -> Array:
    """x_0 of as many images as there are labels, (n, C, H, W) in [-1, 1]; a label of -1 is no class."""
    table = {name: np.array(values, np.float64) for name, values in told["tables"].items()}  # index t = 1..T
    x = noise((len(labels), *told["shape"])).astype(np.float32)
    for t in range(told["T"], 0, -1):
        timestep = np.full(len(x), table["timestep"][t], np.float32)
        output = network(x, timestep, *([labels] if told["classes"] else []))
        log_variance = table["log_variance"][t]
        if told["variance"] == "learned":  # the second half of the channels says where between two variances
            output, v = np.split(output, 2, axis=1)
            log_variance = (v + 1) / 2 * table["log_variance_large"][t] + (1 - v) / 2 * log_variance
        x_0 = table["x_0_of_x_t"][t] * x + table["x_0_of_output"][t] * output
        x_0 = np.clip(x_0, -1, 1) if told["limit"] == "unit-clamp" else x_0
        x = table["posterior_x_0"][t] * x_0 + table["posterior_x_t"][t] * x  # Eq. 7
        if t > 1:
            x = x + np.exp(log_variance / 2) * noise(x.shape)
        x = x.astype(np.float32)
    return x


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    told = json.loads((here / "schedule.json").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="Draw COUNT images (16) with this folder alone, into samples.npy.")
    parser.add_argument("count", nargs="?", type=int, default=16, metavar="COUNT")
    count, classes = parser.parse_args().count, len(told["classes"])
    if count < 1:
        parser.error(f"at least 1 image is drawn, not {count}")
    labels = np.arange(count, dtype=np.int64) % classes if classes else np.full(count, -1)
    drawn = draw(opened(here), told, np.random.default_rng(0).standard_normal, labels)
    whole = np.round((np.clip(drawn, -1, 1) + 1) / 2 * (told["levels"] - 1))
    images = np.moveaxis(whole, 1, 3).astype(np.uint8 if told["levels"] <= 256 else np.uint16)
    np.save("samples.npy", images)
    sys.stdout.write(f"samples.npy: {images.shape} (images, height, width, channels), 0..{told['levels'] - 1}\n")
