"""What the page answers by its own engine, held to the library: numbers of the same noise, refusals, an end in the middle."""

import json

import pytest
import torch

import ddpm
from ddpm.diffusion import bound
from ddpm.errors import UsageError
from ddpm.explorer import asks
from ddpm.explorer.asks import schedule
from ddpm.explorer.export import model_of
from ddpm.explorer.model_data import FULL, process_data, variance_data
from ddpm.explorer.subject import GIVEN, Subject
from ddpm.explorer.wire import NoAsk
from ddpm.sampling.optimal import Curve
from tests.explorer.conftest import tiny
from tests.explorer.harness import array, ask, tensor

IMAGES = 5


@pytest.fixture(scope="module")
def trained():
    """The model that comes with the package."""
    return ddpm.load("ddpm:mnist")


@pytest.fixture(scope="module")
def images():
    return torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(0)) / 127.5 - 1


@pytest.fixture(scope="module")
def curve():
    """Of no network."""
    steps = torch.arange(1001, dtype=torch.float64)
    return Curve(1e-4 + (steps / 1000) ** 2, steps + 1, 1.5 + steps / 1000)


@pytest.fixture(scope="module")
def data(trained, images, curve):
    return model_of(Subject(trained, images, torch.full((IMAGES,), -1), GIVEN, curve), FULL)


def answers(place, data, *each):
    return ask(place, "asked", model=data, each=[[name, given, *more] for name, given, *more in each])


def first_steps(data, T):
    """The model on its first steps alone: a chain that takes no time."""
    tables = {name: data["process"][name][: T + 1] for name in ("beta", "timestep_map")}
    return data | {"process": data["process"] | tables}


def test_about(tmp_path, trained, images, data):
    """The model and its images, code, and what is refused."""
    found = answers(
        tmp_path,
        data,
        ("model", {}),
        ("images", {"first": 1, "count": 3}),
        ("images", {"first": 99}),
        ("code", {"name": "p"}),
        ("code", {"name": "toString"}),
        ("nothing", {}),
        ("noised", {"x_0": array(images[:1, :, 1:]), "t": 3}),
        ("noised", {"x_0": array(images[:1] * torch.nan), "t": 3}),
        ("noised", {"x_0": array(images[:1]), "t": 1001}),
        ("reverse", {"sampler": "heun"}),
        ("reverse", {"count": 17}),
        ("reverse", {"x_0": array(images[:1]), "hole": array(torch.zeros(1, 1, 28, 28))}),
    )
    (about,), (some,), (none,), (code,), *refused = found
    assert (about["T"], about["shape"], about["parameters"]) == (1000, [1, 28, 28], 280_322)
    assert about["alpha_bar"] == pytest.approx(trained.schedule.alpha_bar.tolist(), rel=1e-12)
    assert 0 < about["seconds"] < 5
    assert "/" not in about["name"]
    assert about["exported"] is True
    torch.testing.assert_close(tensor(some["x_0"]), images[1:4], rtol=0, atol=1e-6)
    assert (some["labels"], none["x_0"]["shape"]) == ([None] * 3, [0, 1, 28, 28])
    assert code["file"] == "ddpm/diffusion/reverse.py"
    assert "posterior_mean" in code["text"]
    words = ("code", "nothing", "1 x 1 x 28", "finite", "0..1000", "heun", "1..16", "empty")
    for message, word in zip(refused, words, strict=True):
        assert isinstance(message, str), message
        assert word in message


def test_noised(tmp_path, trained, images, data):
    """x_t lies on one path, whose noise the seed gives; the estimate and its error are the library's."""
    each = [("noised", {"x_0": array(images[:1]), "t": t, "seed": 3}) for t in (0, 1, 300, 1000)]
    paths = []
    for (_, given), (found,) in zip(each, answers(tmp_path, data, *each), strict=True):
        t, x_t = given["t"], tensor(found["x_t"])
        if t == 0:
            torch.testing.assert_close(x_t, images[:1], rtol=0, atol=1e-6)
            continue
        if t > 1:  # at t = 1 little noise is left to tell it from
            paths.append(trained.process.q.noise(x_t, images[:1], t))
        expected = trained.estimate(x_t, t)
        assert float((tensor(found["x_0"]) - expected).abs().max()) < 1e-3
        assert found["rmse"] == pytest.approx(127.5 * float((expected - images[:1]).square().mean().sqrt()), rel=1e-3)
        assert found["log_snr"] == pytest.approx(float(trained.schedule.log_snr[t]))
    torch.testing.assert_close(paths[0], paths[1], rtol=0, atol=1e-4)
    assert abs(float(paths[0].mean())) < 0.15
    assert float(paths[0].std()) == pytest.approx(1, abs=0.15)


