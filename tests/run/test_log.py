"""The log of a run beside TensorBoard, whose disk may fail."""

import json
import threading
from contextlib import closing

import pytest
from torch.utils import tensorboard

from ddpm.errors import StorageError
from ddpm.run.folder import RunFolder
from ddpm.run.log import GrowingLog, RunLog, read_metrics


class Board(tensorboard.SummaryWriter):
    """TensorBoard's writer, as it is once its disk is full: of no use for good."""

    full, made = False, 0

    def __init__(self, *_, **__):
        type(self).made += 1
        self.broken = False

    def add_scalar(self, *_):
        self.broken |= self.full
        if self.broken:
            raise OSError(28, "No space left on device")

    def close(self):
        self.add_scalar()


def test_a_full_disk_is_said_once_and_tensorboard_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "SummaryWriter", Board)
    folder = RunFolder(tmp_path)
    folder.create()
    log = RunLog(folder, 0)
    Board.full = True
    with pytest.raises(StorageError, match=r"cannot write '.*logs': No space left"):
        log.write({"step": 1, "loss": 1.0})
    for step in (2, 3):
        log.write({"step": step, "loss": 1.0})
    Board.full, before = False, Board.made
    log.write({"step": 4, "loss": 1.0})
    log.write({"step": 5, "loss": 1.0})
    assert Board.made == before + 1
    Board.full = True
    with pytest.raises(StorageError):
        log.write({"step": 6, "loss": 1.0})
    log.close()
    assert [row["step"] for row in read_metrics(folder.metrics)] == [1, 2, 3, 4, 5, 6]


def test_what_fails_in_a_thread_of_tensorboard_is_no_traceback(tmp_path, capfd):
    class Writer(threading.Thread):
        __module__ = "tensorboard.summary.writer.event_file_writer"

        def run(self):
            raise OSError(28, "No space left on device")

    def fail():
        raise OSError(28, "ours")

    before = threading.excepthook
    folder = RunFolder(tmp_path)
    folder.create()
    log, seen = RunLog(folder, 0), []
    log._hook = seen.append
    for thread in (Writer(), threading.Thread(target=fail)):
        thread.start()
        thread.join()
    assert [str(failed.exc_value) for failed in seen] == ["[Errno 28] ours"]
    assert capfd.readouterr().err == ""
    log._hook = before
    log.close()
    assert threading.excepthook is before


def test_what_is_no_line_of_ours_ends_the_log(tmp_path):
    """A report of a run is drawn from numbers; of a file that another command wrote there nothing is taken."""
    path, ours = tmp_path / "metrics.jsonl", {"step": 2, "loss": 1.0, "grad_norm": None}
    for foreign in (
        '{"step": 4, "bits_per_dim": {"total": 1}}',
        '{"step": 4, "weights": "ema"}',
        '{"images": 2}',
        "[4]",
        "{",
    ):
        path.write_text(f"{json.dumps(ours)}\n{foreign}\n")
        assert read_metrics(path) == [ours]


def test_curves_stand_in_groups(tmp_path):
    """TensorBoard shows loss/, bound/, time/ and training/; the step is where a number stands, no curve of its own."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path)
    row = {"step": 7, "images": 14, "seconds": 0.5, "loss": 1.0, "grad_norm": 2.0, "lr": 0.1, "skipped": 0}
    with closing(RunLog(folder, 0)) as log:
        log.write(row | {"bits_per_dim": 3.0, "bits_per_dim_stderr": 0.1, "bits_per_dim_monte_carlo": 0.2, "new": 1})
    board = EventAccumulator(str(folder.logs))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {
        *(
            "loss/loss",
            "loss/grad_norm",
            "time/images",
            "time/seconds",
            "training/lr",
            "training/skipped",
            "training/new",
        ),
        *("bound/bits_per_dim", "bound/bits_per_dim_stderr", "bound/bits_per_dim_monte_carlo"),
    }
    assert [(event.step, event.value) for event in board.Scalars("bound/bits_per_dim")] == [(7, 3.0)]


def test_a_log_that_grows_is_read_on(tmp_path):
    """What was read is not read again; half a line is read when it is whole; a log that was taken back is read anew."""
    path = tmp_path / "metrics.jsonl"
    log = GrowingLog(path)
    assert log.rows() == []
    lines = [json.dumps({"step": step, "loss": 1 / step}) + "\n" for step in range(1, 6)]
    path.write_text("".join(lines[:2]) + lines[2][:9])
    assert log.rows() == read_metrics(path) == [json.loads(line) for line in lines[:2]]
    with path.open("r+") as file:
        file.write("#" * len(lines[0]))  # whoever reads it again finds no line
        file.seek(0, 2)
        file.write(lines[2][9:] + lines[3])
    assert log.rows() == [json.loads(line) for line in lines[:4]]
    with path.open("a") as file:
        file.write("no line\n" + lines[4])
    assert len(log.rows()) == len(log.rows()) == 4
    (other := tmp_path / "other").write_text(lines[0] + lines[4])
    other.rename(path)
    assert log.rows() == read_metrics(path) == [json.loads(lines[0]), json.loads(lines[4])]
    path.write_text(lines[1])
    assert log.rows() == [json.loads(lines[1])]
