"""Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020): the paper as exact, readable, fast PyTorch."""

__version__ = "0.1.0"
