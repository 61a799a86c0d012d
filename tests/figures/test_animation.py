"""A moving picture: its first frame is the image to the bit, its states are those of the process, its last frame is the sample."""

import io
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

import ddpm as public
from ddpm.errors import Mismatch, RunWarning, UsageError
from ddpm.figures.animation import forward
from ddpm.figures.pictures import to_pictures
from ddpm.seeds import NoiseForEach, generator

DIGIT = public.images("digits", "test")[3]


@pytest.fixture(scope="module")
def model(trained):
    return public.load(trained, device="cpu")


def shown(data):
    """The frames of a file, (frames, H, W) or (frames, H, W, 3)."""
    with Image.open(data) as image:
        kind = "L" if image.mode in ("L", "P") else "RGB"
        found = []
        for frame in range(image.n_frames):
            image.seek(frame)
            found.append(np.asarray(image.convert(kind)))
        return np.stack(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_path_is_a_draw_of_the_forward_process(channels):
    """q(x_s|x_0) has the mean and variance of Eq. 4 at every s, neighbours the covariance of Eq. 2; x_0 is itself, x_t that of eps."""
    schedule, count, t = public.linear(T=20, beta_T=0.3), 20_000, 15
    q, x_0 = public.ForwardProcess(schedule), torch.full((count, channels), 0.7, dtype=torch.float64)
    eps = torch.randn(count, channels, generator=generator(0, "eps"), dtype=torch.float64)
    random = generator(0, "steps")
    states = forward(q, x_0, eps, t, lambda x: torch.randn(x.shape, generator=random, dtype=x.dtype), t + 1)
    assert [s for s, _ in states] == list(range(t + 1))
    assert torch.equal(states[0][1], x_0)
    assert torch.equal(states[-1][1], q.sample(x_0, t, eps))
    bound = 5 / (count * channels) ** 0.5
    for (s, before), (_, x) in itertools.pairwise(states):
        of = q.marginal(x_0[:1, :1], s + 1)
        assert abs(float(x.mean() - of.mean)) < bound * float(of.var) ** 0.5
        assert abs(float(x.var() / of.var - 1)) < 1.5 * bound
        step = x - (1 - schedule.beta[s + 1]).sqrt() * before  # sqrt(beta) eps of Eq. 2: apart from x_s
        assert abs(float(step.var() / schedule.beta[s + 1] - 1)) < 1.5 * bound
        assert abs(float((step * (before - before.mean())).mean())) < bound


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_the_forward_half_in_a_file(tmp_path, suffix):
    found = public.animate(DIGIT, public.cosine(T=60), frames=13, seed=3)
    assert len(found) == 13 and found.steps == tuple(range(0, 61, 5))
    frames = shown(found.save(tmp_path / "some" / f"a{suffix}"))
    picture = to_pictures(DIGIT.tensor, 17)[0, 0].numpy()
    if suffix == ".webp":
        frames = frames[..., 0]
    assert frames.shape == (13, 160, 160)
    assert (frames[0] == picture.repeat(20, 0).repeat(20, 1)).all()
    x_T = found.tensor[-1]
    assert 0.6 < float(x_T.std()) < 1.4 and abs(float(x_T.mean())) < 0.5
    assert (tmp_path / "some" / f"a{suffix}").stat().st_size < 30_000
    again, other = (public.animate(DIGIT, public.cosine(T=60), frames=13, seed=seed) for seed in (3, 4))
    assert torch.equal(again.tensor, found.tensor) and not torch.equal(other.tensor, found.tensor)


def test_a_photograph_of_any_size_keeps_its_shape(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = public.animate(tmp_path / "a.png", frames=3)
    assert (found.tensor.shape, found.steps) == ((3, 3, 48, 64), (0, 500, 1000))
    assert (shown(io.BytesIO(found._repr_png_()))[0, ::3, ::3] == pixels).all()
    with pytest.warns(RunWarning, match="scaled"):
        large = public.animate(Image.new("L", (300, 600)), frames=2)
    assert large.tensor.shape == (2, 1, 64, 32)
    with pytest.warns(RunWarning, match="scaled"):
        assert public.animate(tmp_path / "a.png", resolution=(10, 12), frames=2).tensor.shape == (2, 3, 10, 12)


def test_a_file_of_a_usual_model_is_small():
    """Sixty frames of 32x32 in colour stay below 300 kB; of a digit below 60 kB."""
    noise = public.animate(torch.ones(1, 3, 32, 32), frames=60)
    assert len(noise._repr_png_()) < 300_000
    assert len(public.animate(DIGIT, frames=60)._repr_png_()) < 60_000


def test_back_from_x_T_it_is_the_sample(model):
    found = model.animate(DIGIT, frames=10, seed=5, progress=False)
    sample = model.sample(1, seed=5, progress=False)
    assert torch.equal(found.tensor[-1:], sample.tensor)
    assert torch.equal(found.tensor[:1], DIGIT.tensor)
    assert found.steps == (0, 3, 6, 9, 12, 11, 8, 5, 3, 0)
    assert repr(found) == "Animation(10 frames of 1x8x8, t = 0 to 12 and back)"
    few = model.animate(DIGIT, frames=60, steps=4, sampler="ddim", progress=False)
    assert few.steps == (0, 1, 2, 3, 4, 3, 2, 1, 0)
    assert torch.equal(few.tensor[-1:], model.sample(1, steps=4, sampler="ddim", progress=False).tensor)


@pytest.mark.parametrize(
    ("frames", "there_and_back", "back"),
    [(2, (0, 0), (12, 0)), (3, (0, 12, 0), (12, 11, 0)), (4, (0, 12, 11, 0), (12, 11, 5, 0))],
)
def test_of_few_frames_the_last_is_the_result(model, frames, there_and_back, back):
    sample = model.sample(1, seed=5, progress=False).tensor
    for image, steps in ((DIGIT, there_and_back), (None, back)):
        found = model.animate(image, frames=frames, seed=5, progress=False)
        assert found.steps == steps
        assert torch.equal(found.tensor[-1:], sample)


def test_a_sample_as_it_is_made(model):
    found = model.animate(frames=100, seed=2, progress=False)
    assert found.steps == tuple(range(12, -1, -1))
    assert torch.equal(found.tensor[-1:], model.sample(1, seed=2, progress=False).tensor)
    noise = NoiseForEach([generator(2, "sample", 0)])
    assert torch.equal(found.tensor[:1], noise(torch.empty(1, 1, 8, 8)))
    assert repr(found) == "Animation(13 frames of 1x8x8, t = 12 to 0)"


def test_back_from_x_t_it_is_the_edit(model):
    """The way up ends where the chain begins."""
    found = model.animate(DIGIT, timestep=6, seed=1, progress=False)
    assert torch.equal(found.tensor[-1:], model.edit(DIGIT, 1, timestep=6, seed=1, progress=False).tensor)
    assert found.steps == (*range(7), *range(5, -1, -1))
    eps = NoiseForEach([generator(1, "edit", 0)])(torch.empty(1, 1, 8, 8))
    assert torch.equal(found.tensor[6:7], model.process.q.sample(DIGIT.tensor, 6, eps))


def test_what_cannot_be_shown(model, tmp_path):
    with pytest.raises(UsageError, match="there is none"):
        model.animate(timestep=3)
    with pytest.raises(UsageError, match="frames"):
        model.animate(DIGIT, frames=1)
    with pytest.raises(UsageError, match=r"1\.\.12: 13"):
        model.animate(DIGIT, timestep=13)
    with pytest.raises(Mismatch):
        model.animate(torch.zeros(1, 1, 9, 9))
    with pytest.raises(UsageError, match="one image is needed, not 2"):
        public.animate(public.images("digits")[:2])
    with pytest.raises(UsageError, match=r"\.mp4"):
        public.animate(DIGIT, frames=2).save(tmp_path / "a.mp4")


def test_a_schedule_is_named_or_made():
    by_name, made = public.animate(DIGIT, "cosine", frames=5), public.animate(DIGIT, public.cosine(T=1000), frames=5)
    assert torch.equal(by_name.tensor, made.tensor)
    assert not torch.equal(by_name.tensor, public.animate(DIGIT, frames=5).tensor)
    with pytest.raises(UsageError, match="unknown schedule: 'cosin'") as found:
        public.animate(DIGIT, "cosin")
    assert found.value.hints[0] == "did you mean 'cosine'?"
