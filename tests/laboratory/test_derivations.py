"""Every line of a derivation follows from the one before: by algebra where there is only algebra, by numbers everywhere.

And what the notes have in its place does not, on no schedule.
"""

import math

import pytest
import sympy
import torch

from ddpm.diffusion.decoder import log_likelihood
from ddpm.diffusion.forward import ForwardProcess
from ddpm.diffusion.gaussian import Gaussian
from ddpm.diffusion.schedule import SCHEDULES
from ddpm.errors import UsageError
from ddpm.figures.style import formula
from ddpm.laboratory.derivations.every import DERIVATIONS
from ddpm.laboratory.derivations.shown import At, rows
from ddpm.laboratory.notes.errata import errata

NAMES = pytest.mark.parametrize("name", DERIVATIONS)
ALPHAS = ("alpha_t", "alpha_{t-1}", "alphabar_{t-1}")
SYMBOLIC = pytest.mark.parametrize("name", [name for name, found in DERIVATIONS.items() if found.symbols])
PLACES = pytest.mark.parametrize(("schedule", "T", "t"), [("linear", 200, 60), ("cosine", 50, 20), ("log-snr", 10, 2)])


def _is_zero(expression):
    """Also of logarithms: with alpha = 1/(1 + r), r > 0, what they are taken of is a product of positive factors."""
    if sympy.simplify(expression) == 0:
        return True
    positive = {name: sympy.Symbol(f"r{number}", positive=True) for number, name in enumerate(ALPHAS)}
    known = {symbol: 1 / (1 + positive[symbol.name]) for symbol in expression.free_symbols if symbol.name in positive}
    flat = expression.subs(known).replace(sympy.log, lambda inside: sympy.log(sympy.factor(sympy.together(inside))))
    return sympy.simplify(sympy.expand_log(flat, force=True)) == 0


@SYMBOLIC
def test_each_line_follows_from_the_one_before_by_algebra(name):
    derivation = DERIVATIONS[name]
    symbols = derivation.symbols()
    values = [line.value(symbols) for line in derivation.lines]
    for number in range(1, len(values)):
        assert _is_zero(values[number] - values[number - 1]), derivation.lines[number].tex


@NAMES
@PLACES
def test_lines_have_one_value_and_slips_another(name, schedule, T, t):
    derivation = DERIVATIONS[name]
    found = rows(derivation, SCHEDULES[schedule](T), At(t, 0.5), 0)
    largest = max(abs(row.value) for row in found if not row.erratum)
    for row in found:
        if row.erratum:
            assert abs(row.off) > 1e-6 * largest, row.erratum
        else:
            assert abs(row.off) <= derivation.tolerance * largest, row.tex
    assert sorted(row.erratum for row in found if row.erratum) == sorted(slip.erratum for slip in derivation.slips)


def test_a_slip_stands_behind_the_line_that_it_replaces():
    found = rows(DERIVATIONS["mean"], SCHEDULES["linear"](100), At(40, 0.5), 0)
    assert [row.erratum or row.name for row in found] == [
        *("Eq. 7", "", "", "", "ERR-49", "ERR-50", "Eq. 10", "ERR-51", "ERR-40")
    ]


def test_they_speak_of_what_the_library_computes():
    """The lines with a name are the functions that the rest of the package uses."""
    schedule, t = SCHEDULES["linear"](100), 40
    place = DERIVATIONS["mean"].place(schedule, t, 0.5, 0)
    x_0, x_t, x_before = (
        torch.full((1, 1), float(value), dtype=torch.float64) for value in (place.x_0, place.x, place.x_before)
    )
    posterior = ForwardProcess(schedule).posterior(x_t, x_0, t)
    assert DERIVATIONS["mean"].lines[-1].value(place) == pytest.approx(float(posterior.mean), rel=1e-10)
    assert DERIVATIONS["bayes"].lines[-1].value(place) == pytest.approx(float(posterior.log_prob(x_before)), rel=1e-10)
    pixel = DERIVATIONS["decoder"].place(schedule, t, 0.5, 0)
    level, mean, log_var = (
        torch.full((1, 1), value, dtype=torch.float64) for value in (pixel.x_0, pixel.mu, 2 * math.log(pixel.sigma))
    )
    mass = float(log_likelihood(level, Gaussian(mean, log_var)).exp())
    assert DERIVATIONS["decoder"].lines[-1].value(pixel) == pytest.approx(mass, rel=1e-10)


def test_every_slip_is_in_the_errata():
    known = {erratum.name for erratum in errata()}
    for derivation in DERIVATIONS.values():
        for slip in derivation.slips:
            assert slip.erratum in known
            assert 0 <= slip.at < len(derivation.lines)


@NAMES
def test_formulas_can_be_drawn_and_code_is_code(name):
    for line in (*DERIVATIONS[name].lines, *DERIVATIONS[name].slips):
        assert formula(line.tex).startswith("<svg")
        compile(line.code, line.tex, "eval")
        assert "p." not in line.code


def test_what_is_out_of_range_is_said():
    schedule = SCHEDULES["linear"](10)
    with pytest.raises(UsageError, match=r"a t of 2\.\.10: 1"):
        rows(DERIVATIONS["mean"], schedule, At(1, 0.5), 0)
    with pytest.raises(UsageError, match="a pixel lies in"):
        rows(DERIVATIONS["mean"], schedule, At(5, 1.5), 0)
