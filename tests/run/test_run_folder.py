"""What a run leaves in its folder."""

import shutil

from ddpm.run.folder import RunFolder
from tests.harness.commands import TINY


def test_what_a_killed_run_was_about_to_name_is_removed(tmp_path):
    """Of every file of a run but the report; what somebody else put there stays."""
    folder = RunFolder(tmp_path / "run")
    folder.create()
    halves = [folder.config, folder.metrics, folder.exit, folder.bad_images, folder.index]
    halves = [path.with_name(f".tmp-7-{path.name}") for path in [*halves, folder.samples / "step-000000004.png"]]
    others = [folder.report.with_name(".tmp-7-report.html"), folder.path / ".tmp-7-notes.txt", folder.path / ".tmp-x"]
    for path in [*halves, *others, folder.config]:
        path.write_text("")
    folder.tidy()
    assert not [path for path in halves if path.exists()]
    assert all(path.exists() for path in [*others, folder.config])
    assert folder.strangers() == []


def test_a_run_whose_checkpoints_are_gone_does_not_begin_anew_without_a_word(ddpm, tmp_path):
    """Before the first was due it is said; where there must have been some, it is refused, and the log stays."""
    run = tmp_path / "run"
    train = ["train", *TINY, "--output-dir", run, "--set", "rhythm.log=1"]
    assert ddpm(*train).code == 0
    log = (run / "metrics.jsonl").read_text()
    (run / "checkpoints").rename(tmp_path / "kept")
    (run / "metrics.jsonl").write_text("".join(log.splitlines(keepends=True)[:2]))
    said = ddpm(*train, "--set", "rhythm.save=1")
    assert (said.code, said.out.count("beginning anew")) == (0, 0)
    assert "beginning anew: there was no checkpoint yet, though the log went to step 2" in said.err
    for path in (run / "checkpoints").iterdir():
        shutil.rmtree(path)
    said = ddpm(*train, "--set", "rhythm.save=1")
    assert said.code == 65
    assert "has a log up to step 6, but no checkpoint: bring one back" in said.err
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 6
