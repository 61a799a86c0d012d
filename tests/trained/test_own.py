"""A network of one's own as a trained model."""

import json
import math

import pytest
import torch

import ddpm
from ddpm.errors import UsageError
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.evaluation.curve import errors
from ddpm.figures.images import image_set


class Grey(torch.nn.Module):
    """Guesses that every image is one grey, which the label says where there is one; noisy in training, to be noticed."""

    def __init__(self):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(0.25))

    def forward(self, x_t, timestep, label=None):
        grey = self.value + torch.zeros_like(x_t)
        if label is not None:
            grey = grey + 0.25 * label.clamp(min=0)[:, None, None, None]
        return grey + torch.rand_like(x_t) if self.training else grey


def process(network, **parts):
    return ddpm.ReverseProcess(
        network, ddpm.linear(T=12, beta_1=1e-3, beta_T=0.6), ddpm.X0(), ddpm.FixedSmall(), **parts
    )


def test_it_has_what_a_model_has():
    """The same samples and bound as the calls for any process; and edits, which these do not have."""
    p = process(Grey())
    model = ddpm.model(p, (1, 4, 4))
    assert (model.shape, model.levels, model.classes, model.step) == ((1, 4, 4), 256, (), 0)
    shown = model.sample(3, seed=5, progress=False)
    assert (
        torch.equal(shown.tensor, ddpm.sample(p, (3, 1, 4, 4), seed=5).clamp(-1, 1))
        or (shown.tensor - ddpm.sample(p, (3, 1, 4, 4), seed=5)).abs().max() <= 1 / 255
    )
    x_0 = torch.randint(0, 256, (4, 1, 4, 4)) / 127.5 - 1
    assert model.bits_per_dim(x_0, progress=False).total == pytest.approx(ddpm.bound(p, x_0).total, rel=1e-6)
    mask = torch.zeros(4, 4)
    mask[:2] = 1
    held = model.inpaint(x_0[0], mask, 1, steps=4, progress=False)
    torch.testing.assert_close(held.tensor[0, 0, 2:], x_0[0, 0, 2:], rtol=0, atol=1 / 255)
    assert (x_0[0, 0, :2] - held.tensor[0, 0, :2]).abs().max() > 0.05
    assert model.interpolate(x_0[0], x_0[1], timestep=6, num=3, progress=False).tensor.shape == (3, 1, 4, 4)
    assert model.encode(x_0, steps=3, progress=False).shape == x_0.shape
    assert torch.equal(model.estimate(x_0, 5), torch.full_like(x_0, 0.25))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_image_and_no_bound(value):
    """The t at which it begins is named; of the infinite the limit would make an image that is white or black."""

    def broken(x_t, timestep):
        return torch.where(timestep[:, None, None, None] < 5, value, torch.zeros_like(x_t))

    p = process(broken)
    model, x_0 = ddpm.model(p, (1, 4, 4)), torch.ones(4, 1, 4, 4)
    for t, call in (
        (5, lambda: model.sample(2, progress=False)),
        (6, lambda: model.sample(2, sampler="heun", progress=False)),  # which looks at 5 too
        (5, lambda: ddpm.sample(p, (2, 1, 4, 4))),
        (5, lambda: ddpm.bound(p, x_0)),
        (5, lambda: model.bits_per_dim(x_0, progress=False)),
    ):
        with pytest.raises(
            ddpm.Diverged, match=f"^in the step from t = {t} the network gives numbers that are not finite"
        ):
            call()
    assert model.sample(1, steps=1, progress=False).tensor.isfinite().all()  # t = 12 alone
    with pytest.raises(ddpm.Diverged, match=r"^in the step from t = [1-5] the network"):
        estimate(bound_of(p), image_set(x_0, "all"), 0, 6, 4, torch.device("cpu"))
    list(errors(p, image_set(x_0, "all"), 0, 4, torch.device("cpu"), at=[12, 6]))
    with pytest.raises(ddpm.Diverged, match=r"^in the step from t = 5 "):
        list(errors(p, image_set(x_0, "all"), 0, 4, torch.device("cpu"), at=[12, 5]))


def test_it_is_named_by_its_network():
    """And by no folder, which is not there; of images of other levels the way is named."""
    model = ddpm.model(process(Grey()), (1, 8, 8))
    assert repr(model) == "TrainedModel('Grey': 1x8x8 images of 256 levels, T = 12)"
    p = ddpm.from_denoiser(Grey(), ddpm.linear(T=12, beta_1=1e-3, beta_T=0.6), decoder=ddpm.discretised(17))
    assert repr(ddpm.model(p, (1, 8, 8))).startswith("TrainedModel('Grey': ")
    with pytest.raises(ddpm.Mismatch) as refused:
        model.bits_per_dim("digits", progress=False)
    assert refused.value.hints == ("p with decoder=ddpm.discretised(17) scores them",)
    with pytest.raises(ddpm.Mismatch) as refused:
        ddpm.compare(ddpm.model(p, (1, 8, 8)), model, data="digits", num_images=2, progress=False)
    assert str(refused.value).endswith(": Grey")
    assert ddpm.model(p, (1, 8, 8)).bits_per_dim("digits", num_images=2, progress=False).images == 2


