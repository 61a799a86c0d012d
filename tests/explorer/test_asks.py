"""What the page is told is what the library computes."""

import base64
import json
import math

import numpy as np
import pytest
import torch

import ddpm
from ddpm.diffusion.bound import bits_per_dim, term
from ddpm.errors import UsageError
from ddpm.explorer import wire
from ddpm.explorer.asks import ASKS, answers
from ddpm.explorer.asks.forward import PURPOSE, coarse_first
from ddpm.explorer.asks.schedule import Asked, bound_on, schedule_of
from ddpm.sampling.optimal import Curve
from ddpm.seeds import generator


def asked(subject, ask, /, **parameters):
    """All answers, through JSON."""
    return [json.loads(wire.text(answer)[6:]) for answer in answers(subject, ask, parameters) if answer is not None]


def tensor(array):
    return torch.from_numpy(np.frombuffer(base64.b64decode(array["float32"]), "<f4").reshape(array["shape"]).copy())


@pytest.mark.parametrize("t", [0, 1, 7, 20])
def test_noised(subject, t):
    x_0, p = subject.x_0[2:3], subject.model.process
    (found,) = asked(subject, "noised", x_0=wire.array(x_0), t=t, seed=4)
    eps = torch.randn(x_0.shape, generator=generator(4, PURPOSE))
    x_t = p.q.sample(x_0, t, eps)
    assert torch.equal(tensor(found["x_t"]), x_t)
    estimate = subject.model.estimate(x_t, t) if t else x_0
    assert torch.equal(tensor(found["x_0"]), estimate)
    assert found["rmse"] == pytest.approx(127.5 * float((estimate - x_0).square().mean().sqrt()))
    ratio = float(p.schedule.snr[t])
    assert found["log_snr"] == (pytest.approx(math.log(ratio)) if t else None)


def test_terms_are_those_of_the_bound(subject):
    """Each t once, few first; their mean over seeds is the bound of the library."""
    x_0, p, T = subject.x_0[:1], subject.model.process, subject.model.schedule.T
    found = asked(subject, "terms", x_0=wire.array(x_0), seed=1)
    assert found[-1] == {"done": True}
    pairs = [pair for answer in found[:-1] for pair in zip(answer["t"], answer["bits"], strict=True)]
    assert sorted(t for t, _ in pairs) == list(range(1, T + 2))
    for t, bits in pairs:
        if t <= T:
            x_t = p.q.sample(x_0, t, torch.randn(x_0.shape[1:], generator=generator(1, PURPOSE, t))[None])
            with torch.no_grad():
                nats, _ = term(p, x_0, x_t, t)
            assert bits == pytest.approx(float(bits_per_dim(nats, 64)), rel=1e-4, abs=1e-7)
    many = [
        sum(b for a in asked(subject, "terms", x_0=wire.array(x_0), seed=s)[:-1] for b in a["bits"]) for s in range(40)
    ]
    bound = ddpm.bound(p, x_0.repeat(40, 1, 1, 1), levels=17)
    error = np.hypot(np.std(many) / math.sqrt(40), bound.stderr)
    assert abs(np.mean(many) - bound.total) < 4 * error


@pytest.mark.parametrize("T", [1, 2, 20, 33, 250, 1000])
def test_every_step_once_and_few_first(T):
    parts = list(coarse_first(T))
    assert sorted(t for part in parts for t in part) == list(range(1, T + 1))
    assert {1, 2, T} & set(range(1, T + 1)) == set(parts[0]), "L_0 is unlike its neighbours"
    first = sorted(t for part in parts[:2] for t in part)
    assert max(np.diff([*first, T])) <= max(1, 2 * T / 16)


def test_costly(subject):
    found = asked(subject, "costly", t=5, count=4)[-1]
    assert found["bits"] == sorted(found["bits"], reverse=True)
    pixels = tensor(found["pixels"])
    assert pixels.mean(dim=(1, 2, 3)).tolist() == pytest.approx(found["bits"], rel=1e-5)
    assert torch.equal(tensor(found["x_0"]), subject.x_0[found["rows"]])
    x_t, p = tensor(found["x_t"]), subject.model.process
    with torch.no_grad():
        nats, estimate = term(p, subject.x_0[found["rows"]], x_t, 5)
    assert bits_per_dim(nats, 64).tolist() == pytest.approx(found["bits"], rel=1e-4)
    assert torch.allclose(estimate, tensor(found["estimate"]), atol=1e-5)


def test_schedules_and_the_bound_on_them(subject):
    """The tables are the library's, and on the model's own schedule the measured error is not moved."""
    tables, *_, last = asked(subject, "schedule")
    own = subject.model.schedule
    assert tables["beta"] == pytest.approx(own.beta[1:].tolist())
    curve = subject.curve
    jumps = [0.5 * math.log1p(float(own.snr[t - 1] - own.snr[t]) * float(curve.mse_x_0[t])) for t in range(2, 21)]
    assert last["bits"] == pytest.approx([b / math.log(2) for b in (float(curve.L_0[1]), *jumps)])
    assert last["total"] == pytest.approx(sum(last["bits"]))
    assert last["kept"][-1] == 20
    assert asked(subject, "schedule", keep=20)[-1]["kept_total"] == pytest.approx(last["total"])
    cosine, *_ = asked(subject, "schedule", name="cosine", T=50)
    assert cosine["alpha_bar"] == pytest.approx(ddpm.SCHEDULES["cosine"](50).alpha_bar[1:].tolist())
    same, *_, moved = asked(subject, "schedule", log_snr=own.log_snr[1:].tolist())
    assert moved["bits"] == pytest.approx(last["bits"], rel=1e-6)
    assert same["beta"] == pytest.approx(tables["beta"], rel=1e-6)


