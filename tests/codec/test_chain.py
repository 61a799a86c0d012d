"""The chain's files: as long as its bound says, and exact, for whatever image."""

import json
import tracemalloc
from dataclasses import replace
from itertools import combinations, pairwise
from zlib import crc32

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from ddpm.codec import progressive
from ddpm.codec.chain import coding as chain_coding
from ddpm.codec.chain.calibrate import chained, cheapest, path, smallest
from ddpm.codec.chain.coding import GROUP, decode, encode
from ddpm.codec.chain.lattice import RESIDUALS, Numbers, Pixels, window
from ddpm.codec.chain.profile import CERTAIN, ChainProfile, spaced
from ddpm.codec.chain.stack import Stack
from ddpm.codec.chain.steps import steps_of
from ddpm.codec.denoiser import Denoiser, Estimate
from ddpm.codec.profile import Level
from ddpm.codec.tables import ONE, below
from ddpm.errors import DataError
from ddpm.sampling.timesteps import log_snr
from tests.codec.oracle import Source
from tests.codec.source import toy

SOURCE = Source()


def bits(files, numbers):
    """Of real bytes, for each number of the images."""
    return 8 * sum(map(len, files)) / numbers


def toy_images(many, spread=10.0, size=64):
    """Such as `toy` was measured on, or of another spread: four tiles each, (size,)."""
    rng = np.random.default_rng(2)
    return list(rng.normal(127.5, spread, (many, size)).round().clip(0, 255).astype(np.int64))


def there_and_back(groups, profile, denoiser):
    """The files, once they were read back."""
    files = encode(groups, profile, denoiser)
    back = decode(files, [[len(x) for x in group] for group in groups], profile, denoiser)
    for group, found in zip(groups, back, strict=True):
        assert len(group) == len(found)
        assert all(np.array_equal(x, y) for x, y in zip(group, found, strict=True))
    return files


def above(source, many, *, together, steps=25):
    """How far the real bytes of `many` images lie above the bound of the chain's own steps."""
    images, ladder = source.images(many), source.ladder(steps)
    groups = [list(images)] if together else [[x] for x in images]
    files = there_and_back(groups, spaced(source.levels, ladder), source.denoiser)
    return bits(files, images.size) / source.bound(ladder) - 1


def test_an_archive_is_as_long_as_its_bound():
    assert above(SOURCE, 32, together=True) < 0.005


def test_a_single_file_pays_no_initial_bits():
    """Bits back need bits to begin with: two for each number, where the first step is not rounding."""
    assert above(SOURCE, 16, together=False) < 0.03
    images, ladder = SOURCE.images(4), SOURCE.ladder(25)
    classic = spaced(256, ladder, [1.0])
    assert bits(encode([[x] for x in images], classic, SOURCE.denoiser), images.size) / SOURCE.bound(ladder) > 1.2


@pytest.mark.long
@pytest.mark.parametrize("steps", [16, 25])
@pytest.mark.parametrize(("shape", "single"), [((3, 32, 32), 0.03), ((1, 28, 28), 0.04)])
def test_images_of_the_usual_sizes(shape, single, steps):
    assert above(Source(shape), 16, together=False, steps=steps) < single
    assert above(Source(shape), 32, together=True, steps=steps) < 0.006


def test_the_bound_lies_above_the_entropy():
    """And more so the fewer the steps: what is compared with is no easy mark."""
    bounds = [SOURCE.bound(SOURCE.ladder(steps)) for steps in (10, 25, 100)]
    assert SOURCE.entropy < bounds[2] < bounds[1] < bounds[0] < 1.12 * SOURCE.entropy


ODD = {
    "noise": np.random.default_rng(0).integers(0, 256, SOURCE.size),
    "black": np.zeros(SOURCE.size, dtype=np.int64),
    "white": np.full(SOURCE.size, 255),
    "checkerboard": 255 * (np.indices(SOURCE.shape).sum(0) % 2).ravel(),
    "one dot": np.where(np.arange(SOURCE.size) == 100, 255, 0),
}


