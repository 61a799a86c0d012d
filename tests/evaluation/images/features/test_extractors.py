"""What makes features: pixels by hand, the shipped classifiers on digits, Inception's graph and files of others."""

import math

import pytest
import torch

from ddpm.data.imageset import ImageSet
from ddpm.data.open import open_source
from ddpm.errors import DataError, Mismatch, RunWarning
from ddpm.evaluation.images.features import inception
from ddpm.evaluation.images.features.extractor import as_bytes, extract, gathered, resized, with_channels
from ddpm.evaluation.images.features.pixels import Pixels
from ddpm.evaluation.images.features.small import SHAPES, built_in
from ddpm.evaluation.images.features.torchscript import TorchScript
from ddpm.trained.measures.extractors import extractor_of

CPU = torch.device("cpu")


def images(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_levels_are_spread_over_bytes_and_rounded():
    def spread(values, levels):
        return as_bytes(torch.tensor(values).reshape(1, 1, 1, -1), levels).flatten().tolist()

    assert spread([0, 1, 8, 16], 17) == [0, 16, 128, 255]
    assert spread([0, 200, 65535], 65536) == [0, 1, 255]


def test_pixels_are_means_of_areas():
    x = images(2, 3, 32, 32)
    found = Pixels(8).features(x)
    assert found.shape == (2, 192)
    assert found[1, 64].item() == pytest.approx(float(x[1, 1, :4, :4].float().mean() / 255))
    assert torch.equal(Pixels(None).features(x), x.flatten(1).float() / 255)
    assert torch.equal(Pixels(64).features(x), Pixels(None).features(x))


def test_channels_and_sizes():
    grey = with_channels(torch.tensor([[[[10.0]], [[20.0]], [[30.0]]]]), 1)
    assert grey.item() == pytest.approx(2.99 + 11.74 + 3.42)
    assert with_channels(torch.ones(1, 1, 2, 2), 3).shape == (1, 3, 2, 2)
    torch.testing.assert_close(resized(torch.full((1, 1, 50, 20), 7.0), 28), torch.full((1, 1, 28, 28), 7.0))


@pytest.mark.parametrize("name", SHAPES)
def test_shipped_features_are_of_a_few_numbers_and_small(name):
    found = built_in(name)
    outputs = found.outputs(images(3, 3, 20, 30))
    assert outputs.features.shape == (3, SHAPES[name].widths[-1])
    assert outputs.logits.shape == (3, 10)
    assert len(found.digest) == 64
    one = found.features(images(3, 3, 20, 30)[1:2])
    torch.testing.assert_close(one[0], outputs.features[1], rtol=1e-4, atol=1e-5)
    with pytest.raises(Mismatch):
        found.features(images(1, 2, 8, 8))


def test_digits_are_known():
    """UCI's held-out digits, which are 8x8 and were not trained on."""
    digits = open_source("digits", "test")
    logits = gathered(extract(built_in("digits"), digits, 64, CPU)).logits
    assert float((logits.argmax(1) == digits.labels).double().mean()) > 0.97


def test_batches_change_nothing_but_the_last_digits():
    some = ImageSet("x", images(10, 1, 9, 9))
    one, other = (gathered(extract(built_in("digits"), some, size, CPU)).features for size in (10, 3))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.fixture(name="weights", scope="module")
def _weights():
    network, random = inception.InceptionV3(), torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 4:
            tensor.normal_(0, math.sqrt(2 / tensor[0].numel()), generator=random)
        elif "var" in name or name.endswith("bn.weight"):
            tensor.uniform_(0.5, 1.5, generator=random)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.1, generator=random)
    return {name: tensor for name, tensor in network.state_dict().items()}


def test_inceptions_graph_has_its_sizes(weights):
    """torchvision's Inception v3 without its second head has 23,834,568 weights; eight more classes have 8 * 2,049 more."""
    own = sum(tensor.numel() for name, tensor in weights.items() if "running" not in name and "num_batches" not in name)
    assert own == 23_834_568 + 8 * 2049
    outputs = inception.Inception(weights, "random").outputs(images(2, 1, 20, 24))
    assert (outputs.features.shape, outputs.logits.shape) == ((2, 2048), (2, 1008))


def test_images_are_scaled_as_tensorflow_1_does():
    """By hand: pixel i of the output is read at i * 2/4 of the input, the last ones beyond it at its border."""
    x = torch.tensor([[[[0.0, 10.0], [20.0, 50.0]]]])
    expected = [[0, 5, 10, 10], [10, 20, 30, 30], [20, 35, 50, 50], [20, 35, 50, 50]]
    assert inception.scaled(x, 4)[0, 0].tolist() == expected


def test_inceptions_weights_are_known_by_their_digest(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    with pytest.warns(RunWarning, match="not the weights by which others measure"):
        found = extractor_of(f"inception={tmp_path / 'w.pth'}", 3)
    assert (found.name, len(found.digest)) == ("inception", 64)
    assert found.digest != inception.KNOWN


def test_other_weights_are_refused(weights, tmp_path):
    less = {name: tensor for name, tensor in weights.items() if name != "fc.bias"}
    for wrong in (less, {**weights, "more": torch.zeros(1)}, {**weights, "fc.bias": torch.zeros(1000)}):
        with pytest.raises(DataError, match="not the weights of Inception v3"):
            inception.Inception(wrong, "x")


class Half(torch.nn.Module):
    """A network of somebody."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        y = x.float().mean((2, 3)) / 255
        return y if return_features else y * 0


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_torchscript_file_makes_features(tmp_path):
    torch.jit.script(Half()).save(str(tmp_path / "net.pt"))
    found = extractor_of(str(tmp_path / "net.pt"), 3)
    x = images(4, 3, 6, 6)
    torch.testing.assert_close(found.features(x), x.float().mean((2, 3)) / 255)
    assert (found.name, len(found.digest)) == ("net.pt", 64)


def test_what_is_no_torchscript_is_refused(tmp_path):
    with pytest.raises(DataError, match="no TorchScript"):
        TorchScript("x.pt", b"PK nothing")
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pt")
    with pytest.raises(DataError, match="no TorchScript"):
        extractor_of(str(tmp_path / "weights.pt"), 3)
