"""lucidrains' network, here by its names there and a second, plain way to compute it; and a file of its training.

That their own code gives the same numbers is in benchmarks/results/interop_agreement.json.
"""

import json
import math
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

import ddpm as face
from ddpm.errors import DataError, Mismatch, UsageError
from ddpm.experiment.config import Experiment
from ddpm.experiment.settings import from_dict, spelled
from ddpm.interop import Told, read
from ddpm.models.lucidrains import LucidrainsShape
from ddpm.trained.export import export

T = 40
SHAPE = LucidrainsShape(
    channels=6,
    widths=(8, 12),
    time_channels=8,
    attention=(1,),
    heads=(2, 3),
    head_channels=(4, 5),
    memories=3,
)


def weights_there(levels=((6, 8), (8, 12)), dim=8, heads=(2, 3), wide=(4, 5), memories=3, channels=3, outputs=3):
    """Random weights under the names and in the shapes that their code has; the last level attends in the usual way."""
    found = {}

    def layer(name, *shape, bias=True):
        found[f"{name}.weight"] = torch.randn(shape) / math.prod(shape[1:]) ** 0.5
        if bias:
            found[f"{name}.bias"] = 0.1 * torch.randn(shape[0])

    def block(name, a, b):
        layer(f"{name}.mlp.1", 2 * b, 4 * dim)
        for number, inputs in ((1, a), (2, b)):
            layer(f"{name}.block{number}.proj", b, inputs, 3, 3)
            found[f"{name}.block{number}.norm.g"] = 1 + 0.1 * torch.randn(1, b, 1, 1)
        if a != b:
            layer(f"{name}.res_conv", b, a, 1, 1)

    def attention(name, width, level, full):
        hidden = heads[level] * wide[level]
        found[f"{name}.norm.g"] = 1 + 0.1 * torch.randn(1, width, 1, 1)
        ends = (memories, wide[level]) if full else (wide[level], memories)
        found[f"{name}.mem_kv"] = torch.randn(2, heads[level], *ends)
        layer(f"{name}.to_qkv", 3 * hidden, width, 1, 1, bias=False)
        layer(f"{name}.to_out" if full else f"{name}.to_out.0", width, hidden, 1, 1)
        if not full:
            found[f"{name}.to_out.1.g"] = 1 + 0.1 * torch.randn(1, width, 1, 1)

    layer("init_conv", levels[0][0], channels, 7, 7)
    layer("time_mlp.1", 4 * dim, dim)
    layer("time_mlp.3", 4 * dim, 4 * dim)
    last = len(levels) - 1
    for level, (a, b) in enumerate(levels):
        block(f"downs.{level}.0", a, a)
        block(f"downs.{level}.1", a, a)
        attention(f"downs.{level}.2", a, level, level == last)
        layer(f"downs.{level}.3.1", b, 4 * a, 1, 1) if level < last else layer(f"downs.{level}.3", b, a, 3, 3)
        up = last - level
        block(f"ups.{up}.0", a + b, b)
        block(f"ups.{up}.1", a + b, b)
        attention(f"ups.{up}.2", b, level, level == last)
        layer(f"ups.{up}.3.1" if up < last else f"ups.{up}.3", a, b, 3, 3)
    bottom = levels[-1][1]
    block("mid_block1", bottom, bottom)
    attention("mid_attn", bottom, last, True)
    block("mid_block2", bottom, bottom)
    block("final_res_block", 2 * levels[0][0], levels[0][0])
    layer("final_conv", outputs, levels[0][0], 1, 1)
    return found


def computed(w, x, t, theta=10000.0):
    """What the network gives, one image at a time, with loops where it has tensors' own ways."""
    return torch.cat([one_computed(w, x[i : i + 1], float(t[i]), theta) for i in range(len(x))])


