"""What `ddpm verify` says of every kind of damage: one line, the file, what is wrong in our own words, and what training would do.

What it says of training is held against what training does.
"""

import hashlib
import json
import shutil

import pytest

from ddpm import checkpoints
from ddpm.checkpoints import manifest
from ddpm.cli.terminal.console import note
from ddpm.errors import DataError, Failure
from ddpm.run.folder import RunFolder
from ddpm.run.start import Continue
from tests.cli.test_errors import _one_line
from tests.cli.test_words import LIBRARIES

FIRST, LAST = "step-000000003", "step-000000006"
MODEL, STATE, MANIFEST = "model.safetensors", "state.json", "manifest.json"


@pytest.fixture
def last(trained, tmp_path):
    """The newest of two checkpoints, to be harmed."""
    run = tmp_path / "run"
    shutil.copytree(trained / "checkpoints", run / "checkpoints")
    shutil.copy(trained / "config.json", run)
    return run / "checkpoints" / LAST


def flipped(place):
    """A byte of a file is another."""

    def change(path):
        data = bytearray(path.read_bytes())
        data[place] ^= 0x80
        path.write_bytes(data)

    return change


def filled(data):
    """A file holds something else."""
    return lambda path: path.write_bytes(data)


def sealed(data):
    """So it does, and the manifest agrees."""

    def change(path):
        path.write_bytes(data)
        facts = {path.name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}}
        resealed(lambda values: values["files"].update(facts))(path.with_name(MANIFEST))

    return change


def resealed(change):
    """A manifest that says something else."""

    def write(path):
        values = json.loads(path.read_bytes())
        del values["seal"]
        change(values)
        path.write_bytes(manifest.sealed(values))

    return write


def header(data):
    return len(data).to_bytes(8, "little") + data


def linked(path):
    path.unlink()
    path.symlink_to("/dev/zero")


DAMAGE = {
    "cut": (MODEL, filled(b"\0" * 100), "it has 100 bytes; "),
    "empty": (MODEL, filled(b""), "it has 0 bytes; "),
    "header's length": (MODEL, flipped(7), "its header is of "),
    "header": (MODEL, flipped(9), "its header: no text in UTF-8 from byte 1 on"),
    "numbers": (MODEL, flipped(-1), "it is not what was written: '"),
    "gone": (MODEL, lambda path: path.unlink(), "it is missing"),
    "a link": (MODEL, linked, "it is a link, not a file"),
    "deep": (MODEL, sealed(header(b"[" * 100_000)), "its header: more than 32 levels"),
    "half a header": (MODEL, sealed(header(b'{"a":')), "its header: no JSON from character 5 on"),
    "a name to break lines": (MODEL, sealed(header(b'{"\\u001b[2J\\n":1}')), r"'\x1b[2J\n' has not dtype"),
    "a name of a megabyte": (MODEL, sealed(header(b'{"%s":1}' % (b"x" * 10**6))), "xxx' has not dtype"),
    "state's byte": (STATE, flipped(20), "it is not what was written"),
    "state gone": (STATE, lambda path: path.unlink(), "it is missing"),
    "state cut": (STATE, filled(b"{"), "it has 1 bytes; "),
    "state of no text": (STATE, sealed(b"\xff"), "no text in UTF-8 from byte 0 on"),
    "state of a list": (STATE, sealed(b"[]"), "it is no object"),
    "state of 40 levels": (STATE, sealed(b"[" * 40 + b"]" * 40), "more than 32 levels"),
    "manifest's byte": (MANIFEST, flipped(30), "no text in UTF-8 from byte 30 on"),
    "manifest gone": (MANIFEST, lambda path: path.unlink(), "it is missing"),
    "manifest empty": (MANIFEST, filled(b""), "no JSON from character 0 on"),
    "manifest of a list": (MANIFEST, filled(b"[]"), "it is no object"),
    "manifest of null": (MANIFEST, filled(b"null"), "it is no object"),
    "manifest deep": (MANIFEST, filled(b'{"a":' * 100_000), "more than 32 levels"),
    "manifest without seal": (MANIFEST, filled(b"{}"), "its seal is broken"),
    "another step": (MANIFEST, resealed(lambda values: values.update(step=5)), "it is that of step 5"),
}