@pytest.mark.parametrize("name", ODD)
def test_any_image_is_exact(name):
    """Alone, and upon others, which lend it bits: a black image leaves none for its own steps to pop."""
    ladder = SOURCE.ladder(8)
    usual = list(SOURCE.images(3))
    there_and_back([[ODD[name]], [*usual, ODD[name], usual[0]], [ODD[name]] * 3], spaced(256, ladder), SOURCE.denoiser)


@pytest.mark.parametrize("levels", [2, 16, 65536])
def test_any_number_of_levels_is_exact(levels):
    source = Source(levels=levels)
    rng = np.random.default_rng(1)
    groups = [list(source.images(3)), [rng.integers(0, levels, source.size)]]
    there_and_back(groups, spaced(levels, source.ladder(8)), source.denoiser)


def test_many_levels_cost_what_the_bound_says():
    """A table of the normal distribution in steps of 1/512 is too coarse for pixels that are a 300th of a deviation."""
    assert above(Source(levels=65536), 4, together=False, steps=16) < 0.02


def test_a_single_number_is_exact():
    source = Source((1, 1, 1))
    there_and_back([[np.array([x])] for x in (0, 1, 128, 255)], spaced(256, source.ladder(8)), source.denoiser)


def test_an_image_may_have_tiles():
    """A multiple of the model's numbers, and another for each image of a group."""
    images = SOURCE.images(3)
    there_and_back([[images[0], images.ravel()], [images[1]]], spaced(256, SOURCE.ladder(8)), SOURCE.denoiser)


def test_parts_of_an_image_are_coded_as_the_whole(monkeypatch):
    """Exactly, and in as many bytes, but that noise is drawn by other bits."""
    images, profile = SOURCE.images(3), spaced(256, SOURCE.ladder(8))
    groups = [list(images), [ODD["noise"]]]
    whole = there_and_back(groups, profile, SOURCE.denoiser)
    monkeypatch.setattr("ddpm.codec.chain.steps.PART", 100)
    parts = there_and_back(groups, profile, SOURCE.denoiser)
    assert all(abs(len(a) - len(b)) < 0.04 * len(a) for a, b in zip(whole, parts, strict=True))
    assert whole != parts


def test_who_shares_a_call_of_the_network_changes_no_byte():
    groups = [list(SOURCE.images(2, seed=1)), list(SOURCE.images(1, seed=2)), list(SOURCE.images(3, seed=3))]
    profile = spaced(256, SOURCE.ladder(8))
    assert encode(groups, profile, SOURCE.denoiser) == [encode([g], profile, SOURCE.denoiser)[0] for g in groups]


def test_the_network_is_called_once_a_step():
    calls = []

    def counted(x_t, level):
        calls.append(len(x_t))
        return SOURCE.denoiser(x_t, level)

    profile = spaced(256, SOURCE.ladder(8))
    files = encode([[x] for x in SOURCE.images(5)], profile, counted)
    assert calls == [5] * 8
    decode(files, [[SOURCE.size]] * 5, profile, counted)
    assert calls == [5] * 16


def same_everywhere():
    """A denoiser of one multiplication, whose files must be the same on every machine; and its chain."""
    ladder = [
        Level(0.0, alpha_bar, weight, 0.0, (deviation,) * 10)
        for alpha_bar, weight, deviation in (
            (0.999, 1.0, 4.0),
            (0.99, 1.0, 12.0),
            (0.9, 0.9, 32.0),
            (0.5, 0.6, 50.0),
            (0.1, 0.25, 60.0),
            (0.001, 0.03, 64.0),
        )
    ]
    return Denoiser(lambda x_t, timestep: torch.zeros_like(x_t), SOURCE.profile), spaced(256, tuple(ladder))


