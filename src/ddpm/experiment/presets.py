"""Named experiments: the paper's, with the source of every number, and small ones that a laptop trains in minutes.

Those for a CPU normalise groups of a multiple of 16 channels, which it computes faster in bf16 (`models.layers.fast_channels_last`).
"""

from collections.abc import Callable, Mapping

from ddpm.experiment.config import DataConfig, Experiment, ProcessConfig, Rhythm, ScheduleConfig
from ddpm.models.shape import UNetShape
from ddpm.training.trainer import Recipe

HOUR = 3600.0


def digits() -> Experiment:
    """The embedded 8x8 digits, for three minutes on two cores (docs/explanation/digits.rst has how these numbers were chosen)."""
    return Experiment(
        preset="digits",
        schedule=ScheduleConfig("log-snr", T=250),
        process=ProcessConfig(variance="learned"),
        model=UNetShape(channels=32, multipliers=(1, 2), blocks=1, attention=(1,), dropout=0.0, groups=2),
        objective="hybrid",
        training=Recipe(
            steps=3000,
            batch_size=64,
            optimizer="muon",
            lr=4e-3,
            warmup=100,
            decay="cosine",
            timesteps="stratified",
        ),
        rhythm=Rhythm(log=20, evaluate=250, sample=500, save=250, images=300, evaluations=8),
    )


def mnist() -> Experiment:
    """28x28 grey images, for some twenty minutes on two cores.

    Of what was tried for four minutes each, one block a level did better than two, and a learning rate of 2e-3 to 4e-3
    better than 1e-3 (benchmarks/results/mnist.json has the long run).
    """
    return Experiment(
        preset="mnist",
        data=DataConfig(resolution=(28,)),
        schedule=ScheduleConfig("log-snr", T=1000),
        process=ProcessConfig(variance="learned"),
        model=UNetShape(channels=32, multipliers=(1, 2, 2), blocks=1, attention=(2,), dropout=0.0, groups=2),
        objective="hybrid",
        training=Recipe(
            steps=6_000,
            batch_size=64,
            optimizer="muon",
            lr=3e-3,
            warmup=200,
            decay="cosine",
            timesteps="stratified",
        ),
        rhythm=Rhythm(log=20, evaluate=500, sample=1000, save=500, images=128, evaluations=8),
    )


def laptop() -> Experiment:
    """Any images, for an hour on a CPU, whatever their size: the default there, with the process of `small`.

    Time ends it, not a number of steps (`--budget` sets another): a constant learning rate does not ask for its end.
    """
    return Experiment(
        preset="laptop",
        data=DataConfig(augmentation="horizontal-flip"),
        model=UNetShape(channels=32, multipliers=(1, 2, 2), blocks=1, attention=(2,), dropout=0.1, groups=2),
        training=Recipe(
            steps=10_000,
            batch_size=32,
            optimizer="muon",
            lr=1e-3,
            warmup=200,
            ema_decay=0.999,
            timesteps="stratified",
        ),
        rhythm=Rhythm(log=20, evaluate=1000, sample=1000, save=500, images=128, evaluations=8, budget=HOUR),
    )


def small() -> Experiment:
    """Any images, with a network of 9 M parameters: the default on a GPU, for one's own pictures."""
    return Experiment(
        preset="small",
        data=DataConfig(augmentation="horizontal-flip"),
        model=UNetShape(channels=64, multipliers=(1, 2, 2, 2), attention=(2,), dropout=0.1),
        training=Recipe(steps=200_000, batch_size=64, lr=2e-4, warmup=1000, timesteps="stratified"),
        rhythm=Rhythm(evaluate=2000, sample=2000),
    )


def cifar10() -> Experiment:
    """The paper's CIFAR-10 model: 35,746,307 parameters, 800,000 steps (section 4, Appendix B).

    Learning rate, batch, EMA, dropout, flips, T and betas are in the paper; the warm-up of 5,000 steps, the gradient
    clipping at 1 and sigma_1^2 = beta_tilde_2 only in the authors' code.
    """
    return Experiment(preset="cifar10", data=DataConfig(resolution=(32,), augmentation="horizontal-flip"))


def celeba_hq() -> Experiment:
    """The paper's 256x256 model: 113,673,219 parameters (CelebA-HQ; also LSUN church and cat, with their steps).

    The variance is the small one here and the large one for CIFAR-10, as in the authors' code; the paper names neither.
    """
    return Experiment(
        preset="celeba-hq",
        data=DataConfig(resolution=(256,), augmentation="horizontal-flip"),
        process=ProcessConfig(variance="fixed-small"),
        model=UNetShape(multipliers=(1, 1, 2, 2, 4, 4), attention=(4,), dropout=0.0),
        training=Recipe(steps=500_000, batch_size=64, lr=2e-5),
    )


def lsun_bedroom() -> Experiment:
    """The 256x256 model on LSUN bedrooms: no flips, 2.4 million steps."""
    base = celeba_hq()
    return Experiment(
        preset="lsun-bedroom",
        data=DataConfig(resolution=(256,)),
        process=base.process,
        model=base.model,
        training=Recipe(steps=2_400_000, batch_size=64, lr=2e-5),
    )


def lsun_bedroom_large() -> Experiment:
    """The paper's large model, 1.15 million steps.

    The paper says "approximately 256M parameters, made by increasing the number of filters"; base width 192 gives
    255,677,955.
    """
    base = celeba_hq()
    return Experiment(
        preset="lsun-bedroom-large",
        data=DataConfig(resolution=(256,)),
        process=base.process,
        model=UNetShape(channels=192, multipliers=(1, 1, 2, 2, 4, 4), attention=(4,), dropout=0.0),
        training=Recipe(steps=1_150_000, batch_size=64, lr=2e-5),
    )


PRESETS: Mapping[str, Callable[[], Experiment]] = {
    "digits": digits,
    "mnist": mnist,
    "laptop": laptop,
    "small": small,
    "cifar10": cifar10,
    "celeba-hq": celeba_hq,
    "lsun-bedroom": lsun_bedroom,
    "lsun-bedroom-large": lsun_bedroom_large,
}
