"""Trains the small classifiers whose features are shipped: `python -m benchmarks.train_features digits|colour DATA [--minutes M]`.

DATA of `digits` is a folder of MNIST; a twelfth of each batch are the embedded digits of UCI, enlarged. DATA of `colour` is
CIFAR-10 as any source; its last 2,000 images are held out where it has no test part. One core; the rate of learning follows its
clock, which counts computing and no waiting. Weights are written in half precision into the package, the accuracy on images that
were not trained on to benchmarks/results/features_NAME.json.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.machine import save
from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import NotFound
from ddpm.evaluation.images.features import small
from ddpm.evaluation.images.features.extractor import as_bytes
from ddpm.seeds import generator
from ddpm.storage import tensorfile

BATCH, RATE, DECAY, SMOOTH, SHIFT, HELD_OUT = 128, 0.2, 5e-4, 0.1, {"digits": 2, "colour": 4}, 2000


def parts(data: str) -> tuple[ImageSet, ImageSet]:
    """To train on, and held out: the test set, or the last ones of a source that has none."""
    whole = open_source(data, "all")
    try:
        train = open_source(data, "train")
        if len(whole) - len(train) >= HELD_OUT and not train.names:
            return train, open_source(data, "test")
    except NotFound:
        pass
    rows = torch.arange(len(whole))
    return whole.take(rows[:-HELD_OUT]), whole.take(rows[-HELD_OUT:])


def tensors(images: ImageSet, shape: small.SmallShape) -> tuple[Tensor, Tensor]:
    """As the network sees them, and their labels."""
    return small.seen(as_bytes(images.tensor(), images.levels), shape), images.labels


def varied(x: Tensor, shift: int, mirrored: bool, random: torch.Generator) -> Tensor:  # noqa: FBT001
    """Moved by up to `shift` pixels, all by as much in a group of 16; and each mirrored with probability 1/2."""
    if mirrored:
        x = torch.where((torch.rand(len(x), generator=random) < 0.5).reshape(-1, 1, 1, 1), x.flip(-1), x)
    side, padded = x.shape[-1], F.pad(x, [shift] * 4, value=-1.0 if not mirrored else 0.0)
    groups = []
    for group in padded.split(16):
        top, left = torch.randint(0, 2 * shift + 1, (2,), generator=random).tolist()
        groups.append(group[:, :, top : top + side, left : left + side])
    return torch.cat(groups)


def accuracy(network: small.Small, x: Tensor, labels: Tensor) -> float:
    """On images that were not trained on."""
    network.eval()
    with torch.no_grad():
        right = sum(
            int((network(a)[1].argmax(1) == b).sum()) for a, b in zip(x.split(500), labels.split(500), strict=True)
        )
    return right / len(x)


def train(name: str, x: Tensor, labels: Tensor, more: tuple[Tensor, Tensor] | None, minutes: float) -> small.Small:
    """SGD with momentum; the rate rises for a tenth of the time and falls as a cosine."""
    torch.manual_seed(0)
    random = generator(0, "features", name)
    network = small.Small(small.SHAPES[name]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), RATE, 0.9, nesterov=True, weight_decay=DECAY)
    began, step = time.process_time(), 0
    while (done := (time.process_time() - began) / (60 * minutes)) < 1:
        order = torch.randperm(len(x), generator=random)
        for rows in order[: len(x) // BATCH * BATCH].split(BATCH):
            done = min((time.process_time() - began) / (60 * minutes), 1)
            optimizer.param_groups[0]["lr"] = RATE * min(done / 0.1, (1 + math.cos(math.pi * done)) / 2)
            a, b = x[rows], labels[rows]
            if more is not None:
                few = torch.randint(0, len(more[0]), (BATCH // 12,), generator=random)
                a, b = torch.cat([a, more[0][few]]), torch.cat([b, more[1][few]])
            network.train()
            _, logits = network(varied(a, SHIFT[name], name == "colour", random).to(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, b, label_smoothing=SMOOTH)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if done >= 1:
                break
            if step % 200 == 0:
                print(f"{step} steps, {100 * done:.0f} %, loss {float(loss):.3f}", flush=True)
    print(f"{step} steps of {BATCH} images", flush=True)
    return network


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=list(small.SHAPES))
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    shape = small.SHAPES[options.name]
    to_train, held_out = parts(options.data)
    more = tensors(open_source("digits", "train"), shape) if options.name == "digits" else None
    network = train(options.name, *tensors(to_train, shape), more, options.minutes)
    half = {key: value.half().contiguous() for key, value in network.state_dict().items() if value.is_floating_point()}
    network.load_state_dict({key: value.float() for key, value in half.items()}, strict=False)
    result = {"trained_on": len(to_train), "held_out": len(held_out), "minutes": options.minutes}
    result["accuracy"] = accuracy(network, *tensors(held_out, shape))
    if more is not None:
        result["accuracy_digits"] = accuracy(network, *tensors(open_source("digits", "test"), shape))
    print(result, save(f"features_{options.name}", result))  # before the weights change the sources
    path = Path(small.__file__).with_name(f"{options.name}.safetensors")
    path.write_bytes(b"".join(bytes(data) for _, data in tensorfile.written(half)))


if __name__ == "__main__":
    main()
