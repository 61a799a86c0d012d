"""A trained model as a value with methods: what one does with it, each in a call. `ddpm.load` and `ddpm.fit` give one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm.checks import check_noisy, check_t, check_whole
from ddpm.diffusion.reverse import ReverseProcess
from ddpm.errors import UsageError
from ddpm.evaluation.rate import Bound
from ddpm.figures.animation import Animation
from ddpm.figures.images import BYTES, Data, Images, a_mask, a_photo, one_image, size_of, tell
from ddpm.figures.progress import followed
from ddpm.sampling import Sampler
from ddpm.sampling.chain import last_of
from ddpm.sampling.images import Plan, Sampled
from ddpm.trained.compressor import Compressor
from ddpm.trained.draw import Drawing, DrawingOptions, How, drawn, edit_of, few_steps, moving, samples_of
from ddpm.trained.edit import colour, from_noised, inpaint, require_colours, small_shape, super_resolve
from ddpm.trained.evaluate import given_images
from ddpm.trained.export import export
from ddpm.trained.interpolate import interpolate
from ddpm.trained.labels import Label, condition_of_edit, label_of
from ddpm.trained.latents import latents
from ddpm.trained.loaded import LoadedModel
from ddpm.trained.score import scored


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel(Compressor):
    """A trained model: sample from it, score images with it, change images by it. Frozen; nothing is drawn from a global seed.

    Everything that is computed is what the command line computes, to the bit. Times t are the paper's, 1..T; images given as
    tensors are (batch, C, H, W) float32 in [-1, 1].

    Example:
        >>> import ddpm
        >>> model = ddpm.load("runs/demo")
        >>> model.sample(4, seed=1, progress=False)
        Images(4 of 1x8x8, 17 levels)
    """

    def sample(
        self,
        n: int,
        *,
        sampler: str | Sampler = "ancestral",
        steps: int | None = None,
        spacing: str = "uniform",
        variance: str | None = None,
        exact: bool = False,
        seed: int = 0,
        label: Label = None,
        guidance: float = 1.0,
        guidance_interval: tuple[int, int] | None = None,
        first: int = 0,
        batch_size: int = 64,
        progress: bool = True,
    ) -> Images:
        """Draw images. Image i depends on `seed` and i alone: not on `n`, nor on `batch_size`.

        Args:
            n: how many.
            sampler: a name of `ddpm.SAMPLERS`, or a sampler such as ``ddpm.DDIM(eta=0.5)`` or one of your own.
            steps: how many of the T steps the chain visits; None for all.
            spacing: which ones: "uniform", "quadratic", "trailing", "leading", "log-snr" or "optimal".
            variance: "fixed-large", "fixed-small", "learned" or "optimal"; None for the one that it was trained for.
            exact: whether "optimal" measures the network at every t, once, and not at 40 with lines between.
            seed: of all random numbers.
            label: a class by name or number, several in turn, "none", or None for all in turn.
            guidance: classifier-free; 1 heeds the label, more is more typical and less varied.
            guidance_interval: (first, last) step of the whole chain at which it guides; None for all.
            first: number of the first image.
            batch_size: images at a time.
            progress: whether a bar is shown, on a terminal or in a notebook.

        Raises:
            UsageError: there is no such sampler, spacing, variance or class, or the model cannot do that.
        """
        how = How(
            sampler=sampler,
            steps=steps,
            spacing=spacing,
            variance=variance,
            exact=exact,
            seed=seed,
            label=label,
            guidance=guidance,
            guidance_interval=guidance_interval,
            first=first,
            batch_size=batch_size,
            progress=progress,
        )
        return drawn(samples_of(self.loaded, n, how), "sampling", how)

    def chain(self, n: int, **how: Unpack[DrawingOptions]) -> Iterator[Sampled]:
        """The steps of `sample`, one by one, batch after batch: `.rows`, `.t`, `.x` and the estimate `.x_0`.

        Takes and raises what `sample` does. Nothing is computed before the first step is asked for.

        Example:
            >>> import ddpm
            >>> [step.t for step in ddpm.load("runs/demo").chain(2, sampler="ddim", steps=4)]
            [3, 2, 1, 0]
        """
        return samples_of(self.loaded, n, How(**how)).run()

    def animate(
        self,
        image: Data | None = None,
        *,
        timestep: int | None = None,
        frames: int = 60,
        **how: Unpack[DrawingOptions],
    ) -> Animation:
        """An image on its way into noise and back, or, without one, a sample as it is made.

        Args:
            image: as in `edit`. It goes up to x_t by one draw of q, and the chain comes down from there.
            timestep: how far up: then the last frame is the image of `edit` with this seed; None for T, and that of `sample`.
            frames: at most so many, evenly spaced among the steps of each way.
            **how: as in `sample`.

        Raises:
            UsageError: a timestep without an image, or as `sample`.
            Mismatch: an array or a tensor has another size than the model's.

        Example:
            >>> import ddpm
            >>> ddpm.load("runs/demo").animate(ddpm.images("digits")[0], timestep=6, frames=10, progress=False)
            Animation(10 frames of 1x8x8, t = 0 to 6 and back)
        """
        frames, asked = check_whole("frames", frames, 2), How(**how)
        x_0 = None if image is None else one_image(image, self.shape, self.levels)
        if timestep is None:
            return moving(samples_of(self.loaded, 1, asked), x_0, frames, asked)
        if x_0 is None:
            raise UsageError("`timestep` says how far up an image goes, and there is none")
        t = check_whole("timestep", timestep, 1)
        return moving(self._edit(asked, lambda model, plan: from_noised(model, x_0, t, plan), 1, t), x_0, frames, asked)

    def bits_per_dim(
        self,
        data: Data,
        *,
        split: str = "test",
        num_images: int | None = None,
        steps: int | None = None,
        spacing: str = "uniform",
        variance: str | None = None,
        exact: bool = False,
        label: str | int | None = None,
        seed: int = 0,
        batch_size: int = 128,
        progress: bool = True,
    ) -> Bound:
        """The variational bound of images (Eq. 5): every term of every image, an upper bound on the code length in bits/dim.

        Args:
            data: a source's name or path, one picture file, an array, a tensor, Pillow images or Images. Pictures of another
                size than the model's are scaled and cut, which is warned of.
            split: of a source: "test", "train", "all", or "validation" where there is one beside the two.
            num_images: the first ones; None for all.
            steps: of the chain, as in `sample`: the bound of the shorter chain.
            spacing: as in `sample`.
            variance: as in `sample`.
            exact: as in `sample`.
            label: what a model with classes is told: None for each image's own, "none", or one class for all.
            seed: of the noise.
            batch_size: images at a time; on a CPU in steps of 16, so that it changes no bit of the result (with 1, 2 or 4 threads).
            progress: whether a bar is shown.

        Raises:
            UsageError: there is no such split, spacing or variance, or real numbers are not on the model's levels.
            Mismatch: the model is for other images, or the images have no labels.
            NotFound, DataError: the data cannot be read.

        Example:
            >>> import ddpm
            >>> found = ddpm.load("runs/demo").bits_per_dim("digits", num_images=4, progress=False)
            >>> found.images, found.T, len(found.per_image)
            (4, 12, 4)
        """
        seed, batch_size = check_whole("seed", seed), check_whole("batch_size", batch_size, 1)
        few = replace(few_steps(steps, spacing, variance), exact=exact)
        return scored(
            self.loaded,
            given_images(self.loaded, data, split),
            num_images,
            few,
            label,
            seed,
            batch_size,
            progress=progress,
        )

    def estimate(self, x_t: Tensor, t: int | Tensor, label: str | int | None = None) -> Tensor:
        r"""The estimate of x_0 that the network makes of x_t, of x_t's shape; within [-1, 1] if the model limits it.

        Args:
            x_t: (batch, C, H, W) float32.
            t: one step of 1..T, or one for each image.
            label: a class; None says nothing.

        Raises:
            UsageError: x_t has other channels, height or width, or t is no step.

        Example:
            >>> import ddpm, torch
            >>> ddpm.load("runs/demo").estimate(torch.randn(2, 1, 8, 8), t=6).shape
            torch.Size([2, 1, 8, 8])
        """
        return self._asked(x_t, t, label, lambda p, x, at: p.estimate(x, at))

    def score(self, x_t: Tensor, t: int | Tensor, label: str | int | None = None) -> Tensor:
        r""":math:`\nabla_{x_t}\log q(x_t)` as the network estimates it, of x_t's shape. Takes and raises what `estimate` does."""
        return self._asked(x_t, t, label, lambda p, x, at: p.score(x, at))

    def encode(
        self,
        images: Data,
        timestep: int | None = None,
        *,
        steps: int | None = None,
        batch_size: int = 64,
        progress: bool = True,
    ) -> Tensor:
        """The latents x_t of images, (N, C, H, W), without noise: DDIM's chain upwards. DDIM leads back, nearly.

        Args:
            images: as data of `bits_per_dim` (of a source all of it).
            timestep: how far up, 1..T; None for T.
            steps: how many of these steps are visited; None for all.
            batch_size: images at a time.
            progress: whether a bar is shown.

        Raises:
            UsageError: there is no such step, or too many.
            Mismatch: the model is for other images.

        Example:
            >>> import ddpm
            >>> ddpm.load("runs/demo").encode(ddpm.images("digits")[:3], progress=False).shape
            torch.Size([3, 1, 8, 8])
        """
        t = self.schedule.T if timestep is None else check_whole("timestep", timestep, 1)
        found, batch_size = given_images(self.loaded, images, "all"), check_whole("batch_size", batch_size, 1)
        return latents(self.loaded, found, t, steps, batch_size, progress=progress)

    def interpolate(
        self,
        a: Data,
        b: Data,
        *,
        timestep: int,
        num: int = 9,
        encoding: str = "stochastic",
        steps: int | None = None,
        seed: int = 0,
        label: Label = None,
        guidance: float = 1.0,
        progress: bool = True,
    ) -> Images:
        """The way from one image to another through their latents at a step (section 4.4).

        Args:
            a: one image: a path, a Pillow image or Images, of any size; an array or a tensor of the model's size.
            b: another.
            timestep: how far into the noise: 0 mixes pixels, T makes new samples.
            num: images, the ends included.
            encoding: "stochastic" (the paper's: drawn) or "deterministic" (DDIM's: the ends nearly come back).
            steps: of those up to `timestep`; None for all.
            seed: of the noise.
            label: as in `inpaint`; one class.
            guidance: as in `sample`.
            progress: whether a bar is shown.

        Raises:
            UsageError: there is no such step, encoding or class.
            Mismatch: an array or a tensor has another size than the model's.

        Example:
            >>> import ddpm
            >>> digits = ddpm.images("digits")
            >>> ddpm.load("runs/demo").interpolate(digits[0], digits[1], timestep=6, num=5, progress=False)
            Images(5 of 1x8x8, 17 levels)
        """
        timestep, num = check_whole("timestep", timestep), check_whole("num", num, 2)
        steps, seed = few_steps(steps).steps, check_whole("seed", seed)
        ends = (one_image(a, self.shape, self.levels), one_image(b, self.shape, self.levels))
        condition = condition_of_edit(self.experiment, label, None if guidance == 1 else guidance)
        total, chain = interpolate(self.loaded, ends, timestep, num, seed, encoding, steps, condition)
        with followed(chain, total, "interpolating", progress) as moved:
            last = last_of(moved)
        return Images(last.x.cpu(), self.levels, classes=self.classes)

    def inpaint(
        self,
        image: Data,
        mask: str | Path | Image.Image | np.ndarray | Tensor,
        n: int = 4,
        *,
        method: str = "repaint",
        jump: int = 10,
        resamplings: int | None = None,
        **how: Unpack[DrawingOptions],
    ) -> Images:
        """Fill a hole in an image, `n` times.

        Args:
            image: a path, a Pillow image or Images, of any size; an array or a tensor of the model's size.
            mask: of any size: what is white, or true, is drawn; what is transparent, where parts of it are.
            n: how many images.
            method: "repaint", "replace" or "ddnm".
            jump: how many steps RePaint goes up again at a time.
            resamplings: how often each step is made; None for the method's own number (10 for RePaint).
            **how: as in `sample`; of a model with classes none is heeded unless `label` names one.

        Warns:
            RunWarning: how image and mask were scaled and understood. `Images.paste` puts the answers back into a photograph.

        Raises:
            UsageError: nothing to fill, or as `sample`.
            Mismatch: an array or a tensor has another size than the model's.

        Example:
            >>> import ddpm, numpy
            >>> hole = numpy.zeros((8, 8), bool)
            >>> hole[2:6, 2:6] = True
            >>> ddpm.load("runs/demo").inpaint(ddpm.images("digits")[0], hole, 2, method="ddnm", progress=False)
            Images(2 of 1x8x8, 17 levels)
        """
        jump = check_whole("jump", jump, 1)
        resamplings = None if resamplings is None else check_whole("resamplings", resamplings, 1)
        x_0, where = one_image(image, self.shape, self.levels), a_mask(mask)
        tell(*where.said(size_of(image, self.shape, self.levels), *self.shape[1:]))
        hole = where.seen(*self.shape[1:])
        return self._edited(
            How(**how), lambda model, plan: inpaint(model, x_0, hole, plan, method, jump, resamplings), n
        )

    def edit(self, image: Data, n: int = 4, *, timestep: int, **how: Unpack[DrawingOptions]) -> Images:
        """Draw an image anew from its own x_t (SDEdit): the larger `timestep`, the less is left of it.

        Takes and raises what `inpaint` does; `steps` are of those up to `timestep`.

        Example:
            >>> import ddpm
            >>> ddpm.load("runs/demo").edit(ddpm.images("digits")[0], 2, timestep=6, progress=False)
            Images(2 of 1x8x8, 17 levels)
        """
        timestep = check_whole("timestep", timestep, 1)
        x_0 = one_image(image, self.shape, self.levels)
        return self._edited(How(**how), lambda model, plan: from_noised(model, x_0, timestep, plan), n, timestep)

    def super_resolve(self, image: Data, n: int = 4, *, factor: int, **how: Unpack[DrawingOptions]) -> Images:
        """Enlarge a small image: its pixels become the means of squares of `factor` by `factor` (DDNM).

        Takes and raises what `inpaint` does; the image has 256 levels, and becomes as large as the
        model's divided by `factor`.
        """
        factor = check_whole("factor", factor, 2)
        shape = small_shape(self.shape, factor)
        if (photo := a_photo(image, shape, BYTES)) is not None:
            photo.require_smaller(*self.shape[1:])
        small = one_image(image, shape, BYTES)
        return self._edited(How(**how), lambda model, plan: super_resolve(model, small, factor, plan), n)

    def colour(self, image: Data, n: int = 4, **how: Unpack[DrawingOptions]) -> Images:
        """Colour an image of which only the grey values count (DDNM). Takes and raises what `inpaint` does."""
        require_colours(self.loaded)
        grey = one_image(image, (1, *self.shape[1:]), BYTES)
        return self._edited(How(**how), lambda model, plan: colour(model, grey, plan), n)

    def export(self, folder: str | Path, format: str = "diffusers", *, private: bool = False) -> list[str]:
        """Write the model for another library, as `ddpm export` does, and return what does not carry over, a line for each.

        Args:
            folder: new, or empty; it is whole or not there. Or ``hf:OWNER/NAME``, to the hub.
            format: "diffusers": a folder for its `DDPMPipeline`; "onnx", "torch-export": the network as a graph.
            private: a repository that is made on the hub is seen by its owner alone; one that is there stays what it is.

        Raises:
            UsageError: no such format, or one that cannot express this model, what is named; or `private` of a folder.
            CannotCreate, StorageError: the folder holds something, or cannot be written.
            NotFound, Unavailable: the hub does not let you, or cannot be reached.
        """
        return export(self.loaded, Path(folder).expanduser(), format, private=private)

    def _edited(
        self, how: How, edit: Callable[[LoadedModel, Plan], Drawing], n: int, timestep: int | None = None
    ) -> Images:
        return drawn(self._edit(how, edit, n, timestep), "drawing", how)

    def _edit(
        self, how: How, edit: Callable[[LoadedModel, Plan], Drawing], n: int, timestep: int | None = None
    ) -> Drawing:
        return edit_of(self.loaded, n, how, edit, timestep)

    def _asked(
        self,
        x_t: Tensor,
        t: int | Tensor,
        label: str | int | None,
        answer: Callable[[ReverseProcess, Tensor, int | Tensor], Tensor],
    ) -> Tensor:
        check_noisy(x_t, self.shape)
        check_t(t, self.schedule.T, len(x_t))
        told = None if label is None else torch.tensor([label_of(self.experiment, label)], device=self.device)
        at = t if isinstance(t, int) else t.to(self.device)
        with torch.no_grad():
            return answer(self.process.given(told), x_t.to(self.device, torch.float32), at)
