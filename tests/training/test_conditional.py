"""Training with labels: nothing else changes, it stops and goes on to the bit, and the class decides the image."""

import pytest
import torch

from ddpm import checkpoints
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.decoder import discretised
from ddpm.diffusion.learned import LearnedSchedule, ScheduledNetwork
from ddpm.diffusion.objective import OBJECTIVES, simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.diffusion.variance import Learned
from ddpm.evaluation.cheap import bound_of, estimate
from ddpm.evaluation.rate import measure, summarise
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.sampling import DDIM
from ddpm.sampling.chain import chain
from ddpm.sampling.guidance import Guidance, guided
from ddpm.training.trainer import Recipe, State, draws, train

CPU = torch.device("cpu")
SHAPE = UNetShape(channels=8, multipliers=(1,), blocks=1, attention=(), groups=4, dropout=0.0, classes=2)
RECIPE = Recipe(steps=8, batch_size=6, lr=1e-3, warmup=4, seed=5, label_dropout=0.4)
SCHEDULE = linear(20, 1e-2, 0.5)


def _two_greys(count=64):
    """Constant images: of class 0 with levels 1..9, of class 1 with levels 7..15 of 0..16."""
    random = torch.Generator().manual_seed(0)
    label = torch.arange(count) % 2
    level = torch.randint(1, 10, (count,), generator=random) + 6 * label
    return ImageSet("greys", level.to(torch.uint8).reshape(-1, 1, 1, 1).repeat(1, 1, 4, 4), 17, label)


def _state(shape=SHAPE, outputs=1, seed=0):
    torch.manual_seed(seed)
    return State.start(UNet(shape, 1, outputs), 1e-3, torch.amp.GradScaler("cpu", enabled=False))


def _batches(recipe, images=None):
    images = images or _two_greys()
    return Batches(images, recipe.batch_size, recipe.seed, labels=images.labels)


def _process(network):
    return ReverseProcess(network, SCHEDULE, limit=unlimited, decoder=discretised(17))


@pytest.fixture(scope="module")
def learned():
    """A tiny network that has seen two kinds of grey for 200 steps, as p_theta."""
    state = _state(UNetShape(16, (1,), 1, (), 0.0, 4, classes=2))
    recipe = Recipe(steps=200, batch_size=24, lr=3e-3, warmup=10, decay="cosine", timesteps="stratified")
    p = _process(state.network)
    losses = [float(step.loss) for step in train(state, lambda: p, simple, _batches(recipe), recipe)]
    assert losses[-1] < 0.5 * losses[0]
    state.network.eval()
    return p


def _grey(p, label, guidance):
    """The mean level of 64 samples of a class, on -1..1."""
    random = torch.Generator().manual_seed(1)
    x_T = torch.randn(64, 1, 4, 4, generator=random)
    *_, last = chain(guided(p, torch.full((64,), label), guidance), x_T, DDIM())
    return float(last.x.mean())


def test_the_class_decides_the_image_and_guidance_sharpens(learned):
    """The means of the two kinds are -3/8 and 3/8. With guidance they move apart; without the label there is none."""
    dark, light = (_grey(learned, label, Guidance()) for label in (0, 1))
    assert dark == pytest.approx(-0.375, abs=0.15)
    assert light == pytest.approx(0.375, abs=0.15)
    guided_dark, guided_light = (_grey(learned, label, Guidance(3.0)) for label in (0, 1))
    assert guided_dark < dark - 0.05
    assert guided_light > light + 0.05
    assert _grey(learned, 0, Guidance(0.0)) == _grey(learned, 1, Guidance(0.0)) == pytest.approx(0, abs=0.15)


