"""Reverse channel coding: what arrives lies where it was meant to, at less than the cost of an exact sample."""

from decimal import Inexact, localcontext

import numpy as np
import pytest

from ddpm.codec.calibrate import zipf
from ddpm.codec.channel import chunks_of, code, expected_bits, pick
from ddpm.codec.coder import Reader, Writer
from ddpm.codec.randomness import normals


def simulated(bits, candidates, trials, dims=24):
    """Share of the shift that arrives, variance along it and across it, and mean bits of a choice."""
    rng = np.random.default_rng(7)
    ratio = np.ones(dims)
    shift = rng.normal(size=dims)
    shift *= np.sqrt(2 * bits * np.log(2)) / np.linalg.norm(shift)
    far, first = np.linalg.norm(shift), shift[0] / np.linalg.norm(shift)
    places = np.asarray(zipf(bits, candidates))
    along, across, cost = [], [], []
    for trial in range(trials):
        chosen = pick(trial, 2, candidates, shift, ratio, places)
        found = normals(trial, 2, 1, dims, first=chosen)[0].astype(np.float64)
        along.append(found @ shift / far)
        across.append(found[0] - along[-1] * first)
        digits = (chosen + 1).bit_length() - 1
        cost.append(digits - np.log2(places[digits] / places.sum()))
    return np.mean(along) / far, np.var(along), np.var(across) / (1 - first**2), np.mean(cost)


@pytest.mark.parametrize(
    ("bits", "candidates", "mean", "variance"),
    [(4, 6, 0.89, 0.41), (6, 8, 0.90, 0.37), (4, 8, 1.02, 0.50), (6, 10, 1.0, 0.43)],
)
def test_what_arrives_is_that_of_the_measured_table(bits, candidates, mean, variance):
    """The share of the shift, and the variance along it, with four and sixteen times the candidates that the bits ask for."""
    trials = 1000
    found = simulated(bits, candidates, trials)
    error = 4 / np.sqrt(trials)
    assert abs(found[0] - mean) < error * np.sqrt(variance / (2 * bits * np.log(2))) + 0.02
    assert abs(found[1] - variance) < error * np.sqrt(2) * variance + 0.03
    assert abs(found[2] - 1) < error * np.sqrt(2)


@pytest.mark.parametrize("bits", [2, 4, 6])
def test_its_cost_is_the_divergence_and_its_logarithm(bits):
    """log2 of the choice by its static code is KL + log2(KL + 1) + 2 bits at most, and no less than what was delivered."""
    found = simulated(bits, bits + 4, 800)
    assert 0.8 * bits < found[3] < bits + np.log2(bits + 1) + 2


def test_a_wider_prediction_is_corrected():
    """p has twice q's deviation: what arrives, times 2, lies about q's mean, and no wider than q."""
    places = np.asarray(zipf(4.0, 12))
    ratio, shift = np.full(4, 2.0), np.array([1.0, -1.0, 0.5, 0.0])
    found = [2 * normals(i, 2, 1, 4, first=pick(i, 2, 12, shift, ratio, places))[0] for i in range(1500)]
    assert np.abs(np.mean(found, axis=0) - shift).max() < 0.15
    assert np.var(found, axis=0).max() < 1


def test_candidates_in_parts_are_the_same(monkeypatch):
    shift, ratio, places = np.linspace(-1, 1, 9), np.linspace(1, 2, 9), np.asarray(zipf(4.0, 7))
    whole = [pick(i, 2, 7, shift, ratio, places) for i in range(20)]
    monkeypatch.setattr("ddpm.codec.channel.AT_ONCE", 50)
    assert [pick(i, 2, 7, shift, ratio, places) for i in range(20)] == whole
    assert len(set(whole)) > 5


@pytest.mark.parametrize("chosen", [0, 1, 2, 62, 63])
def test_a_choice_is_read_as_it_was_sent(chosen):
    places, writer = np.asarray(zipf(3.0, 6)), Writer()
    sent = code(writer, places, 4, 5, 6, 11, chosen)
    assert np.array_equal(sent, code(Reader(writer.stream()), places, 4, 5, 6, 11, None))
    assert np.array_equal(sent, normals(4, 5, 64, 11)[chosen])


@pytest.mark.parametrize("size", [1, 7, 3072])
@pytest.mark.parametrize("expected", [0, 1, 40])
def test_chunks_have_every_dimension_once(size, expected):
    """And about as many bits each."""
    bits = np.random.default_rng(4).integers(0, 2 * expected + 1, size)
    chunks = chunks_of(bits, 6.0, 3, 1)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(size))
    assert len(chunks) == max(1, int(bits.sum() / (6 * 256) + 0.5))
    if len(chunks) > 1:
        sums = [bits[part].sum() / 256 for part in chunks]
        assert max(abs(one - np.mean(sums)) for one in sums) <= 2 * expected / 256 + 0.01


@pytest.mark.parametrize("rounding", ["ROUND_DOWN", "ROUND_UP"])
def test_expected_bits_are_no_caller_s(rounding):
    """Whoever calculates with decimals of his own, and rounds otherwise, reads the same files."""
    ratio = np.linspace(1.001, 30, 50)
    usual = expected_bits(ratio)
    with localcontext() as own:
        own.rounding, own.prec, own.traps[Inexact] = rounding, 4, True
        assert np.array_equal(expected_bits(ratio), usual)


def test_expected_bits_are_the_divergence():
    """1/2 log2 of the ratio of variances: the mean over the sender's shift of what `pick` has to say."""
    ratio = np.array([1.0, 1.0001, 1.5, 2.0, 4.0, 1e6])
    assert expected_bits(ratio).tolist() == [0, 0, 75, 128, 256, 2551]
