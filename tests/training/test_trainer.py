"""Algorithm 1: what it computes, that it learns, and that 2N steps are N + stop + N, to the bit."""

import copy
import math

import pytest
import torch

from ddpm import checkpoints
from ddpm.data.batches import Batches, horizontal_flip
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.errors import DataError, Mismatch, StorageError, UsageError
from ddpm.models.dropout import place
from ddpm.models.precision import choose, in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.seeds import key
from ddpm.training.adam import Adam
from ddpm.training.optimizer import constant, cosine, ema_decay, learning_rate, update_ema
from ddpm.training.trainer import TIMESTEPS, Recipe, State, draws, stratified, train, uniform

SHAPE = UNetShape(channels=8, multipliers=(1, 2), blocks=1, attention=(1,), groups=4, dropout=0.3)
RECIPE = Recipe(steps=8, batch_size=6, lr=1e-3, warmup=4, decay="cosine", seed=5)
CPU = torch.device("cpu")


def _state(seed=0, optimizer="adam"):
    torch.manual_seed(seed)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return State.start(UNet(SHAPE, 1, 1), 1e-3, scaler, optimizer=optimizer)


def _batches(recipe=RECIPE, count=20):
    images = torch.randint(0, 17, (count, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return Batches(ImageSet("random", images, 17), recipe.batch_size, recipe.seed, horizontal_flip)


def _train(state, recipe, precision="fp32"):
    network = in_precision(state.network, precision, CPU)
    p = ReverseProcess(network, linear(20, 1e-3, 0.5), limit=unlimited)
    return list(train(state, lambda: p, simple, _batches(recipe), recipe))


def _equal(a, b):
    first, second = checkpoints.pack(a), checkpoints.pack(b)
    assert first.numbers == second.numbers
    for group in ("model", "ema", "optimizer"):
        assert first.tensors[group].keys() == second.tensors[group].keys()
        for name, tensor in first.tensors[group].items():
            assert torch.equal(tensor, second.tensors[group][name]), (group, name)


@pytest.mark.parametrize(("precision", "optimizer"), [("fp32", "adam"), ("bf16", "adam"), ("fp32", "muon")])
def test_stopping_changes_no_bit(tmp_path, precision, optimizer):
    """8 steps = 3 steps, saved, read into a fresh process' objects, 5 steps: with dropout, flips and warm-up."""
    whole = _state(optimizer=optimizer)
    losses = [float(progress.loss) for progress in _train(whole, RECIPE, precision)]

    first = _state(optimizer=optimizer)
    network = in_precision(first.network, precision, CPU)
    p = ReverseProcess(network, linear(20, 1e-3, 0.5), limit=unlimited)
    steps = train(first, lambda: p, simple, _batches(), RECIPE)
    before = [float(next(steps).loss) for _ in range(3)]
    checkpoints.write(tmp_path, 3, checkpoints.pack(first))

    second = _state(seed=99, optimizer=optimizer)
    torch.manual_seed(1234)
    checkpoints.unpack(checkpoints.read(tmp_path / "step-000000003"), second)
    after = [float(progress.loss) for progress in _train(second, RECIPE, precision)]
    assert before + after == losses
    _equal(whole, second)


class Given:
    """Batches of one's own: the same images in every step."""

    places = slice(None)

    def __init__(self, images):
        self.images = images

    def __getitem__(self, step):
        return self.images

    def labels_of(self, step, dropout):
        return None


@pytest.mark.parametrize("parameters", ["all", "last"])
def test_any_optimizer_and_any_batches(parameters):
    """The same as a loop by hand; the learning rate is left alone, and what is not optimised stays."""
    state, by_hand = _state(), _state()
    batches, recipe = Given(torch.rand(6, 1, 6, 6) * 2 - 1), Recipe(steps=4, batch_size=6, lr=7.0, warmup=100, seed=5)

    def optimizer(network):
        chosen = list(network.parameters())[0 if parameters == "all" else -6 :]
        return torch.optim.SGD(chosen, lr=0.1, momentum=0.9)

    state = State.with_optimizer(state.network, optimizer(state.network))
    p = ReverseProcess(state.network, linear(20, 1e-3, 0.5), limit=unlimited)
    rates = []
    for progress in train(state, lambda: p, simple, batches, recipe):
        rates.append(progress.lr)
        state.optimizer.param_groups[0]["lr"] /= 2

    network = by_hand.network
    q, ours = ReverseProcess(network, linear(20, 1e-3, 0.5), limit=unlimited), optimizer(network)
    for step in range(4):
        torch.manual_seed(key(5, "dropout", step))
        place(network, key(5, "dropout", step), 0)
        (part,) = draws(batches, 20, recipe, step, CPU)
        network.zero_grad()
        (simple(q, part.x_0, part.t, part.eps).sum() / 6).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        ours.step()
        ours.param_groups[0]["lr"] /= 2
    assert rates == [0.1, 0.05, 0.025, 0.0125]
    for one, other in zip(state.network.parameters(), network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_step_that_is_not_finite_changes_nothing(where):
    """Weights, their average and the optimiser are as they were; it is counted; the next step is taken."""
    state, seen = _state(), []
    p = ReverseProcess(state.network, linear(20, 1e-3, 0.5), limit=unlimited)

    def objective(*inputs):
        seen.append(len(seen))
        loss = simple(*inputs)
        if len(seen) == 3:
            if where == "loss":
                return loss * math.inf
            loss.register_hook(lambda gradient: gradient * math.nan)
        return loss

    steps = train(state, lambda: p, objective, _batches(), RECIPE)
    next(steps)
    next(steps)
    before = checkpoints.pack(copy.deepcopy(state))
    bad = next(steps)
    assert bad.skipped
    assert (state.step, state.skipped, state.in_a_row) == (3, 1, 1)
    after = checkpoints.pack(state)
    assert after.numbers["adam_step"] == before.numbers["adam_step"] == 2
    for group, tensors in before.tensors.items():
        for name, tensor in tensors.items():
            assert torch.equal(after.tensors[group][name], tensor), (group, name)
    assert not next(steps).skipped
    assert (state.skipped, state.in_a_row) == (1, 0)


def test_other_uses_of_random_numbers_change_nothing():
    first, second = _state(), _state()
    _train(first, RECIPE)
    network = in_precision(second.network, "fp32", CPU)
    p = ReverseProcess(network, linear(20, 1e-3, 0.5), limit=unlimited)
    for _ in train(second, lambda: p, simple, _batches(), RECIPE):
        torch.rand(7)
    _equal(first, second)


def test_the_global_generator_is_given_back():
    state = _state()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    _train(state, RECIPE)
    assert torch.equal(torch.rand(3), expected)


def test_accumulation_is_the_same_step():
    """Six images in 1, 3 or 4 parts: the same images, times, noise and dropout, the same gradient to rounding."""
    losses = {}
    for accumulate in (1, 3, 4):
        state = _state()
        recipe = Recipe(steps=3, batch_size=6, accumulate=accumulate, lr=1e-3, warmup=1, seed=5)
        losses[accumulate] = [float(progress.loss) for progress in _train(state, recipe)]
    assert losses[3] == pytest.approx(losses[1], rel=1e-5)
    assert losses[4] == pytest.approx(losses[1], rel=1e-5)


def test_one_step_is_the_textbook_one():
    """Algorithm 1: Loss, clipped gradient, Adam with its own defaults and the moving average, written out."""
    state, recipe = _state(), Recipe(steps=1, batch_size=6, lr=1e-3, warmup=1, clip=0.01, seed=5)
    torch.manual_seed(0)
    twin = _state().network.train()
    (progress,) = _train(state, recipe)

    (part,) = draws(_batches(recipe), 20, recipe, 0, CPU)
    place(twin, key(5, "dropout", 0), 0)
    loss = simple(ReverseProcess(twin, linear(20, 1e-3, 0.5), limit=unlimited), part.x_0, part.t, part.eps).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
    start = [parameter.detach().clone() for parameter in twin.parameters()]
    torch.optim.Adam(twin.parameters(), lr=1e-3).step()
    assert float(progress.loss) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert float(progress.grad_norm) == pytest.approx(float(norm.detach()), rel=1e-4)
    assert float(norm.detach()) > 0.01
    for ours, theirs, begin, average in zip(
        state.network.parameters(), twin.parameters(), start, state.ema.values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5)
        torch.testing.assert_close(average, 0.1 * begin + 0.9 * ours)


def test_adam_is_torchs_fused_one_to_the_bit():
    """Of two kinds of numbers, one parameter without a gradient, and a learning rate that changes; state and groups too."""

    def weights():
        random = torch.Generator().manual_seed(0)
        return [
            torch.randn(5, 7, generator=random).to(kind).requires_grad_() for kind in (torch.float32, torch.float64) * 3
        ]

    def steps(optimizer, parameters):
        random = torch.Generator().manual_seed(1)
        for step in range(20):
            for parameter in parameters[step % 2 :]:
                parameter.grad = torch.randn(5, 7, generator=random).to(parameter.dtype) * 10 ** (step - 10)
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.step()
            optimizer.zero_grad()
            assert all(parameter.grad is None for parameter in parameters)
        return optimizer.state_dict()

    ours, theirs = weights(), weights()
    state = steps(Adam(ours, 1e-3), ours)
    expected = steps(torch.optim.Adam(theirs, 1e-3, fused=True), theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert len({float(held["step"]) for held in state["state"].values()}) == 2
    for index, held in expected["state"].items():
        assert all(torch.equal(held[name], state["state"][index][name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    (group,), (known,) = state["param_groups"], expected["param_groups"]
    assert group == {name: known[name] for name in group}
    another = Adam(weights(), 1e-3)
    another.load_state_dict(state)
    assert torch.equal(another.state[another.param_groups[0]["params"][3]]["exp_avg"], expected["state"][3]["exp_avg"])


def test_it_learns():
    """A constant image under much noise: the loss falls far below that of knowing nothing."""
    images = ImageSet("one", torch.full((4, 1, 6, 6), 12, dtype=torch.uint8), 17)
    state = State.start(
        UNet(UNetShape(16, (1, 2), 1, (), 0.0, 4), 1, 1), 1e-3, torch.amp.GradScaler("cpu", enabled=False)
    )
    recipe = Recipe(steps=150, batch_size=32, lr=3e-3, warmup=10, timesteps="stratified")
    p = ReverseProcess(state.network, linear(20, 1e-2, 0.5), limit=unlimited)
    losses = [float(progress.loss) for progress in train(state, lambda: p, simple, Batches(images, 32, 0), recipe)]
    assert losses[0] > 0.8
    assert sum(losses[-20:]) / 20 < 0.12


@pytest.mark.parametrize("name", TIMESTEPS)
@pytest.mark.parametrize("T", [1, 2, 10, 1000])
def test_times_are_uniform(name, T):
    """Every t of 1..T, as often as chance allows (five standard deviations)."""
    random = torch.Generator().manual_seed(0)
    drawn = torch.cat([TIMESTEPS[name](T, 64, random) for _ in range(500)])
    assert drawn.min() == 1
    assert drawn.max() == T
    counts = torch.bincount(drawn, minlength=T + 1)[1:].double()
    expected = len(drawn) / T
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected) + 1


def test_stratified_times_cover_the_range_in_every_batch():
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        t = stratified(1000, 100, random).sort().values
        assert ((t[1:] - t[:-1]) <= 11).all()
    assert len(uniform(1000, 100, random).unique()) < 100


def test_learning_rate():
    rates = [learning_rate(step, 100, 2e-4, 10, constant) for step in range(100)]
    assert rates[0] == pytest.approx(2e-5)
    assert rates[9] == rates[99] == 2e-4
    falling = [learning_rate(step, 100, 1.0, 1, cosine) for step in range(100)]
    assert falling[0] == 1
    assert falling[50] == pytest.approx(0.5)
    assert falling[99] < 1e-3


def test_moving_average():
    """E82 after the warm-up; before it, at most (1+n)/(10+n)."""
    assert ema_decay(0, 0.9999) == 0.1
    assert ema_decay(10**6, 0.9999) == 0.9999
    network = torch.nn.Linear(2, 2)
    ema = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}
    for _ in range(3):
        update_ema(ema, network, 0.9)
    torch.testing.assert_close(ema["weight"], (1 - 0.9**3) * network.weight.detach())


def test_precision():
    assert choose("fp32", CPU) == "fp32"
    assert choose("auto", CPU) in ("fp32", "bf16")
    with pytest.raises(UsageError, match="fp16"):
        choose("fp16", CPU)
    network = _state().network
    torch.nn.init.normal_(network.last.weight)
    x, t = torch.randn(2, 1, 6, 6), torch.tensor([1, 2])
    network.eval()
    rounded, exact = in_precision(network, "bf16", CPU)(x, t), in_precision(network, "fp32", CPU)(x, t)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)
    assert not torch.equal(rounded, exact)


def test_a_damaged_checkpoint_is_refused(tmp_path):
    state = _state()
    _train(state, Recipe(steps=2, batch_size=6, warmup=1))
    folder = checkpoints.write(tmp_path, 2, checkpoints.pack(state))
    checkpoints.read(folder)
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 4
        for content in (bytes(flipped), whole[:-1], b""):
            file.write_bytes(content)
            with pytest.raises(DataError, match="step-000000002"):
                checkpoints.read(folder)
        file.unlink()
        with pytest.raises(DataError, match="it is missing"):
            checkpoints.read(folder)
        file.write_bytes(whole)
    checkpoints.read(folder)


def test_the_newest_whole_checkpoint_is_found(tmp_path):
    state = _state()
    for step in (9, 10, 11):
        checkpoints.write(tmp_path, step, checkpoints.Checkpoint(checkpoints.pack(state).tensors, {"step": step}))
    (tmp_path / "step-000000011" / "ema.safetensors").write_bytes(b"no")
    content, reasons = checkpoints.newest(tmp_path)
    assert content is not None
    assert content.numbers["step"] == 10
    ((folder, reason),) = reasons
    assert folder.name == "step-000000011"
    assert "ema.safetensors" in reason
    (tmp_path / ".tmp-step-000000012-7").mkdir()
    checkpoints.tidy(tmp_path, [folder])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".bad-step-000000011", "step-000000009", "step-000000010"]


def test_a_state_without_moments_is_kept_too(tmp_path):
    """Ctrl-C before the first step, and parameters that never had a gradient."""
    state = _state()
    checkpoints.write(tmp_path, 0, checkpoints.pack(state))
    other = _state(seed=9)
    checkpoints.unpack(checkpoints.read(tmp_path / "step-000000000"), other)
    _equal(state, other)


def test_an_unwritable_place_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("")
    content = checkpoints.Checkpoint({"model": {"a": torch.zeros(2)}}, {"step": 0})
    with pytest.raises(StorageError, match="cannot write a checkpoint"):
        checkpoints.write(tmp_path / "file" / "checkpoints", 1, content)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_of_another_network_are_refused():
    other = UNet(UNetShape(16, (1, 2), 1, (1,), 0.0, 4), 1, 1)
    with pytest.raises(Mismatch, match="do not fit"):
        checkpoints.load_weights(other, checkpoints.pack(_state()).tensors["model"])
