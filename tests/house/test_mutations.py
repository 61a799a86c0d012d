"""Every test of the ledger's list (T1-T23) and every equation's neighbourhood can fail: formulas broken on purpose.

The long tier runs them all, each on a copy of the package with one line changed; the fast one sees to it that the list stays
complete and that the lines still exist. `python -m pytest tests/house/test_mutations.py -m long`
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """In `file`, below src/ddpm, `old` becomes `new`; then `tests`, below tests, must fail."""

    proof: str
    file: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    Mutation(
        "T1",
        "diffusion/schedule.py",
        "self.one_minus_alpha_bar[1:-1] / self.one_minus_alpha_bar[2:]",
        "self.one_minus_alpha_bar[2:] / self.one_minus_alpha_bar[1:-1]",
        "diffusion/test_schedule.py",
    ),
    Mutation("T2", "diffusion/forward.py", "+ beta.sqrt() * eps", "+ beta * eps", "diffusion/test_forward.py"),
    Mutation(
        "T3",
        "diffusion/schedule.py",
        "self.alpha[1:].sqrt() * self.one_minus",
        "self.alpha[1:] * self.one_minus",
        "diffusion/test_forward.py",
    ),
    Mutation(
        "T4",
        "diffusion/schedule.py",
        "(0.5 * self.log_alpha_bar[:-1]).exp()",
        "(0.5 * self.log_alpha_bar[1:]).exp()",
        "diffusion/test_schedule.py",
    ),
    Mutation(
        "T5",
        "diffusion/gaussian.py",
        "(q.mean - p.mean) ** 2 * (-p.log_var).exp()",
        "(q.mean - p.mean) ** 2 * (-q.log_var).exp()",
        "diffusion/test_gaussian.py",
    ),
    Mutation("T6", "diffusion/decoder.py", "half = 1 / (levels - 1)", "half = 1 / levels", "diffusion/test_decoder.py"),
    Mutation(
        "T7",
        "diffusion/objective.py",
        "schedule.beta**2 / (2 * variance",
        "schedule.beta / (2 * variance",
        "diffusion/test_bound.py",
    ),
    Mutation(
        "T8",
        "diffusion/prediction.py",
        "return signal.sqrt() * x_t - noise.sqrt() * output",
        "return signal.sqrt() * x_t + noise.sqrt() * output",
        "diffusion/test_reverse.py",
    ),
    Mutation(
        "T9",
        "diffusion/estimators.py",
        "Gaussian((1 - beta).sqrt() * x_prev, beta.log())",
        "Gaussian((1 - beta) * x_prev, beta.log())",
        "diffusion/test_estimators.py",
    ),
    Mutation(
        "T10",
        "analytic/bound.py",
        "0.5 * (abar * (second_moment - 1) - torch.log1p(-abar))",
        "0.5 * abar * (second_moment - 1)",
        "analytic/test_exact.py",
    ),
    Mutation(
        "T10, the evaluator",
        "diffusion/bound.py",
        "prior(p.q, x_0), torch.zeros_like(x_0)",
        "0 * prior(p.q, x_0), torch.zeros_like(x_0)",
        "diffusion/test_bound.py",
    ),
    Mutation(
        "T11",
        "diffusion/bound.py",
        "kl(q.marginal(x_0, q.schedule.T), standard)",
        "kl(standard, q.marginal(x_0, q.schedule.T))",
        "diffusion/test_schedule.py",
    ),
    Mutation(
        "T12",
        "sampling/ancestral.py",
        "reverse.sample(noise(here.x)) if here.t > 1",
        "reverse.sample(noise(here.x)) if here.t > 0",
        "sampling/test_chain.py",
    ),
    Mutation(
        "T13",
        "analytic/mixture.py",
        "gain = a * self.spread / total",
        "gain = self.spread / total",
        "analytic/test_mixture.py",
    ),
    Mutation(
        "T14",
        "analytic/quadrature.py",
        "+ entropy(diffused.marginal(t - 1)) - entropy(diffused.marginal(t))",
        "- entropy(diffused.marginal(t - 1)) + entropy(diffused.marginal(t))",
        "analytic/test_exact.py",
    ),
    Mutation(
        "T15",
        "diffusion/estimators.py",
        '"closed-form": closed_form}',
        '"closed-form": log_ratio}',
        "diffusion/test_estimators.py",
    ),
    Mutation(
        "T16",
        "diffusion/objective.py",
        "output, *_ = p.outputs(p.q.sample(x_0, t, eps), t)",
        "output, *_ = [p.outputs(p.q.sample(x_0, t, eps), t)[0] for _ in (1, 2)]",
        "diffusion/test_objective.py",
    ),
    Mutation("T17", "diffusion/forward.py", "+ noise.sqrt() * eps", "+ noise * eps", "laboratory/test_errata.py"),
    Mutation(
        "T18",
        "diffusion/variance.py",
        "schedule.beta_tilde[2] if schedule.T > 1 else schedule.beta[1]",
        "schedule.beta_tilde[min(2, schedule.T)]",
        "diffusion/test_bound.py",
    ),
    Mutation("T19", "models/layers.py", "(half - 1) * torch.arange", "half * torch.arange", "models/test_unet.py"),
    Mutation(
        "T20", "models/layers.py", "channels, eps=1e-6)", "channels, eps=1e-6, affine=False)", "models/test_unet.py"
    ),
    Mutation(
        "T21",
        "evaluation/rate.py",
        "self.by_t[2:].flip(0)]",
        "self.by_t[1:-1].flip(0)]",
        "evaluation/test_rate.py",
    ),
    Mutation(
        "T22",
        "sampling/latent.py",
        "return (1 - weights) * x_t + weights * x_t_other",
        "return weights * x_t + (1 - weights) * x_t_other",
        "sampling/test_latent.py",
    ),
    Mutation(
        "T23",
        "analytic/masking.py",
        "return rest / rest.sum(0, keepdim=True)",
        "return rest",
        "analytic/test_exact.py",
    ),
    Mutation(
        "the learned schedule",
        "diffusion/learned.py",
        "nn.functional.softplus(self.drops)",
        "self.drops",
        "diffusion/test_learned.py",
    ),
    Mutation(
        "the derivation",
        "laboratory/derivation.py",
        "posterior - model + here - before if",
        "posterior - model + before - here if",
        "laboratory/test_questions.py::test_appendix_a_line_by_line",
    ),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.proof)
def test_the_line_still_exists(mutation):
    assert (ROOT / "src" / "ddpm" / mutation.file).read_text().count(mutation.old) == 1
    assert (ROOT / "tests" / mutation.tests.partition("::")[0]).exists()


def test_every_proof_has_a_mutation():
    found = {match[0] for mutation in MUTATIONS if (match := re.match(r"T\d+", mutation.proof))}
    assert found == {f"T{n}" for n in range(1, 24)}


@pytest.mark.long
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.proof)
def test_a_broken_formula_is_noticed(tmp_path, mutation):
    shutil.copytree(ROOT / "src" / "ddpm", tmp_path / "src" / "ddpm", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "src" / "ddpm" / mutation.file
    path.write_text(path.read_text().replace(mutation.old, mutation.new))
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(ROOT / "tests" / mutation.tests)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 1, said.stdout[-2000:]
    assert str(tmp_path) in said.stdout or "AssertionError" in said.stdout or "Error" in said.stdout