def test_an_image_is_likelier_given_its_label(learned):
    """The bound and its estimate: below that of no label, which is below that of the other label."""
    images = _two_greys()
    own = images.labels
    told = {"own": own, "none": torch.full_like(own, -1), "other": 1 - own}
    bits = {
        name: summarise(measure(learned, images, 0, 64, CPU, label), SCHEDULE, 64, 16).total
        for name, label in told.items()
    }
    assert bits["own"] < bits["none"] < bits["other"]
    guess = {name: estimate(bound_of(learned, label), images, 0, 6, 64, CPU).total for name, label in told.items()}
    assert guess["own"] < guess["none"] < guess["other"]
    assert summarise(measure(learned, images, 0, 64, CPU), SCHEDULE, 64, 16).total == pytest.approx(bits["none"])
    parts = summarise(measure(learned, images, 0, 7, CPU, own), SCHEDULE, 64, 16).total
    assert parts == pytest.approx(bits["own"], rel=1e-6)


def _equal(a, b):
    first, second = checkpoints.pack(a), checkpoints.pack(b)
    for group in ("model", "ema", "optimizer"):
        for name, tensor in first.tensors[group].items():
            assert torch.equal(tensor, second.tensors[group][name]), (group, name)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopping_changes_no_bit(tmp_path, precision):
    """8 steps = 3 steps, saved, read into a fresh process' objects, 5 steps; with labels of which 4 in 10 are dropped."""

    def steps(state):
        p = _process(in_precision(state.network, precision, CPU))
        return train(state, lambda: p, simple, _batches(RECIPE), RECIPE)

    whole, first, second = _state(), _state(), _state(seed=99)
    losses = [float(progress.loss) for progress in steps(whole)]
    begun = steps(first)
    before = [float(next(begun).loss) for _ in range(3)]
    checkpoints.write(tmp_path, 3, checkpoints.pack(first))
    torch.manual_seed(1234)
    checkpoints.unpack(checkpoints.read(tmp_path / "step-000000003"), second)
    assert before + [float(progress.loss) for progress in steps(second)] == losses
    _equal(whole, second)


def test_parts_of_a_batch_have_the_same_labels():
    """In 1, 3 or 4 parts: the same labels, the same ones dropped, in the same order; and the same step to rounding."""
    losses = []
    for accumulate in (1, 3, 4):
        recipe = Recipe(steps=3, batch_size=6, accumulate=accumulate, lr=1e-3, warmup=1, seed=5, label_dropout=0.4)
        parts = draws(_batches(recipe), 20, recipe, 2, CPU)
        assert torch.equal(torch.cat([part.label for part in parts]), _batches(recipe).labels_of(2, 0.4))
        state = _state()
        p = _process(state.network)
        losses.append([float(step.loss) for step in train(state, lambda p=p: p, simple, _batches(recipe), recipe)])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[2] == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize("objective", ["simple", "variational", "hybrid"])
def test_every_objective_tells_the_label(objective):
    """The class embedding is trained, also through a wrapped network with a learned schedule and a learned variance."""
    state = _state(outputs=2)
    torch.nn.init.normal_(state.network.last.weight, std=0.1)
    network = ScheduledNetwork(state.network, LearnedSchedule(SCHEDULE))
    state = State.start(network, 1e-3, torch.amp.GradScaler("cpu", enabled=False))
    before = state.network.network.label.weight.detach().clone()

    def process():
        return ReverseProcess(
            in_precision(network, "bf16", CPU), network.schedule(), variance=Learned(), limit=unlimited
        )

    list(train(state, process, OBJECTIVES[objective], _batches(RECIPE), RECIPE))
    assert ((state.network.network.label.weight - before).abs() > 0).all()


def test_a_network_that_is_told_nothing_learns_nothing_of_classes():
    """All labels dropped: the embedding stays as it was."""
    state, recipe = _state(), Recipe(steps=3, batch_size=6, lr=1e-3, warmup=1, label_dropout=1 - 1e-9)
    torch.nn.init.normal_(state.network.last.weight, std=0.1)
    before = state.network.label.weight.detach().clone()
    p = _process(state.network)
    list(train(state, lambda: p, simple, _batches(recipe), recipe))
    assert torch.equal(state.network.label.weight, before)