def test_the_bytes_are_those_of_every_machine():
    """A file of another day is read by this code: who changes its meaning gives the profile another version."""
    denoiser, profile = same_everywhere()
    x = (np.arange(SOURCE.size) ** 2) % 251
    files = there_and_back([[x], [x, x[::-1], x, x]], profile, denoiser)
    assert [(len(file), crc32(file)) for file in files] == [(820, 1961684443), (3243, 2498324649)]


def test_a_damaged_file_is_refused_or_is_another_image():
    denoiser, profile = same_everywhere()
    x = SOURCE.images(1)[0]
    (file,) = encode([[x]], profile, denoiser)
    rng = np.random.default_rng(0)
    broken = [file[: rng.integers(len(file))] for _ in range(20)]
    for place in rng.integers(0, 8 * len(file), 60):
        flipped = bytearray(file)
        flipped[place // 8] ^= 1 << place % 8
        broken.append(bytes(flipped))
    refused = 0
    for one in broken:
        try:
            found = decode([one], [[len(x)]], profile, denoiser)[0][0]
        except DataError:
            refused += 1
        else:
            assert not np.array_equal(found, x)
    assert refused > 60


# Steps and lattices.


def shuffled(words):
    """A stack of random bits."""
    return Stack(np.random.default_rng(5).bytes(4 * words) + b"\1")


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0, 2.8, CERTAIN])
def test_noise_on_a_lattice_is_noise_of_the_step(spacing):
    """Its variance is beta_t, and it knows nothing of x_{t-1} (Sheppard's correction; T-2 on a lattice)."""
    ladder = SOURCE.ladder(6)
    step = steps_of(256, ladder, (1.0, spacing, *(1.0,) * 4), 0, 200_000)[1]
    before = np.random.default_rng(0).choice([-0.31, 0.4], 200_000)
    x_t = step.x(step.pop_forward(shuffled(200_000), before))
    alpha = ladder[1].alpha_bar / ladder[0].alpha_bar
    noise = x_t - np.sqrt(alpha) * before
    assert noise.var() == pytest.approx(1 - alpha, rel=0.01)
    assert abs(noise.mean()) < 0.01 * noise.std()
    assert abs(np.corrcoef(noise, before)[0, 1]) < 0.01


@pytest.mark.parametrize("levels", [2, 3, 256, 65536])
def test_the_cell_of_a_rounded_pixel_holds_what_is_rounded_to_it(levels):
    """No more and no less, to the last bit: else a pixel would be coded outside its cell."""
    many = 16_000
    step = steps_of(levels, SOURCE.ladder(6)[:1], (CERTAIN,), 0, many)[0].parts[0][1]
    x = np.random.default_rng(0).integers(0, levels, many)
    k = step.forward(x / step.half - 1).k
    first, after = step.first(k), step.first(k + 1)
    assert np.all((first <= x) & (x < after))
    for end, neighbour, exists in ((first, first - 1, first > 0), (after - 1, after, after < levels)):
        assert np.array_equal(step.forward(end / step.half - 1).k, k)
        assert np.all((step.forward(neighbour / step.half - 1).k != k)[exists])


def test_what_the_denoiser_knows_besides_x_t_is_what_it_knew_before():
    """A pixel of known prior, seen through noise: without what was seen, the prior is left."""
    step = steps_of(256, SOURCE.ladder(6), (1.0,) * 6, 0, 1000)[2].parts[0][1]
    k = np.random.default_rng(0).integers(-9, 10, 1000)
    prior_mean, prior_variance = 100.0, 30.0**2
    of_y = (step.level.sigma * 127.5) ** 2
    y = (step.x(k) / np.sqrt(step.level.alpha_bar) + 1) * 127.5
    variance = 1 / (1 / prior_variance + 1 / of_y)
    mean = variance * (prior_mean / prior_variance + y / of_y)
    level = replace(step.level, deviation=(float(np.sqrt(variance)),) * 10)
    estimate = Estimate(mean, np.zeros(1000, dtype=np.int64))
    found = replace(step, level=level)._besides(k, estimate)
    np.testing.assert_allclose(found[0], prior_mean)
    np.testing.assert_allclose(found[1], 30.0)