def one_computed(w, x, t, theta):  # noqa: PLR0915
    dim = w["time_mlp.1.weight"].shape[1]
    angles = torch.tensor([t * theta ** (-k / (dim // 2 - 1)) for k in range(dim // 2)])
    emb = torch.cat([angles.sin(), angles.cos()])
    emb = w["time_mlp.1.weight"] @ emb + w["time_mlp.1.bias"]
    emb = w["time_mlp.3.weight"] @ F.gelu(emb) + w["time_mlp.3.bias"]

    def conv(name, x):
        weight = w[f"{name}.weight"]
        return F.conv2d(x, weight, w.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def norm(name, x):
        return x / x.square().mean(dim=1, keepdim=True).sqrt() * w[f"{name}.g"]

    def block(name, x):
        scale, shift = (w[f"{name}.mlp.1.weight"] @ F.silu(emb) + w[f"{name}.mlp.1.bias"]).chunk(2)
        h = norm(f"{name}.block1.norm", conv(f"{name}.block1.proj", x))
        h = F.silu(h * (scale[:, None, None] + 1) + shift[:, None, None])
        h = F.silu(norm(f"{name}.block2.norm", conv(f"{name}.block2.proj", h)))
        return h + (conv(f"{name}.res_conv", x) if f"{name}.res_conv.weight" in w else x)

    def attention(name, x):
        full = f"{name}.to_out.weight" in w
        memory = w[f"{name}.mem_kv"]
        heads = memory.shape[1]
        q, k, v = (one.flatten(1) for one in conv(f"{name}.to_qkv", norm(f"{name}.norm", x))[0].chunk(3))
        rows = []
        for head, (q_h, k_h, v_h) in enumerate(zip(*(one.chunk(heads) for one in (q, k, v)), strict=True)):
            mk, mv = (memory[i, head].T if full else memory[i, head] for i in (0, 1))
            keys, values = torch.cat([mk, k_h], 1), torch.cat([mv, v_h], 1)
            for_position = []
            for n in range(q_h.shape[1]):
                if full:
                    match = torch.stack([q_h[:, n] @ keys[:, j] for j in range(keys.shape[1])]) / len(q_h) ** 0.5
                    weight = match.softmax(0)
                else:
                    weight = keys.softmax(1).T @ q_h[:, n].softmax(0) / len(q_h) ** 0.5
                for_position.append(values @ weight)
            rows.append(torch.stack(for_position, 1))
        out = torch.cat(rows).unflatten(1, x.shape[2:])[None]
        return conv(f"{name}.to_out", out) if full else norm(f"{name}.to_out.1", conv(f"{name}.to_out.0", out))

    last = max(int(name.split(".")[1]) for name in w if name.startswith("downs."))
    x = first = conv("init_conv", x)
    kept = []
    for level in range(last + 1):
        x = block(f"downs.{level}.0", x)
        kept.append(x)
        x = block(f"downs.{level}.1", x)
        x = attention(f"downs.{level}.2", x) + x
        kept.append(x)
        if level < last:  # channel c of the four pixels: c * 4 + row * 2 + column
            four = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)], dim=2).flatten(1, 2)
            x = conv(f"downs.{level}.3.1", four)
        else:
            x = conv(f"downs.{level}.3", x)
    x = block("mid_block1", x)
    x = block("mid_block2", attention("mid_attn", x) + x)
    for up in range(last + 1):
        x = block(f"ups.{up}.0", torch.cat([x, kept.pop()], 1))
        x = block(f"ups.{up}.1", torch.cat([x, kept.pop()], 1))
        x = attention(f"ups.{up}.2", x) + x
        if up < last:
            x = conv(f"ups.{up}.3.1", x.repeat_interleave(2, 2).repeat_interleave(2, 3))
        else:
            x = conv(f"ups.{up}.3", x)
    return conv("final_conv", block("final_res_block", torch.cat([x, first], 1)))


BETAS = {
    "linear": torch.linspace(0.1 / T, 20 / T, T, dtype=torch.float64),
    "cosine": face.cosine(T).beta[1:],
    "sigmoid": None,
    "a table of betas": torch.linspace(0.01, 0.4, T, dtype=torch.float64) ** 1.5,
}


def _sigmoid():
    """As the paper writes it, then as betas."""
    at = [6 * t / T - 3 for t in range(T + 1)]
    alpha_bar = [1 / (1 + math.exp(-3)) - 1 / (1 + math.exp(-x)) for x in at]
    return torch.tensor([min(1 - a / b, 0.999) for b, a in pairwise(alpha_bar)], dtype=torch.float64)


BETAS["sigmoid"] = _sigmoid()


def diffusion(network, betas="sigmoid", objective="pred_v", cut=None):
    """The weights of a GaussianDiffusion: its network, and buffers in float32."""
    beta = BETAS[betas]
    alpha_bar = (1 - beta).cumprod(0)
    snr = alpha_bar / (1 - alpha_bar)
    clipped = snr if cut is None else snr.clamp(max=cut)
    weight = {"pred_noise": clipped / snr, "pred_x0": clipped, "pred_v": clipped / (snr + 1)}[objective]
    buffers = {"betas": beta, "alphas_cumprod": alpha_bar, "loss_weight": weight}
    return {name: one.float() for name, one in buffers.items()} | {f"model.{n}": one for n, one in network.items()}


def training(path, held, average=None, version="2.3.4"):
    """What the Trainer saves: here the average beside it is the weights and 1."""
    ema = (
        {name: one + 1 if name.startswith("model.") else one for name, one in held.items()}
        if average is None
        else average
    )
    moments = {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 8e-5}]}
    kept = {f"online_model.{name}": one for name, one in held.items()} | {
        f"ema_model.{n}": one for n, one in ema.items()
    }
    kept |= {"initted": torch.tensor(True), "step": torch.tensor(700)}
    torch.save({"step": 700, "model": held, "opt": moments, "ema": kept, "scaler": None, "version": version}, path)
    return path