def test_terms_and_abort(tmp_path, trained, images, data):
    """L_T first, then few t's evenly; and nothing more once the page has turned away."""
    given = {"x_0": array(images[:1]), "seed": 1}
    whole, cut = answers(tmp_path, first_steps(data, 12), ("terms", given), ("terms", given, 2))
    L_T, *parts, last = whole
    times = [t for part in parts for t in part["t"]]
    assert L_T["t"] == [13]
    assert sorted(times) == list(range(1, 13))
    assert times[:3] == [12, 1, 8]
    assert last == {"done": True}
    assert len(cut) == 2
    bits = {t: bit for part in parts for t, bit in zip(part["t"], part["bits"], strict=True)}
    beta = trained.schedule.beta[:13].clone()
    p = ddpm.ReverseProcess(trained.network, ddpm.Schedule(beta), variance=trained.process.variance)
    prior = bound.bits_per_dim(bound.prior(p.q, images[:1]), 784)
    assert L_T["bits"][0] == pytest.approx(float(prior), rel=1e-4)
    for t in (1, 6, 12):  # other noise than the page's: near, and not the same
        with torch.no_grad():
            eps = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(t))
            x_t = p.q.sample(images[:1], t, eps)
            nats, _ = bound.term(p, images[:1], x_t, t)
        assert bits[t] == pytest.approx(float(bound.bits_per_dim(nats, 784)), rel=0.2)


def test_reverse(tmp_path, images, data):
    """From noise, from an image, around a hole; image i is the same in a larger batch."""
    hole = torch.zeros(1, 1, 28, 28)
    hole[..., 7:21, 7:21] = 1
    few = {"sampler": "dpm-solver", "steps": 4}
    found = answers(
        tmp_path,
        data,
        ("reverse", {**few, "count": 1}),
        ("reverse", {**few, "count": 2}),
        ("reverse", {**few, "x_0": array(images[:1]), "t": 1, "seed": 5}),
        ("reverse", {**few, "x_0": array(images[:1]), "hole": array(hole)}),
    )
    one, two, near, filled = ([*steps, done][:-1] for *steps, done in found)
    assert [[step["t"] for step in steps] for steps in (one, near)] == [[667, 334, 1, 0], [0]]
    assert [step["evaluations"] for step in one] == [1, 2, 3, 4]
    torch.testing.assert_close(tensor(two[-1]["x"])[:1], tensor(one[-1]["x"]), rtol=0, atol=1e-5)
    assert not torch.equal(tensor(two[-1]["x"])[:1], tensor(two[-1]["x"])[1:])
    assert float((tensor(near[-1]["x"]) - images[:1]).square().mean().sqrt()) < 0.2
    known = hole == 0
    torch.testing.assert_close(tensor(filled[-1]["x"])[known], images[:1][known], rtol=0, atol=1e-6)


def test_steps_around_a_hole_are_counted(tmp_path, images, data):
    """As the server counts them: those that are made again too."""
    hole = torch.zeros(1, 1, 28, 28)
    hole[..., 7:21, 7:21] = 1
    given = {"x_0": array(images[:1]), "hole": array(hole), "sampler": "dpm-solver", "steps": 4}
    (found,) = answers(tmp_path, data, ("reverse", given | {"resamplings": 3, "jump": 1}))
    assert [step["evaluations"] for step in found[:-1]][-1] == 4 + 2 * 1 * 3
    assert found[-2]["t"] == 0
    known = hole == 0
    torch.testing.assert_close(tensor(found[-2]["x"])[known], images[:1][known], rtol=0, atol=1e-6)


REFUSED = [
    ("model", {"more": 1}, "more"),
    ("reverse", {"eta": 1}, "eta"),
    ("reverse", {"spacing": "uniform"}, "spacing"),
    ("reverse", {"seed": -1}, "seed"),
    ("reverse", {"seed": 2**31}, "seed"),
    ("reverse", {"steps": 0}, "steps"),
    ("reverse", {"resamplings": 11}, "resamplings"),
    ("reverse", {"jump": 0}, "jump"),
    ("reverse", {"hole": array(torch.ones(1, 1, 28, 28))}, "x_0 is needed"),
    ("costly", {"t": 5, "label": 1}, "label"),
    ("together", {"asks": []}, "number of asks"),
    ("together", {"asks": [{"name": "together", "parameters": {}}]}, "no ask together"),
    ("together", {"asks": [{"name": "model", "parameters": {"more": 1}}]}, "more"),
]


def test_what_the_server_refuses_is_refused(tmp_path, trained, images, data):
    """Parameters that an ask does not take, and values that are out of bounds."""
    subject = Subject(trained, images, torch.full((IMAGES,), -1), GIVEN, None)
    for message, (name, given, word) in zip(
        answers(tmp_path, data, *((name, given) for name, given, _ in REFUSED)), REFUSED, strict=True
    ):
        assert isinstance(message, str) and word in message, (name, given, message)
        with pytest.raises((UsageError, NoAsk)):
            list(asks.answers(subject, name, given))
    for name, (kind, _) in asks.ASKS.items():  # what the page may ask of both has the same parameters
        if name in ("bits", "between", "copies", "training"):
            continue
        (one,) = answers(tmp_path, data, (name, dict.fromkeys(kind.model_fields, None) | {"beyond": 1}))
        assert one == "beyond: there is no such parameter", name