def test_a_prediction_is_bayes_rule():
    """p(k_1 | k_2) of one pixel with a normal prior, against the sum over all pixels and every k_1 (Eq. 6 on lattices)."""
    levels, prior_mean, prior = SOURCE.ladder(20)[:2], 90.3, 12.0
    one, two = (step.parts[0][1] for step in steps_of(256, levels, (CERTAIN, 2.0), 0, 1))
    first, second = levels[0].alpha_bar, levels[1].alpha_bar
    k = np.rint(np.sqrt(first) * (np.arange(256) / 127.5 - 1) / np.sqrt(12 * (1 - first)) - one.u).astype(int)
    x_1 = np.sqrt(12 * (1 - first)) * (k + one.u)
    place = np.sqrt(second / first) * x_1 / (2 * np.sqrt(1 - second / first)) - two.u
    k_2 = np.rint(place[93:94]).astype(np.int64)
    likelihood = np.diff(ndtr((k_2 + np.array([[-0.5], [0.5]]) - place) / np.sqrt(1 / 4 - 1 / 12)), axis=0)[0]
    wanted = np.bincount(k - k[0], np.exp(-0.5 * ((np.arange(256) - prior_mean) / prior) ** 2) * likelihood)

    of_y = (levels[1].sigma * 127.5) ** 2
    y = (two.x(k_2) / np.sqrt(second) + 1) * 127.5
    variance = 1 / (1 / prior**2 + 1 / of_y)
    told = replace(two, level=replace(levels[1], deviation=(float(np.sqrt(variance)),) * 10))
    estimate = Estimate(variance * (prior_mean / prior**2 + y / of_y), np.zeros(1, dtype=np.int64))
    found = told.backward(k_2, estimate)
    places = found.centre[0] + RESIDUALS - k[0]
    np.testing.assert_allclose(found.counts[0, :-1] / found.counts.sum(), (wanted / wanted.sum())[places], atol=0.003)


def test_numbers_outside_the_window_are_exact():
    centre = np.arange(100)
    near = window(centre, centre + 0.3, np.full(100, 0.5))
    k = centre + np.random.default_rng(0).integers(-(2**30), 2**30, 100) // np.repeat([1, 2**10, 2**25, 2**30], 25)
    stack, numbers = Stack(), Numbers.anywhere(centre, near)
    numbers.push(stack, k)
    assert np.array_equal(numbers.pop(stack), k)
    assert stack.bits == 0
    with pytest.raises(DataError, match="damaged"):
        Numbers(centre, near).push(stack, k)