@pytest.fixture
def network():
    torch.manual_seed(0)
    return weights_there()


def test_the_network_gives_what_theirs_does(tmp_path, network):
    """Read from a file of its training, at four times, in float64's absence to float32's rounding; and the average beside it."""
    foreign = read(training(tmp_path / "model-1.pt", diffusion(network)), Told((8,)))
    assert foreign.experiment.model == SHAPE
    assert foreign.step == 700
    ours = foreign.experiment.network().eval()
    x, t = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 20, 39])
    with torch.no_grad():
        for held, weights in ((foreign.raw, network), (foreign.ema, {n: one + 1 for n, one in network.items()})):
            ours.load_state_dict(dict(held))
            expected = computed(weights, x, t)
            assert float((ours(x, t) - expected).norm() / expected.norm()) < 2e-6


def test_every_weight_matters(tmp_path, network):
    """None is left where it was: a change of any of them changes what comes out."""
    foreign = read(training(tmp_path / "model-1.pt", diffusion(network)), Told((8,)))
    assert sum(one.numel() for one in foreign.raw.values()) == sum(one.numel() for one in network.values())
    assert foreign.experiment.size() == (len(foreign.raw), sum(one.numel() for one in foreign.raw.values()))
    ours = foreign.experiment.network().eval()
    ours.load_state_dict(dict(foreign.raw))
    x, t = torch.randn(1, 3, 8, 8), torch.tensor([5])
    with torch.no_grad():
        before = ours(x, t)
        for name, weight in ours.named_parameters():
            change = torch.randn_like(weight)
            weight.add_(change)
            assert not torch.equal(ours(x, t), before), name
            weight.sub_(change)


def test_the_lowest_frequency_is_told(tmp_path, network):
    path = training(tmp_path / "model-1.pt", diffusion(network))
    foreign = read(path, Told((8,), "--sinusoidal_pos_emb_theta 100"))
    ours = foreign.experiment.network().eval()
    ours.load_state_dict(dict(foreign.raw))
    x, t = torch.randn(1, 3, 8, 8), torch.tensor([39])
    with torch.no_grad():
        expected = computed(network, x, t, theta=100.0)
        assert float((ours(x, t) - expected).norm() / expected.norm()) < 2e-6
        assert float((expected - computed(network, x, t)).norm() / expected.norm()) > 1e-3


@pytest.mark.parametrize("betas", BETAS)
def test_the_schedule_is_found(tmp_path, network, betas):
    """By its name, with tables in float64, where it is one that they have; else as its numbers."""
    foreign = read(training(tmp_path / "model-1.pt", diffusion(network, betas)), Told((8,)))
    schedule = foreign.experiment.schedule.build(256)
    assert foreign.facts["schedule"] == f"{betas}, T = 40"
    exact = 1e-6 if betas in ("sigmoid", "a table of betas") else 1e-12
    torch.testing.assert_close(schedule.beta[1:], BETAS[betas], rtol=exact, atol=0)
    assert schedule.timestep_map[[1, T]].tolist() == [0, T - 1]
    assert foreign.experiment.process.variance == "fixed-small"