def test_schedule(tmp_path, trained, images, data, curve):
    """Another schedule, its tables, and the bound on it from the measured error: what the server says."""
    subject = Subject(trained, images, torch.full((IMAGES,), -1), GIVEN, curve)
    falling = torch.linspace(7, -12, 300).tolist()
    each = [{"keep": 5}, {"name": "cosine", "T": 50}, {"name": "linear"}, {"log_snr": falling, "keep": 3}]
    refused = [{"name": "nothing"}, {"log_snr": [1, 2]}, {"name": "linear", "T": 5000}, {"keep": 0}]
    found = answers(tmp_path, data, *(("schedule", asked) for asked in each + refused))
    for asked, (tables, bound_there) in zip(each, found, strict=False):
        tables_right, bound_right = schedule.schedule(subject, schedule.Asked(**asked))
        assert list(tables) == list(tables_right)
        for name in ("beta", "alpha_bar", "log_snr"):
            assert tables[name] == pytest.approx(tables_right[name], rel=1e-9)
        assert tables["weights"][1:] == pytest.approx(tables_right["weights"][1:], rel=1e-9)
        assert set(bound_there) == set(bound_right)
        assert bound_there["kept"] == bound_right["kept"]
        assert bound_there["bits"] == pytest.approx(bound_right["bits"], rel=1e-9)
        for name in ("total", "kept_total", "L_T"):
            assert bound_there[name] == pytest.approx(bound_right[name], rel=1e-5)
    for message, word in zip(found[4:], ("nothing", "fall", "4000", "1..100"), strict=True):
        assert word in message


def test_costly(tmp_path, trained, images, data):
    """The images that cost most, and the bits of each pixel, which sum to the image's."""
    ((found,),) = answers(tmp_path, data, ("costly", {"t": 500, "count": 2}))
    pixels, x_t = tensor(found["pixels"]), tensor(found["x_t"])
    assert found["bits"] == sorted(found["bits"], reverse=True)
    assert pixels.mean((1, 2, 3)).tolist() == pytest.approx(found["bits"], rel=1e-5)
    with torch.no_grad():
        nats, _ = bound.term(trained.process, images[found["rows"]], x_t, 500)
    assert found["bits"] == pytest.approx(bound.bits_per_dim(nats, 784).tolist(), rel=1e-3)


def test_classes(tmp_path):
    """A model with classes is told the label of an image, and guided by it; -1 says nothing."""
    trained = tiny(classes=3)
    with torch.no_grad():
        for parameter in trained.network.parameters():  # so that the class has a say
            parameter.add_(0.1 * torch.randn_like(parameter))
    digits = ddpm.images("digits")[:3].tensor
    some = torch.full((21,), 0.1, dtype=torch.float64)
    data = model_of(Subject(trained, digits, torch.tensor([2, 0, -1]), GIVEN, Curve(some, some, some)), FULL)
    given = {"x_0": array(digits[:1]), "t": 9}
    *noised, (shown,), guided, plain = answers(
        tmp_path,
        data,
        ("noised", given),
        ("noised", given | {"label": 2}),
        ("images", {"count": 3}),
        ("reverse", {"sampler": "ddim", "steps": 2, "label": 1, "guidance": 3.0}),
        ("reverse", {"sampler": "ddim", "steps": 2, "label": 1}),
    )
    assert shown["labels"] == ["2", "0", None]
    for label, (found,) in zip((None, 2), noised, strict=True):
        expected = trained.estimate(tensor(found["x_t"]), 9, label)
        assert float((tensor(found["x_0"]) - expected).abs().max()) < 1e-4
    assert noised[0][0]["x_0"] != noised[1][0]["x_0"]
    assert [step["evaluations"] for step in guided[:-1]] == [2, 4]
    assert [step["evaluations"] for step in plain[:-1]] == [1, 2]


def test_refused():
    """What a page cannot express is refused when it is made."""
    p = ddpm.ReverseProcess(lambda x_t, timestep: x_t, ddpm.linear(), limit=lambda x_0: x_0)
    with pytest.raises(UsageError, match="limit"):
        process_data(p)
    with pytest.raises(UsageError, match="whole chain"):
        process_data(p.respace([1, 1000]))
    steps = torch.ones(1001, dtype=torch.float64)
    with pytest.raises(UsageError, match="Optimal"):
        variance_data(ddpm.ReverseProcess(p.network, p.schedule, variance=ddpm.diffusion.variance.Optimal(steps)))


def test_json(data):
    """All that goes into the page is plain JSON."""
    assert json.loads(json.dumps(data, allow_nan=False))["version"]