@pytest.mark.parametrize("levels", [2, 256, 65536])
def test_pixels_are_exact_and_as_probable_as_they_are_coded(levels):
    rng = np.random.default_rng(0)
    mean, deviation = rng.uniform(-0.2, 1.2, 2000) * levels, rng.uniform(0.0005, 0.1, 2000) * levels
    x = np.rint(rng.normal(mean, deviation)).clip(0, levels - 1).astype(np.int64)
    first = (x - rng.integers(0, levels, 2000)).clip(0)
    for ends in ((np.zeros_like(x), np.full_like(x, levels - 1)), (first, np.maximum(x, levels // 2))):
        pixels, stack = Pixels(*ends, mean, deviation, levels), Stack()
        pixels.push(stack, x)
        said = stack.bits
        assert np.array_equal(pixels.pop(stack), x)
        assert stack.bits == 0
    at = below(np.stack([ends[0] - 1, x - 1, x, ends[1]]), mean, deviation, levels)
    assert said == pytest.approx(-np.log2((at[2] - at[1]) / (at[3] - at[0])).sum(), rel=0.001, abs=64)


# The stack.


def test_a_pop_and_its_push_are_inverse_in_every_state():
    """The empty one too: so no file needs bits to begin with."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        data = rng.bytes(rng.integers(0, 12)).rstrip(b"\0")
        stack, popped = Stack(data), []
        for _ in range(6):
            counts = rng.integers(0, ONE, (5, 9)) >> rng.integers(0, 30, (5, 9))
            counts[:, 0] += 1
            popped.append((stack.pop(counts), counts))
        for symbols, counts in reversed(popped):
            stack.push(symbols, counts)
        assert stack.bytes() == data


def test_an_empty_stack_gives_what_is_most_likely():
    mean = np.linspace(-3, 3, 50)
    centre = np.rint(mean).astype(np.int64)
    assert np.array_equal(Numbers(centre, window(centre, mean, np.full(50, 0.9))).pop(Stack()), centre)


def test_counts_in_any_order_of_memory_are_the_same():
    counts = np.random.default_rng(0).integers(1, ONE, (50, 9))
    ways = [counts, np.asfortranarray(counts), counts.T.copy().T, np.repeat(counts, 2, axis=1)[:, ::2]]
    assert len({shuffled(500).pop(one).tobytes() for one in ways}) == 1


def test_numbers_of_any_size_are_exact():
    numbers = np.array([0, 1, 2, 3, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 0])
    stack = Stack()
    stack.push_numbers(numbers)
    assert np.array_equal(stack.pop_numbers(len(numbers)), numbers)
    assert stack.bits == 0


def test_bytes_of_any_number_are_exact():
    stack = Stack()
    every = (b"", b"\1", bytes(range(256)), b"\0\0\1")
    for data in every:
        stack.push_bytes(data)
    assert tuple(stack.pop_bytes() for _ in every) == every[::-1]
    assert stack.bits == 0
    stack.push_numbers(np.array([10]))
    with pytest.raises(DataError, match="damaged"):
        stack.pop_bytes()


def test_bytes_take_little_memory():
    """A hostile file may have millions."""
    stack, data = Stack(), b"\1" * 2**18
    tracemalloc.start()
    stack.push_bytes(data)
    assert stack.pop_bytes() == data
    assert tracemalloc.get_traced_memory()[1] < 16 * len(data)
    tracemalloc.stop()


def test_the_first_images_may_be_coded_progressively():
    """Until the stack has bits enough for the steps of the others: as many as the code of one image is short."""
    source, images = toy(with_chain=True), toy_images(24)
    chain, profile, denoiser = source.chain, source.profile, source.denoiser
    (one,) = encode([images[:1]], chain, denoiser, profile)
    assert len(one) <= len(progressive.encode(images[:1], profile, denoiser)[0]) + 4  # its length, and whole words
    groups = [images, images[:3]]
    files = encode(groups, chain, denoiser, profile)
    back = decode(files, [[len(x) for x in group] for group in groups], chain, denoiser, profile)
    assert all(
        np.array_equal(x, y)
        for group, found in zip(groups, back, strict=True)
        for x, y in zip(group, found, strict=True)
    )
    assert len(files[0]) < len(encode([images], chain, denoiser)[0])


def test_of_an_only_image_the_shorter_code_is_kept():
    source, images = toy(with_chain=True), toy_images(1)
    chain, denoiser = source.chain, source.denoiser
    wide = [replace(level, deviation=tuple(30 * one for one in level.deviation)) for level in source.profile.fine]
    for profile in (source.profile, replace(source.profile, fine=tuple(wide))):
        (file,) = encode([images], chain, denoiser, profile)
        (by_chain,), (alone,) = encode([images], chain, denoiser), progressive.encode(images, profile, denoiser)
        assert len(file) <= min(len(by_chain) + 1, len(alone) + 3)
        assert np.array_equal(decode([file], [[64]], chain, denoiser, profile)[0][0], images[0])
    assert len(file) < len(alone) - 3  # with wrong deviations the chain's is shorter


def test_groups_stay_in_step(monkeypatch):
    """Two groups whose stacks have enough after three first images and after four: no level is asked about more often than it must."""
    source, groups = toy(with_chain=True), [toy_images(8, 20.0), toy_images(8, 10.0)]
    chain, profile, calls, firsts = source.chain, source.profile, [], []

    def denoiser(x_t, level):
        calls.append(len(x_t))
        return source.denoiser(x_t, level)

    def code_image(*given):
        firsts.append(given)
        return progressive.code_image(*given)

    monkeypatch.setattr(chain_coding, "ENOUGH", 20.0)
    monkeypatch.setattr(chain_coding, "code_image", code_image)
    many = []
    for group in groups:
        encode([group], chain, denoiser, profile)
        many.append(len(firsts))
        firsts.clear()
    assert many == [3, 4]
    levels = len(profile.noisy) - 1 + len(profile.fine)
    least = 4 * levels + (8 - 3) * len(chain.steps)
    calls.clear()
    files = encode(groups, chain, denoiser, profile)
    assert len(calls) == least
    calls.clear()
    decode(files, [[64] * 8] * 2, chain, denoiser, profile)
    assert len(calls) == least


# Profiles.


def test_a_chain_is_measured_on_images():
    """The known deviations are found, and the lattices that suit: where images have few bits, coarser ones."""
    steps = log_snr(SOURCE.process.schedule, 12)
    profile = chained(SOURCE.process, SOURCE.denoiser, SOURCE.images(48, seed=7), steps)
    for level, known in zip(profile.steps, SOURCE.ladder(12), strict=True):
        assert level.deviation[4] == pytest.approx(known.deviation[4], rel=0.12)
        assert replace(level, deviation=known.deviation) == known
    files = there_and_back([[x] for x in SOURCE.images(8)], profile, SOURCE.denoiser)
    assert bits(files, 8 * SOURCE.size) < 1.03 * SOURCE.bound(profile.steps)


def test_the_cheapest_steps():
    """Their bound, which is known here, lies below that of as many even ones; and they are fewer than are asked for of no more."""
    steps = cheapest(SOURCE.process, SOURCE.denoiser, SOURCE.images(8), 8)
    assert len(steps) == 8
    assert steps == sorted(set(steps))
    assert SOURCE.bound([SOURCE.level(t) for t in steps]) < 0.99 * SOURCE.bound(SOURCE.ladder(8))
    assert cheapest(SOURCE.process, SOURCE.denoiser, SOURCE.images(2), 100) == log_snr(SOURCE.process.schedule, 100)


def test_a_shortest_path_is_the_shortest():
    rng = np.random.default_rng(0)
    first, jumps, last = rng.random(7), np.triu(rng.random((7, 7)), 1), rng.random(7)
    jumps[jumps == 0] = np.inf

    def cost(places):
        between = sum(jumps[a, b] for a, b in pairwise(places))
        return first[places[0]] + between + last[places[-1]]

    for count in range(1, 8):
        assert path(first, jumps, last, count) == list(min(combinations(range(7), count), key=cost))


def test_the_smallest_files_choose_the_profile():
    ladder = SOURCE.ladder(8)
    fine, coarse = spaced(256, ladder), spaced(256, ladder, [1.0])
    assert smallest([coarse, fine], SOURCE.denoiser, SOURCE.images(2)) is fine


def test_a_profile_is_what_was_written():
    profile = spaced(256, SOURCE.ladder(5))
    assert ChainProfile.parse(json.loads(profile.json())) == profile
    for wrong in ({"alone": [1.0]}, {"together": [9.0] * 5}, {"steps": []}, {"levels": "many"}):
        with pytest.raises(DataError, match="no profile"):
            ChainProfile.parse(json.loads(profile.json()) | wrong)
    with pytest.raises(ValueError, match="more and more noise"):
        spaced(256, SOURCE.ladder(5)[::-1])


def test_a_group_has_an_end():
    with pytest.raises(ValueError, match="at most 64"):
        encode([[np.zeros(SOURCE.size, dtype=np.int64)] * (GROUP + 1)], spaced(256, SOURCE.ladder(5)), SOURCE.denoiser)
