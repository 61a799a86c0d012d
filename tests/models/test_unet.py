"""T19, T20: the paper's networks to the last parameter, the time embedding to the last digit, any size of image."""

import pytest
import torch

from ddpm.errors import UsageError
from ddpm.experiment.presets import PRESETS
from ddpm.models.layers import Attention, ResidualBlock, time_embedding
from ddpm.models.mlp import MLP, MLPShape
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet

SMALL = UNetShape(channels=8, multipliers=(1, 2, 2), blocks=1, attention=(1,), groups=4, dropout=0.5)


def _filled(network):
    """The network with its zero layers filled, so that it computes something."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


@pytest.mark.parametrize(
    ("preset", "parameters"),
    [
        ("cifar10", 35_746_307),
        ("celeba-hq", 113_673_219),
        ("lsun-bedroom", 113_673_219),
        ("lsun-bedroom-large", 255_677_955),
    ],
)
def test_parameter_counts_of_the_paper(preset, parameters):
    """T20."""
    with torch.device("meta"):
        network = UNet(PRESETS[preset]().model, 3, 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_time_embedding_agrees_with_the_reference(reference):
    """T19: float32 sinusoids of 20-digit values; the error is that of rounding t f, up to 1000 * 6e-8."""
    for t, row in reference["time_embedding"].items():
        expected = torch.tensor([float(x) for x in row["ddpm_sin_cos_dim8"]])
        torch.testing.assert_close(time_embedding(torch.tensor([int(t)]), 8)[0], expected, rtol=0, atol=7e-5)


def test_time_embedding_of_odd_width_is_padded():
    assert time_embedding(torch.tensor([3]), 9).shape == (1, 9)
    assert time_embedding(torch.tensor([3]), 9)[0, -1] == 0


@pytest.mark.parametrize("size", [(8, 8), (4, 4), (7, 5), (1, 1), (3, 12), (28, 28)])
def test_any_size_goes_in_and_comes_out(size):
    network = _filled(UNet(SMALL, 2, 4))
    out = network(torch.randn(3, 2, *size), torch.tensor([0, 5, 9]))
    assert out.shape == (3, 4, *size)
    assert out.isfinite().all()


def test_padding_is_only_what_is_needed():
    """A size that fits is not padded: 8x8 inside a network that would pad 7x7 to 8x8."""
    network = _filled(UNet(SMALL, 1, 1))
    x, t = torch.randn(1, 1, 8, 8), torch.tensor([3])
    padded = torch.nn.functional.pad(x[:, :, :7, :7], (0, 1, 0, 1))
    torch.testing.assert_close(network(x[:, :, :7, :7], t), network(padded, t)[:, :, :7, :7])


def test_a_new_network_returns_zero_and_its_blocks_are_identities():
    network = UNet(SMALL, 3, 3)
    assert not network(torch.randn(2, 3, 8, 8), torch.tensor([1, 2])).any()
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(Attention(8, SMALL)(x), x)
    assert torch.equal(ResidualBlock(8, 8, SMALL)(x, torch.randn(2, SMALL.embedding)), x)


def test_initialisation_has_the_published_variance():
    """Uniform with variance 2 / (fan_in + fan_out), fans counting the kernel."""
    block = ResidualBlock(256, 128, UNetShape(groups=8, dropout=0.0, time_embedding=64))
    assert float(block.conv_1.weight.detach().var()) == pytest.approx(2 / (9 * (256 + 128)), rel=0.02)
    assert float(block.time.weight.detach().var()) == pytest.approx(2 / (64 + 128), rel=0.05)
    assert not block.conv_1.bias.any()


def test_every_parameter_is_trained():
    network = _filled(UNet(SMALL, 3, 3)).train()
    network(torch.randn(2, 3, 8, 8), torch.tensor([1, 2])).square().sum().backward()
    for name, parameter in network.named_parameters():
        # A bias before a normalisation over one pixel group, or a key's bias before softmax, cannot matter.
        assert parameter.grad is not None, name
        assert parameter.grad.any() or name.endswith("key.bias"), name


def test_dropout_is_for_training_only():
    network = _filled(UNet(SMALL, 3, 3))
    x, t = torch.randn(2, 3, 8, 8), torch.tensor([1, 2])
    assert torch.equal(network(x, t), network(x, t))
    network.train()
    assert not torch.equal(network(x, t), network(x, t))


def test_each_image_is_alone():
    """No layer mixes images of a batch, and time reaches each one."""
    network = _filled(UNet(SMALL, 3, 3))
    x, t = torch.randn(4, 3, 8, 8), torch.tensor([1, 2, 3, 4])
    together = network(x, t)
    for i in range(4):
        torch.testing.assert_close(network(x[i : i + 1], t[i : i + 1]), together[i : i + 1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(network(x, t + 100), together, atol=1e-4)


def test_attention_is_softmax_of_scaled_products():
    layer = _filled(Attention(8, SMALL))
    x = torch.randn(2, 8, 3, 5)
    h = layer.norm(x)
    q, k, v = (f(h).flatten(2).transpose(1, 2) for f in (layer.query, layer.key, layer.value))
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(layer(x), x + layer.out(mixed), rtol=1e-4, atol=1e-5)


def test_attention_stands_where_it_is_asked_for():
    def stages(shape):
        network = UNet(shape, 1, 1)
        layers = [*network.down, *network.middle, *network.up]
        return [isinstance(layer.attention, Attention) for layer in layers if hasattr(layer, "attention")]

    assert sum(stages(UNetShape(8, (1, 2), 1, (), groups=4))) == 1
    assert sum(stages(UNetShape(8, (1, 2), 1, (1,), groups=4))) == 1 + 1 + 2
    assert sum(stages(UNetShape(8, (1, 2), 1, (0, 1), groups=4))) == 1 + 2 + 4


def test_classes_are_embedded():
    shape = UNetShape(8, (1,), 1, (), 0.0, 4, classes=3)
    network = _filled(UNet(shape, 1, 1))
    x, t = torch.randn(2, 1, 4, 4), torch.tensor([1, 1])
    first, second = network(x, t, torch.tensor([0, 0])), network(x, t, torch.tensor([2, 2]))
    assert not torch.allclose(first, second, atol=1e-5)


def test_no_label_is_the_zero_vector():
    """-1, None, and -1 beside others: nothing is added; each image has its own label."""
    network = _filled(UNet(UNetShape(8, (1,), 1, (), 0.0, 4, classes=3), 1, 1))
    x, t = torch.randn(4, 1, 4, 4), torch.tensor([1, 2, 3, 4])
    plain = network(x, t)
    assert torch.equal(network(x, t, torch.full((4,), -1)), plain)
    mixed = network(x, t, torch.tensor([-1, 2, -1, 0]))
    assert torch.equal(mixed[[0, 2]], plain[[0, 2]])
    assert not torch.allclose(mixed[[1, 3]], plain[[1, 3]], atol=1e-4)
    assert torch.equal(mixed[1], network(x, t, torch.full((4,), 2))[1])


def test_labels_that_the_network_does_not_know():
    x, t = torch.randn(1, 1, 4, 4), torch.tensor([1])
    with pytest.raises(ValueError, match="without classes"):
        UNet(UNetShape(8, (1,), 1, (), 0.0, 4), 1, 1)(x, t, torch.tensor([0]))
    with pytest.raises(IndexError):
        UNet(UNetShape(8, (1,), 1, (), 0.0, 4, classes=3), 1, 1)(x, t, torch.tensor([3]))


def test_mlp():
    network = _filled(MLP(MLPShape(16, 2), 2, 4))
    out = network(torch.randn(5, 2), torch.arange(5))
    assert out.shape == (5, 4)
    assert out.std() > 0
    assert not MLP(MLPShape(16, 2))(torch.randn(5, 2), torch.arange(5)).any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_of_another_type(dtype):
    """`.double()` and the like, as of any module: what goes in is turned into the weights' type, and comes out so."""
    import ddpm

    shape = UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4, classes=3)
    for network, x in (
        (UNet(shape, 1, 1), torch.randn(2, 1, 8, 8)),
        (ddpm.MLP(inputs=2, outputs=2), torch.randn(2, 2)),
    ):
        network.to(dtype)
        labels = [torch.tensor([0, 2])] if isinstance(network, UNet) else []
        assert network(x, torch.tensor([1, 5]), *labels).dtype == dtype
        assert network(x.to(dtype), torch.tensor([1, 5]), *labels).dtype == dtype