@pytest.mark.parametrize("betas", BETAS)
@pytest.mark.parametrize("cut", [None, 5, 1])
@pytest.mark.parametrize(("objective", "prediction"), [("pred_noise", "eps"), ("pred_x0", "x0"), ("pred_v", "v")])
def test_the_prediction_is_found(tmp_path, network, betas, cut, objective, prediction):
    """By what the loss was weighted with, whole or cut (min-SNR)."""
    foreign = read(training(tmp_path / "model-1.pt", diffusion(network, betas, objective, cut)), Told((8,)))
    assert foreign.experiment.process.prediction == prediction
    assert ("weights of the loss" in foreign.facts) == (cut is not None)


def test_the_prediction_is_told_where_nothing_tells_it(tmp_path, network):
    held = diffusion(network)
    held["loss_weight"] = torch.ones(T) * 2
    path = training(tmp_path / "model-1.pt", held)
    with pytest.raises(UsageError, match="what the network predicts"):
        read(path, Told((8,)))
    assert read(path, Told((8,), "--objective pred_x0")).experiment.process.prediction == "x0"


def test_a_learned_variance(tmp_path):
    """Of LearnedGaussianDiffusion, which reads eps whatever the objective is called; grey images."""
    held = diffusion(weights_there(channels=1, outputs=2))
    foreign = read(training(tmp_path / "model-1.pt", held), Told((8,)))
    assert foreign.experiment.process.variance == "learned"
    assert foreign.experiment.process.prediction == "eps"
    assert foreign.experiment.shape == (1, 8, 8)
    assert "from beta-tilde-1 (0, which they raise to 1e-20) to beta-1" in foreign.facts["variance"]


