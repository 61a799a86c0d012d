"""The section of a run's page that shows held-out images as parts of their files, where that costs little beside the training."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ddpm.codec.codec import Codec
from ddpm.data.open import open_source
from ddpm.errors import Failure, RunWarning
from ddpm.figures.pictures import png_size, tile
from ddpm.language import Text
from ddpm.parallel.device import pick_device
from ddpm.report.page import Figure, filmstrip
from ddpm.report.run_page import NUMBERED
from ddpm.run.folder import RunFolder
from ddpm.run.log import read_metrics
from ddpm.trained.coded import codec_or_why
from ddpm.trained.coding import IMAGES
from ddpm.trained.loaded import load_run
from ddpm.trained.measures.real_bytes import PARTS, ROWS, moments, whole_images

SHARE = 0.03
"""Of what the training cost, in images that went through the network."""
LEVELS, EXACT = 16, 4
"""About how often the network is asked of an image, and what its exact arithmetic costs beside the usual one."""


def coded(folder: RunFolder, language: str = "en") -> Sequence[Figure]:
    """The section, a sentence alone where there is no codec; none where the training was too short for it, or the data are gone."""
    if not affordable(read_metrics(folder.metrics)):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RunWarning
        )  # of a network without exact arithmetic: here nothing is kept for others
        try:
            trained = load_run(str(folder.path), "ema", pick_device("auto"))
            data = trained.experiment.data
            held_out = open_source(data.source, "test", data.options())
            codec = codec_or_why(trained)
            if isinstance(codec, Text):
                return [Figure(TITLE.in_language(language), "", codec.in_language(language), label="")]
            images = whole_images(held_out.take(torch.arange(min(ROWS, len(held_out)))))
            return [section(codec, images, language)]
        except Failure:  # what the page says beside it stands
            return []


def affordable(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether the profile and a few images cost little beside the training, whose steps are worth three evaluations of the network."""
    trained = 3 * rows[-1]["images"] if rows else 0
    return SHARE * trained >= (IMAGES + ROWS) * LEVELS * EXACT


def section(codec: Codec, images: Sequence[np.ndarray], language: str = "en") -> Figure:
    """A row an image, a column a part of its file; the numbers in the caption."""
    strips = moments(codec, images)
    sizes = np.array([[moment.bytes for moment in strip] for strip in strips]).mean(0)
    pictures = torch.from_numpy(np.stack([moment.picture for strip in strips for moment in strip]))
    bytes_ = BYTES.in_language(language)
    labels = [f"{100 * part:g} %, {size:,.0f} {bytes_}" for part, size in zip(PARTS, sizes, strict=True)]
    return Figure(
        TITLE.in_language(language),
        filmstrip(labels, tile(pictures, len(PARTS)), ALT.in_language(language)),
        FILES.with_values(
            language,
            images=len(images),
            size=sizes[-1],
            rate=8 * sizes[-1] / images[0].size,
            png=np.mean([png_size(image, codec.profile.levels) for image in images]),
        ),
        label=NUMBERED.in_language(language),
    )


TITLE = Text("As bytes", "바이트로")
ALT = Text("images as parts of their files show them", "파일의 일부만 읽은 이미지")
BYTES = Text("bytes", "바이트")
FILES = Text(
    "Files of {images} held-out images, as ddpm compress writes them: {size:,.1f} bytes in the mean, header included, or {rate:.3f} "
    "bits/dim ({png:,.1f} bytes as PNG). All of a file gives the image back exactly; shown is what 1 to 100 % of the bytes after its "
    "header say.",
    "남겨 둔 이미지 {images}장을 ddpm compress로 쓴 파일. 머리말까지 평균 {size:,.1f}바이트, {rate:.3f} bits/dim이다(PNG로는 "
    "{png:,.1f}바이트). 파일 전부를 읽으면 이미지가 그대로 돌아온다. 그림은 머리말 뒤 바이트의 1에서 100 %까지만 읽은 모습이다.",
)
