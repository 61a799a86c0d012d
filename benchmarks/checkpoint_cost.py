"""What a checkpoint of the paper's CIFAR-10 network costs: written at once, and while training goes on.

35.7 million parameters, their moving average and Adam's two moments: 572 MB. `python -m benchmarks.checkpoint_cost [FOLDER]`;
FOLDER is the disk to write to (a temporary one).
"""

import hashlib
import json
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.machine import save
from ddpm import checkpoints
from ddpm.checkpoints import Checkpoint
from ddpm.checkpoints.background import Saver, on_host
from ddpm.checkpoints.retention import Keeper
from ddpm.data.batches import Batches
from ddpm.data.imageset import ImageSet
from ddpm.diffusion.objective import simple
from ddpm.diffusion.reverse import ReverseProcess, unlimited
from ddpm.diffusion.schedule import linear
from ddpm.models.precision import in_precision
from ddpm.models.shape import UNetShape
from ddpm.models.unet import UNet
from ddpm.training.trainer import Recipe, State, train

BATCH, ROUNDS, INTERVAL = 2, 3, 600.0
CPU = torch.device("cpu")


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def about(times: list[float]) -> dict[str, float]:
    """Median and extremes, and the share of a save every ten minutes."""
    middle = statistics.median(times)
    found = {"median": middle, "least": min(times), "most": max(times)}
    return {
        **{name: round(value, 4) for name, value in found.items()},
        "percent_of_10_minutes": round(100 * middle / INTERVAL, 4),
    }


def written_at_once(folder: Path, content: Checkpoint) -> dict[str, dict[str, float]]:
    """The whole of it, and its parts."""
    keeper, whole, processor, hashing, reading = Keeper(folder), [], [], [], []
    data = b"".join(bytes(piece) for piece in checkpoints.Watched(content.tensors["model"]))
    for step in range(1, ROUNDS + 1):

        def save_it(step: int = step) -> None:
            checkpoints.write(folder, step, content)
            keeper.retire(step)

        before = time.process_time()
        whole.append(seconds(save_it))
        processor.append(time.process_time() - before)
        hashing.append(4 * seconds(lambda: hashlib.sha256(data)))
        reading.append(seconds(lambda step=step: checkpoints.damage(folder / checkpoints.folder_name(step))))
    return {
        "write, flush, read back, retire": about(whole),
        "the same in processor time, which others on the machine do not change": about(processor),
        "of this, SHA-256 of 572 MB once": about(hashing),
        "of this, reading back": about(reading),
        "ddpm verify of one (checkpoint.read)": about(
            [seconds(lambda: checkpoints.read(checkpoints.found(folder)[-1]))]
        ),
    }


def while_training_goes_on(folder: Path, state: State) -> dict[str, object]:
    """How long `save` keeps training waiting, and what the thread takes of the processor while training goes on."""
    p = ReverseProcess(in_precision(state.network, "fp32", CPU), linear(), limit=unlimited)
    images = ImageSet("random", torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8))
    steps = train(state, lambda: p, simple, Batches(images, BATCH, 0), Recipe(batch_size=BATCH))
    next(steps)
    alone = [seconds(lambda: next(steps)) for _ in range(ROUNDS)]
    blocked, processor, beside, thread_takes, written = [], [], [], [], []
    with Saver(folder) as saver:
        for _ in range(ROUNDS):
            begin, mine, all_of_us = time.perf_counter(), time.thread_time(), time.process_time()
            blocked.append(seconds(lambda: saver.save(state.step, checkpoints.pack(state))))
            processor.append(time.thread_time() - mine)
            while any(thread.name == "ddpm-save" for thread in threading.enumerate()):
                beside.append(seconds(lambda: next(steps)))
            written.append(time.perf_counter() - begin)
            thread_takes.append(time.process_time() - all_of_us - (time.thread_time() - mine))
            saver.wait()
    return {
        "training waits": about(blocked),
        "training waits, in processor time": about(processor),
        "the thread takes, in processor time": about(thread_takes),
        "until it is written, at most": about(written),
        "a step alone": round(statistics.median(alone), 4),
        "a step while it is written": round(statistics.median(beside), 4),
    }


def main() -> None:
    torch.set_num_threads(1)  # so that what is not the main thread's time is the saving thread's
    state = State.start(UNet(UNetShape(), 3, 3), 2e-4, torch.amp.GradScaler("cpu", enabled=False))
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        asynchronous = while_training_goes_on(Path(name), state)
        content = on_host(checkpoints.pack(state))
        for path in checkpoints.found(Path(name)):
            checkpoints.durable.remove(path)
        at_once = written_at_once(Path(name), content)
        copying = about([seconds(lambda: on_host(content)) for _ in range(ROUNDS)])
    result = {
        "parameters": sum(parameter.numel() for parameter in state.network.parameters()),
        "bytes": content.size,
        "batch": BATCH,
        "at_once_seconds": at_once,
        "asynchronous_seconds": asynchronous,
        "copy_to_host_seconds": copying,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result, indent=1))
    print(save("checkpoint_cost", result))


if __name__ == "__main__":
    main()