def test_classes_are_told():
    """By name; -1 for none, and guided."""
    model = ddpm.model(process(Grey()), (1, 4, 4), classes=["dark", "light"])
    x_t = torch.randn(2, 1, 4, 4)
    assert float(model.estimate(x_t, 3, "light")[0, 0, 0, 0]) == 0.5
    assert float(model.estimate(x_t, 3)[0, 0, 0, 0]) == 0.25
    drawn = {label: model.sample(2, label=label, seed=1, progress=False).tensor.mean() for label in ("dark", "light")}
    assert float(drawn["light"] - drawn["dark"]) == pytest.approx(0.25, abs=0.02)
    guided = model.sample(2, label="light", guidance=2, seed=1, progress=False).tensor.mean()
    assert float(guided - drawn["dark"]) == pytest.approx(0.5, abs=0.02)


def test_a_function_will_do():
    """Without weights it is known by what it does."""
    one, same, other = (
        ddpm.model(process(lambda x, t, v=v: torch.full_like(x, v)), (1, 4, 4)) for v in (0.5, 0.5, -0.5)
    )
    assert one.loaded.digest == same.loaded.digest != other.loaded.digest
    assert float(one.sample(1, progress=False).tensor.mean()) == pytest.approx(0.5, abs=0.05)


def test_of_other_levels():
    model = ddpm.model(process(Grey(), decoder=ddpm.discretised(17)), (1, 8, 8))
    assert model.levels == 17
    assert model.bits_per_dim("digits", num_images=2, progress=False).images == 2


def test_a_denoiser_of_edm():
    D = ddpm.preconditioned(lambda x, c_noise: torch.zeros_like(x))
    model = ddpm.model(ddpm.from_denoiser(D, ddpm.linear(T=20, beta_T=0.5)), (3, 8, 8))
    assert model.sample(2, sampler="heun", progress=False).tensor.shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ddpm.model(process(Grey()), (4, 4)), "channels, height, width"),
        (lambda: ddpm.model(process(Grey(), decoder=ddpm.log_density), (1, 4, 4)), "on levels"),
        (lambda: ddpm.model(process(Grey(), limit=lambda x: x.clamp(-2, 2)), (1, 4, 4)), "usual kinds of limit"),
        (lambda: ddpm.model(process(Grey()), (1, 4, 4)).export("out"), "own function"),
    ],
)
def test_what_is_none_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_a_network_of_ours_is_exported_as_it_is(tmp_path):
    """With its own shape, not the paper's; another is refused, and nothing is written."""
    shape = ddpm.UNetShape(
        channels=8, multipliers=(1, 2), blocks=1, attention=(), groups=4, padding="around", norm_eps=1e-5
    )
    network = ddpm.UNet(shape, 1, 1)
    model = ddpm.model(ddpm.ReverseProcess(network, ddpm.linear()), (1, 8, 8))
    assert model.experiment.model == shape
    assert model.experiment.size()[1] == sum(weight.numel() for weight in network.parameters())
    model.export(tmp_path / "out")
    told = json.loads((tmp_path / "out" / "unet" / "config.json").read_text())
    assert (told["block_out_channels"], told["norm_eps"], told["downsample_padding"]) == ([8, 16], 1e-5, 1)


def test_models_of_functions_share_nothing_on_the_disk():
    """Nor do two readings of one network."""
    p = ddpm.ReverseProcess(lambda x, t: torch.zeros_like(x), ddpm.linear(T=10))
    first, again = (ddpm.model(p, (1, 4, 4)).loaded.folder.path for _ in range(2))
    assert first != again
    network = torch.nn.Conv2d(1, 1, 1)
    net = Told(network)
    ways = (ddpm.Epsilon(), ddpm.linear(T=10)), (ddpm.X0(), ddpm.linear(T=10)), (ddpm.Epsilon(), ddpm.cosine(T=10))
    folders = {
        ddpm.model(ddpm.ReverseProcess(net, schedule, prediction), (1, 4, 4)).loaded.folder.path
        for prediction, schedule in ways
    }
    assert len(folders) == 3


class Told(torch.nn.Module):
    """A network that is told the time and takes no notice."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, t):
        return self.network(x)
