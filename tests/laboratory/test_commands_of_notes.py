"""The commands that the index of the notes names do what it says: each is run, on a tiny model where it takes one."""

import shlex

import pytest

from ddpm.laboratory.notes import statements

COMMANDS = sorted({statement.shown_by for statement in statements.statements()})
SMALLER = {
    "ddpm lab table-2": ["--num-images", "8", "--budget", "2s"],
    "ddpm train": ["--steps", "2", "--batch-size", "4"],
    "ddpm evaluate": ["--num-images", "4", "--device", "cpu"],
    "ddpm sample": ["--device", "cpu"],
}
"""What makes a command of this beginning take seconds."""


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs(command, ddpm, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "new" if command.startswith("ddpm train") else trained
    words = [{"RUN": str(run), "DATA": "digits"}.get(word, word) for word in shlex.split(command)[1:]]
    words += ["--num-images", "4"] if command.startswith("ddpm lab") and "--run" in command else []
    words += [word for beginning, flags in SMALLER.items() if command.startswith(beginning) for word in flags]
    said = ddpm(*words)
    assert said.code == 0, said.err
    assert said.out.strip()
    assert "error:" not in said.err
    for word in words:
        if word.endswith(".png"):
            assert (tmp_path / word).stat().st_size > 0
