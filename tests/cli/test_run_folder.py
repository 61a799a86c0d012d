"""What a run leaves in its folder."""

from ddpm.commands.run import RunFolder


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
