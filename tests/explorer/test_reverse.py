"""The chains that the page asks for are those of the library, to the bit."""

import base64
import json

import numpy as np
import pytest
import torch

from ddpm.errors import UsageError
from ddpm.explorer import wire
from ddpm.explorer.asks import answers
from ddpm.explorer.subject import GIVEN, Subject
from tests.explorer.conftest import tiny

QUIET = {"progress": False}


def reverse(subject, **parameters):
    """All answers, through JSON."""
    return [json.loads(wire.text(answer)[6:]) for answer in answers(subject, "reverse", parameters)]


def tensor(array):
    return torch.from_numpy(np.frombuffer(base64.b64decode(array["float32"]), "<f4").reshape(array["shape"]).copy())


def ended(found):
    """The images at the end of a chain."""
    assert found[-1] == {"done": True}
    assert found[-2]["t"] == 0
    return tensor(found[-2]["x"]).clamp(-1, 1)


def half():
    """A hole: the lower half of an image."""
    hole = torch.zeros(1, 1, 8, 8)
    hole[:, :, 4:] = 1
    return hole


@pytest.mark.parametrize(
    ("sampler", "steps"), [("ancestral", None), ("ddim", 5), ("dpm-solver", 4), ("heun", 3), ("unipc", 20)]
)
def test_samples(subject, sampler, steps):
    found = reverse(subject, count=3, sampler=sampler, steps=steps, seed=6)
    own = subject.model.sample(3, sampler=sampler, steps=steps, seed=6, **QUIET)
    assert torch.equal(ended(found), own.tensor)
    chain = list(subject.model.chain(3, sampler=sampler, steps=steps, seed=6))
    assert len(chain) == len(found) - 1
    for answer, step in zip(found, chain, strict=False):
        assert torch.equal(tensor(answer["x"]), step.x)
        assert torch.equal(tensor(answer["x_0"]), step.x_0)


def test_times_are_those_of_the_whole_chain(subject):
    """And evaluations are counted: two of each of Heun's steps but the last."""
    found = reverse(subject, sampler="ddim", steps=4)
    assert [answer["t"] for answer in found[:-1]] == [14, 7, 1, 0]
    assert [answer["evaluations"] for answer in found[:-1]] == [1, 2, 3, 4]
    assert reverse(subject, sampler="heun", steps=4)[-2]["evaluations"] == 7


@pytest.mark.parametrize(("t", "steps"), [(20, None), (12, 5), (1, None), (7, 100)])
def test_from_the_x_t_of_an_image(subject, t, steps):
    """More steps than there are up to t are all of them."""
    x_0 = subject.x_0[2:3]
    found = reverse(subject, x_0=wire.array(x_0), t=t, count=2, sampler="dpm-solver", steps=steps, seed=3)
    some = None if steps is None else min(steps, t)
    own = subject.model.edit(x_0[0], 2, timestep=t, sampler="dpm-solver", steps=some, seed=3, **QUIET)
    assert torch.equal(ended(found), own.tensor)


@pytest.mark.parametrize(("resamplings", "jump"), [(1, 1), (3, 2)])
def test_around_a_hole(subject, resamplings, jump):
    """What is known stays; t has no meaning there."""
    x_0, hole = subject.x_0[3:4], half()
    how = {"sampler": "ancestral", "steps": 8, "seed": 2}
    found = reverse(
        subject, x_0=wire.array(x_0), hole=wire.array(hole), t=5, count=2, resamplings=resamplings, jump=jump, **how
    )
    own = subject.model.inpaint(
        x_0[0], hole[0, 0] > 0, 2, method="ddnm", resamplings=resamplings, jump=jump, **how, **QUIET
    )
    made = ended(found)
    assert torch.equal(made, own.tensor)
    assert torch.allclose(made[:, :, :4], x_0[:, :, :4].expand(2, -1, -1, -1), atol=1e-6)
    assert not torch.equal(made[0, :, 4:], made[1, :, 4:])
    assert found[-2]["evaluations"] == 8 + (resamplings - 1) * jump * 3


def test_of_a_class_and_guided():
    model = tiny(classes=3)
    some = Subject(model, torch.zeros(1, 1, 8, 8), torch.tensor([-1]), GIVEN)
    for label, guidance, own in (
        (1, 1.0, {"label": 1}),
        (1, 3.0, {"label": 1, "guidance": 3.0}),
        (-1, 3.0, {"label": "none"}),
    ):
        found = reverse(some, count=2, sampler="ddim", steps=4, label=label, guidance=guidance)
        assert torch.equal(ended(found), model.sample(2, sampler="ddim", steps=4, **own, **QUIET).tensor), label


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"count": 0}, "count"),
        ({"count": 17}, "count"),
        ({"steps": 0}, "steps"),
        ({"sampler": "magic"}, "magic"),
        ({"spacing": "magic"}, "spacing"),
        ({"seed": -1}, "seed"),
        ({"guidance": float("nan")}, "guidance"),
        ({"resamplings": 0}, "resamplings"),
        ({"jump": 0}, "jump"),
        ({"eta": 1}, "eta"),
        ({"x_0": "photo.png", "t": 3}, "x_0"),
        ({"x_0": wire.array(torch.zeros(1, 1, 8, 9)), "t": 3}, "x_0 has the shape"),
        ({"x_0": wire.array(torch.zeros(1, 1, 8, 8))}, "t is needed"),
        ({"x_0": wire.array(torch.zeros(1, 1, 8, 8)), "t": 0}, "t is needed"),
        ({"x_0": wire.array(torch.zeros(1, 1, 8, 8)), "t": 21}, "1..20"),
        ({"x_0": wire.array(torch.zeros(1, 1, 8, 8)), "hole": wire.array(torch.zeros(1, 1, 8, 8))}, "nothing to fill"),
        (
            {"x_0": wire.array(torch.zeros(1, 1, 8, 8)), "hole": wire.array(torch.ones(1, 1, 4, 4))},
            "hole has the shape",
        ),
        ({"hole": wire.array(half())}, "x_0 is needed"),
    ],
)
def test_what_is_refused(subject, parameters, word):
    with pytest.raises((UsageError, wire.NoAsk), match=word):
        reverse(subject, **parameters)
