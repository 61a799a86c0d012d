"""Our metrics of images beside torch-fidelity's and torchmetrics', on the same features: `python -m benchmarks.metrics_agreement`.

Run it where both are installed beside ours: `pip install --no-deps torch-fidelity torchmetrics lightning-utilities`. They ask for
torchvision only by name, so a stub stands for it. Features are Gaussian, and heavy-tailed; Inception's graph has random weights.
Writes benchmarks/results/metrics_agreement.json.
"""
# ruff: noqa: PLC0415 (others are imported once the stub is there)

import importlib.machinery
import math
import sys
import types
from tempfile import NamedTemporaryFile

import torch
from torch import Tensor

from benchmarks.machine import save
from ddpm.evaluation.images import frechet, inception_score, kernel, neighbours
from ddpm.evaluation.images.features import inception
from ddpm.evaluation.images.moments import Moments


def stub() -> None:
    """What stands for torchvision: names that are imported and never used."""
    for name in ("", ".datasets", ".transforms", ".transforms.functional", ".models"):
        module = types.ModuleType(f"torchvision{name}")
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        module.__version__ = "0.25.0"
        module.__getattr__ = lambda held: type(held, (), {})
        sys.modules[module.__name__] = module
        parent, _, child = module.__name__.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def features(kind: str, count: int, dims: int, seed: int) -> Tensor:
    """Rows as a network makes them, float32: normal, or of a ReLU of products."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dims, generator=random) @ torch.randn(dims, dims, generator=torch.Generator().manual_seed(9))
    x = x / math.sqrt(dims) * (1 + 0.1 * (seed % 2))
    return (x + 0.2).relu() * x.abs() if kind == "heavy" else x


def by_fidelity(a: Tensor, b: Tensor, logits: Tensor) -> dict[str, float]:
    """torch-fidelity's numbers; it computes in the features' own precision, so these are given as float64."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    a, b, logits = a.double(), b.double(), logits.double()
    fid = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), verbose=False)
    size = min(len(a), len(b))
    kid = kid_features_to_metric(a[:size], b[:size], kid_subsets=1, kid_subset_size=size, verbose=False)
    isc = isc_features_to_metric(logits, splits=1, shuffle=False)
    prc = prc_features_to_metric(a, b, prc_neighborhood=3, verbose=False)
    return {
        "fid": fid["frechet_inception_distance"],
        "kid": kid["kernel_inception_distance_mean"],
        "is": isc["inception_score_mean"],
        "precision": prc["precision"],
        "recall": prc["recall"],
    }


def by_torchmetrics(a: Tensor, b: Tensor, logits: Tensor) -> dict[str, float]:
    """Torchmetrics' numbers; its features are a module that gives back what it is given."""
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    class Given(torch.nn.Module):
        num_features = a.shape[1]

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    fid = FrechetInceptionDistance(feature=Given(), input_img_size=(1, 1, a.shape[1])).set_dtype(torch.float64)
    size = min(len(a), len(b))
    kid = KernelInceptionDistance(feature=Given(), subsets=1, subset_size=size).set_dtype(torch.float64)
    score = InceptionScore(feature=Given(), splits=1).set_dtype(torch.float64)
    for rows, real in ((b, True), (a, False)):
        fid.update(rows.double().reshape(len(rows), 1, 1, -1), real=real)
        kid.update(rows[:size].double(), real=real)
    score.update(logits.double())
    return {"fid": float(fid.compute()), "kid": float(kid.compute()[0]), "is": float(score.compute()[0])}


def ours(a: Tensor, b: Tensor, logits: Tensor) -> dict[str, float]:
    """Ours."""
    size = min(len(a), len(b))
    precision, recall = neighbours.precision_recall(a, b, 3)
    return {
        "fid": frechet.frechet(Moments.of(a), Moments.of(b)),
        "kid": kernel.score(a[:size], b[:size], subsets=0).value,
        "is": inception_score.score(logits, splits=1).value,
        "precision": precision.value,
        "recall": recall.value,
    }


def random_weights(seed: int) -> dict[str, Tensor]:
    """Of Inception's graph, with activations that neither vanish nor explode."""
    random, network = torch.Generator().manual_seed(seed), inception.InceptionV3()
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 4:
            tensor.normal_(0, math.sqrt(2 / tensor[0].numel()), generator=random)
        elif "var" in name or name.endswith("bn.weight"):
            tensor.uniform_(0.5, 1.5, generator=random)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.1, generator=random)
    return network.state_dict()


def graph() -> dict[str, float]:
    """The largest difference of what Inception's graph makes of images of several sizes, relative to its largest feature."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    weights = random_weights(0)
    with NamedTemporaryFile(suffix=".pth") as file:
        torch.save(weights, file.name)
        theirs = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=file.name
        )
    mine, worst = inception.Inception(weights, "random"), {"features": 0.0, "logits": 0.0}
    for height, width in ((32, 32), (40, 57), (299, 299), (301, 400)):
        random = torch.Generator().manual_seed(height)
        images = torch.randint(0, 256, (2, 3, height, width), generator=random, dtype=torch.uint8)
        found, expected = mine.outputs(images), theirs(images)
        for name, one, other in zip(worst, (found.features, found.logits), expected, strict=True):
            worst[name] = max(worst[name], float((one - other).abs().max() / other.abs().max()))
    return worst


def main() -> None:
    """All of it."""
    stub()
    table = []
    for kind, n, m, dims in (
        ("normal", 1500, 1500, 64),
        ("heavy", 1200, 2000, 64),
        ("heavy", 600, 900, 256),
        ("heavy", 300, 400, 512),
    ):
        a, b = features(kind, n, dims, 0), features(kind, m, dims, 1)
        logits = features("normal", n, 10, 2) * 2
        found = {
            "ours": ours(a, b, logits),
            "torch-fidelity": by_fidelity(a, b, logits),
            "torchmetrics": by_torchmetrics(a, b, logits),
        }
        worst = max(
            abs(value - found["ours"][name]) / abs(value) for by in list(found)[1:] for name, value in found[by].items()
        )
        table.append({"features": kind, "images": [n, m], "D": dims, **found, "largest_relative_difference": worst})
        print(table[-1], flush=True)
    result = {
        "largest_relative_difference": max(row["largest_relative_difference"] for row in table),
        "inception_graph": graph(),
        "sets": table,
    }
    print(result["largest_relative_difference"], result["inception_graph"], save("metrics_agreement", result))


if __name__ == "__main__":
    main()