@pytest.mark.parametrize("t", [1, 2, T // 2, T])
def test_a_learned_variance_is_read_as_they_read_it(tmp_path, t):
    """By hand, as their p_mean_variance: the posterior's variance is cut off at 1e-20, which is all there is of it at t = 1."""
    path = training(tmp_path / "model-1.pt", diffusion(weights_there(channels=1, outputs=2)))
    experiment = read(path, Told((8,))).experiment
    p = experiment.reverse_process(experiment.network(), "unit-clamp", experiment.schedule.build(256))
    beta = [float(one) for one in BETAS["sigmoid"]]
    bar = [1.0]
    for one in beta:
        bar.append(bar[-1] * (1 - one))
    low = math.log(max(beta[t - 1] * (1 - bar[t - 1]) / (1 - bar[t]), 1e-20))
    high = math.log(beta[t - 1])
    assert (low == math.log(1e-20)) == (t == 1)
    v = torch.linspace(-1.5, 1.5, 64).view(1, 1, 8, 8)
    expected = [(x + 1) / 2 * high + (1 - (x + 1) / 2) * low for x in v.flatten().tolist()]
    found = p.variance.log_var(p.schedule, v, torch.tensor([t]), v)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_the_bound_of_a_learned_variance_is_finite(tmp_path, ddpm):
    """However narrow the decoder is at t = 1; and another rule for it gives other bits of L_0 alone."""
    weights = weights_there(channels=1, outputs=2)
    weights["final_conv.weight"] *= 0.01  # a range that a trained network would choose from
    path = training(tmp_path / "model-1.pt", diffusion(weights))
    said = ddpm("import", path, tmp_path / "run", "--resolution", 8)
    assert "at t = 1 from beta-tilde-1" in said.out + said.err
    images = torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8).numpy()
    theirs, ours = (
        face.load(tmp_path / "run", "raw", settings=how).bits_per_dim(images, progress=False)
        for how in ({}, {"process.sigma_1": "beta-tilde-2"})
    )
    assert math.isfinite(theirs.total)
    assert theirs.by_t[2:] == pytest.approx(ours.by_t[2:], rel=1e-6)
    assert theirs.L_0 > 1.01 * ours.L_0


REFUSED = {
    "self_condition": lambda w: weights_there(channels=6),
    "a learned or random embedding of time": lambda w: w | {"time_mlp.0.weights": torch.zeros(8)},
    "the class-conditional network": lambda w: w | {"classes_emb.weight": torch.zeros(10, 8)},
    "a version before 2.0": lambda w: w | {"downs.0.0.block1.norm.weight": torch.zeros(6)},
    "images of 1 axes": lambda w: w | {"init_conv.weight": torch.zeros(6, 3, 7)},
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_networks_are_refused_by_name(tmp_path, network, what):
    with pytest.raises(UsageError, match=what):
        read(training(tmp_path / "model-1.pt", diffusion(REFUSED[what](network))), Told((8,)))


@pytest.mark.parametrize(
    ("held", "told", "kind", "said"),
    [
        (diffusion, Told(), UsageError, "how large its images are"),
        (diffusion, Told((9,)), UsageError, "multiples of 2"),
        (diffusion, Told((8,), "--auto_normalize False"), UsageError, r"\[0, 1\]"),
        (diffusion, Told((8,), "--dim 64"), UsageError, "--dim"),
        (diffusion, Told((8,), "--objective noise"), UsageError, "pred_noise"),
        (lambda w: w, Told((8,)), UsageError, "without the schedule"),
        (lambda w: diffusion(w | {"odd.weight": torch.ones(3)}), Told((8,)), Mismatch, "odd.weight"),
        (lambda w: diffusion({n: one for n, one in w.items() if n != "ups.0.2.norm.g"}), Told((8,)), Mismatch, "ups.0.2.norm.g"),
        (lambda w: diffusion(w | {"final_conv.weight": torch.ones(5, 6, 1, 1)}), Told((8,)), Mismatch, "5 channels for 3"),
        (lambda w: diffusion(w) | {"betas": torch.zeros(T)}, Told((8,)), DataError, "betas"),
        (lambda w: diffusion(w | {"downs.0.2.mem_kv": torch.ones(2, 2**21, 1, 1)}), Told((8,)), DataError, "asks for"),
        (lambda w: diffusion(w | {"time_mlp.1.weight": torch.ones(32, 7)}), Told((8,)), DataError, "in pairs"),
    ],
)  # fmt: skip
def test_files_that_are_wrong(tmp_path, network, held, told, kind, said):
    torch.save(held(network), tmp_path / "model.pt")
    with pytest.raises(kind, match=said):
        read(tmp_path / "model.pt", told)


def test_a_run_of_it_does_what_every_run_does(tmp_path, network, ddpm):
    """Imported, written, opened again: samples, bound, latents, edits; and a training begins with it and goes on."""
    path = training(tmp_path / "model-1.pt", diffusion(network))
    said = ddpm("import", path, tmp_path / "run", "--resolution", 8)
    assert said.code == 0, said.err
    model = face.load(tmp_path / "run")
    assert model.experiment.model == SHAPE
    shown = model.sample(3, seed=1, steps=5, progress=False)
    assert torch.equal(model.sample(3, seed=1, steps=5, progress=False).tensor, shown.tensor)
    first = shown[0]
    found = model.bits_per_dim(shown, progress=False)
    assert math.isfinite(found.total)
    assert found.T == T
    assert model.interpolate(first, shown[1], timestep=10, num=3, progress=False).tensor.shape == (3, 3, 8, 8)
    mask = torch.zeros(8, 8)
    mask[:4] = 1
    held = model.inpaint(first, mask, 1, steps=3, progress=False).tensor[0]
    assert held.shape == (3, 8, 8)
    assert model.edit(first, 1, timestep=5, progress=False).tensor.shape == (1, 3, 8, 8)
    assert model.encode(shown, steps=4, progress=False).shape == (3, 3, 8, 8)
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8).numpy()
    quiet = {"rhythm.evaluate": 0, "rhythm.sample": 0}
    begun = {"init_from": tmp_path / "run", "settings": quiet, "progress": False}
    tuned = face.fit(images, tmp_path / "tuned", steps=2, batch_size=4, **begun)
    assert tuned.experiment.model == SHAPE
    assert tuned.step == 2
    with pytest.raises(UsageError, match="UNet2DModel"):
        export(model.loaded, tmp_path / "out", "diffusers")


def test_its_configuration_is_written_and_read():
    """And what is wrong in it is told by its place."""
    experiment = Experiment(model=SHAPE)
    values = json.loads(json.dumps(spelled(experiment)))
    assert values["model"]["kind"] == "lucidrains"
    assert from_dict(values) == experiment
    for change, said in (
        ({"kind": "other"}, "other"),
        ({"widths": [0, 8]}, "wrong value for model.widths: 0: it must be at least 1"),
        ({"groups": 8}, "groups"),
        ({"classes": "all"}, "model.classes"),
        ({"heads": [1]}, "levels have attention each"),
        ({"attention": [2]}, "the levels are 0..1"),
    ):
        with pytest.raises(UsageError, match=said):
            from_dict({**values, "model": {**values["model"], **change}})