def test_damage_is_said_once_and_in_our_words(ddpm, last):
    """Of every kind, where checkpoints are looked at, and where one is read."""
    for kind, (name, harm, words) in DAMAGE.items():
        kept = last.with_name("kept")
        shutil.copytree(last, kept)
        harm(last / name)
        said = ddpm("verify", last)
        (line,) = said.out.splitlines()
        assert line.startswith(f"{LAST}  damaged  {name}: "), (kind, line)
        _one_line(said, 65, f"1 of 1 is damaged: {last}", f"ddpm verify {last.parent.parent} looks at the other")
        with pytest.raises(DataError) as found:
            checkpoints.read(last)
        assert str(found.value).startswith(f"damaged checkpoint: {last / name}: ")
        for text in (line, str(found.value)):
            assert words in text, kind
            assert (text.isprintable(), text.count("damaged"), len(text) < 500) == (True, 1, True), (kind, text)
            assert not any(strange in text for strange in LIBRARIES), text
        shutil.rmtree(last)
        kept.rename(last)


def test_of_one_checkpoint_nothing_is_promised(ddpm, last):
    """Training looks at the others of the run too, and the newest may be another."""
    older = min(last.parent.iterdir())
    assert older != last
    said = ddpm("verify", older, "--json", "-")
    assert json.loads(said.out)["resumed_from"] is None
    assert "would go on" not in said.err
    assert json.loads(ddpm("verify", last.parent.parent, "--json", "-").out)["resumed_from"] == str(last)


def test_a_name_does_not_reach_the_terminal_as_it_is(capfd):
    note("left out: \x1b[2J.png\nsecond line")
    assert capfd.readouterr().err == "left out: \\x1b[2J.png\nsecond line\n"


def test_what_verify_says_of_training_is_what_training_does(ddpm, last):
    """It sets the newer aside and goes on; where nothing is whole, it has nothing to go on from."""
    run = last.parent.parent

    def resumed():
        return Continue().latest(RunFolder(run))[0].numbers["step"]

    shutil.copytree(last, run / "copy")
    (last / STATE).write_text("")
    said = ddpm("verify", run)
    _one_line(said, 65, f"ddpm train renames what is newer than {FIRST} to .bad-..., and goes on from there")
    assert f"training would go on from step 3: {last.with_name(FIRST)}" in said.out
    assert resumed() == 3
    assert (last.parent / f".bad-{LAST}").is_dir()
    (run / "copy").rename(last)
    (last.with_name(FIRST) / STATE).write_text("")
    _one_line(ddpm("verify", run), 65, f"ddpm train goes on from {LAST}, the newest; what is older stays as it is")
    assert resumed() == 6
    assert last.with_name(FIRST).is_dir()
    (last / STATE).write_text("")
    _one_line(ddpm("verify", run), 65, "2 of 2 are damaged", "ddpm train has nothing to go on from")
    with pytest.raises(DataError, match="no whole checkpoint") as found:
        resumed()
    assert str(found.value).count("damaged") == 1


@pytest.mark.parametrize(
    ("name", "harm", "worth", "code"),
    [
        (MANIFEST, resealed(lambda values: values.update(version=3)), "unfit", 78),
        (STATE, sealed(b"{}"), "unsound", 65),
    ],
    ids=["later version", "state"],
)
def test_what_training_stops_at(ddpm, last, name, harm, worth, code):
    """Not all that cannot be gone on from is passed over: then verify promises no step, and says what can be done."""
    run = last.parent.parent
    harm(last / name)
    said = ddpm("verify", run)
    _one_line(said, code, f"1 of 2 is {worth}: {last}", f"ddpm train stops at {LAST}; once it is moved elsewhere")
    assert "go on from" not in said.out
    with pytest.raises(Failure) as found:
        Continue().latest(RunFolder(run))
    assert found.value.code == code
    assert str(last) in str(found.value)
    _one_line(ddpm("sample", run, "--num-images", 1, "--output-dir", run.with_name("no")), code, str(last))
    last.rename(run / "elsewhere")
    assert ddpm("verify", run).code == 0
    assert Continue().latest(RunFolder(run))[0].numbers["step"] == 3


def test_a_run_of_another_configuration(ddpm, last):
    """Its checkpoints are whole, and none of them is this network's."""
    run = last.parent.parent
    config = json.loads((run / "config.json").read_text())
    config["model"]["channels"] = 16
    (run / "config.json").write_text(json.dumps(config))
    said = ddpm("verify", run, "--json", "-")
    _one_line(said, 78, "2 of 2 are unfit", "nothing to go on from")
    found = json.loads(said.out)
    assert [each["worth"] for each in found["checkpoints"]] == ["unfit", "unfit"]
    assert found["resumed_from"] is None