def test_weights_are_those_of_equation_12(subject):
    """Against the library's own table, which tests/diffusion holds to the specification."""
    from ddpm.diffusion.objective import weights
    from ddpm.diffusion.variance import FixedSmall

    found, *_ = asked(subject, "schedule", name="linear", T=30)
    own = weights(ddpm.linear(30), FixedSmall())
    assert found["weights"][1:] == pytest.approx(own[2:].tolist())


def test_finer_schedules_cost_less(subject):
    """More steps between the same ends, for the exact error of Gaussian data, 1 / (1 + SNR): each jump is refined."""
    own = ddpm.SCHEDULES["log-snr"](2000, 1 / 16)
    exact = Curve(1 / (1 + own.snr), 1 / (1 + own.snr), torch.full_like(own.snr, 2.0))
    totals = []
    for T in (10, 100, 1000):
        fine = Asked(log_snr=np.linspace(*own.log_snr[[1, -1]].tolist(), T).tolist())
        totals.append(bound_on(schedule_of(subject, fine), own, exact, 5)["total"])
    assert totals == sorted(totals, reverse=True)
    log_ratio = math.log((1 + float(own.snr[1])) / (1 + float(own.snr[-1])))
    assert totals[-1] == pytest.approx((2.0 + log_ratio / 2) / math.log(2), rel=1e-3), (
        "the integral of the error over SNR"
    )


def test_images_and_code(subject):
    (found,) = asked(subject, "images", first=3, count=4)
    assert torch.equal(tensor(found["x_0"]), subject.x_0[3:7])
    assert found["total"] == 20
    (code,) = asked(subject, "code", name="q.sample")
    assert code["file"] == "ddpm/diffusion/forward.py"
    assert "def sample" in code["text"]
    (model,) = asked(subject, "model")
    assert (model["T"], model["shape"], model["levels"]) == (20, [1, 8, 8], 17)


X_0 = {"shape": [1, 1, 8, 8], "float32": base64.b64encode(bytes(256)).decode()}
WRONG = [
    ("noised", {}),
    ("noised", {"x_0": X_0, "t": -1}),
    ("noised", {"x_0": X_0, "t": 21}),
    ("noised", {"x_0": X_0, "t": 1.5}),
    ("noised", {"x_0": X_0, "t": "1"}),
    ("noised", {"x_0": X_0, "t": 1, "seed": -1}),
    ("noised", {"x_0": X_0, "t": 1, "more": 1}),
    ("noised", {"x_0": {**X_0, "shape": [1, 1, 8, 9]}, "t": 1}),
    ("noised", {"x_0": {**X_0, "shape": [1, 1, 8, True]}, "t": 1}),
    ("noised", {"x_0": {**X_0, "shape": [10**9] * 4}, "t": 1}),
    ("noised", {"x_0": {**X_0, "float32": "????"}, "t": 1}),
    ("noised", {"x_0": {**X_0, "float32": X_0["float32"][:-8]}, "t": 1}),
    ("noised", {"x_0": {**X_0, "float32": base64.b64encode(b"\x00\x00\xc0\x7f" * 64).decode()}, "t": 1}),
    ("images", {"count": 65}),
    ("images", {"first": 256}),
    ("code", {"name": "os.system"}),
    ("costly", {"t": 0}),
    ("terms", {"x_0": X_0, "t": 1}),
    ("costly", {"t": 21}),
    ("schedule", {"name": "../x"}),
    ("schedule", {"log_snr": [1.0, 2.0]}),
    ("schedule", {"log_snr": [1.0] * 5000}),
    ("schedule", {"T": 10**9}),
    ("reverse", {"count": 17}),
    ("bits", {"x_0": X_0, "bytes": 0}),
    ("between", {"a": X_0, "b": X_0, "t": 5, "count": 2}),
    ("copies", {"x": None}),
    ("copies", {"x": {"shape": [17, 1, 8, 8], "float32": base64.b64encode(bytes(17 * 256)).decode()}}),
    ("training", {"known": -2}),
    ("together", {"asks": []}),
    ("together", {"asks": [{"name": "together", "parameters": {}}]}),
    ("together", {"asks": [{"name": "model", "parameters": {}}] * 9}),
    ("nothing", {}),
]


@pytest.mark.parametrize(("name", "given"), WRONG)
def test_wrong_parameters_are_refused(subject, name, given):
    with pytest.raises((UsageError, wire.NoAsk)) as refused:
        list(answers(subject, name, given))
    assert len(str(refused.value)) < 300


def test_wrong_parameters_are_tried_of_every_ask():
    assert {name for name, _ in WRONG} - {"nothing", "together"} == set(ASKS) - {"model"}


def test_what_is_not_finite_is_null():
    assert json.loads(wire.text({"a": [math.inf, 1.0, {"b": math.nan}]})[6:]) == {"a": [None, 1.0, {"b": None}]}