def test_a_process_of_a_float64_network_samples_and_trains():
    import ddpm

    network = UNet(UNetShape(channels=8, multipliers=(1, 2), blocks=1, groups=4), 1, 1).double()
    p = ddpm.ReverseProcess(network, ddpm.linear(T=4))
    assert ddpm.sample(p, (2, 1, 8, 8), seed=0).isfinite().all()
    assert len(list(ddpm.train(p, [torch.zeros(2, 1, 8, 8)], steps=2))) == 2
    assert ddpm.bound(p, torch.zeros(2, 1, 8, 8).fill_(-1.0)) is not None


def test_heads_attend_apart():
    """Each to its own channels, as torch's own attention does."""
    shape = UNetShape(channels=8, groups=4, head_channels=2)
    layer = _filled(Attention(8, shape))
    x = torch.randn(2, 8, 3, 5)
    h = layer.norm(x)
    q, k, v = (f(h).flatten(2).unflatten(1, (4, 2)).transpose(2, 3) for f in (layer.query, layer.key, layer.value))
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(x.shape)
    torch.testing.assert_close(layer(x), x + layer.out(mixed), rtol=1e-4, atol=1e-5)
    with pytest.raises(UsageError, match="heads of 3 channels"):
        UNetShape(channels=8, groups=4, head_channels=3)


def test_a_fractional_width():
    network = UNet(UNetShape(channels=8, multipliers=(1, 1.5), blocks=1, groups=4), 1, 1)
    assert network.shape.widths == (8, 12)
    assert network(torch.randn(2, 1, 8, 8), torch.tensor([1, 2])).shape == (2, 1, 8, 8)
