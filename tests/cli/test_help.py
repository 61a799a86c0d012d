"""What the help says: commands in groups, flags under titles, and examples that can be typed."""

import shlex

import pytest

from ddpm.cli.parser import COMMANDS, EXAMPLES, GROUPS, _parsers, parse


def _examples():
    for name, text in [("ddpm", EXAMPLES), *((name, command.EXAMPLES) for name, command in COMMANDS.items())]:
        for line in text.replace("\\\n", " ").splitlines():
            yield pytest.param(name, shlex.split(line), id=line)


@pytest.mark.parametrize(("name", "words"), list(_examples()))
def test_an_example_can_be_typed(name, words):
    """As it stands in the help, to the last flag; it is of the command whose help shows it."""
    assert words[0] == "ddpm"
    options = parse(words[1:])
    assert name in ("ddpm", options.command)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_its_examples(name):
    text = _parsers()[1][name].format_help()
    lines = text.split("examples:\n")[1].splitlines()
    assert 2 <= sum(line.startswith("  ddpm ") for line in lines) <= 3


@pytest.mark.parametrize("name", ["ddpm", *COMMANDS])
def test_the_help_fits_a_terminal(name, monkeypatch):
    """Of 80 columns, with every flag under a title of ours."""
    monkeypatch.setenv("COLUMNS", "80")
    parser, commands = _parsers()
    text = (parser if name == "ddpm" else commands[name]).format_help()
    assert max(map(len, text.splitlines())) <= 80
    assert "positional arguments" not in text
    assert "options:" not in text.splitlines()


def test_the_help_lists_every_command_in_its_group(ddpm):
    said = ddpm()
    assert said.code == 2
    text = _parsers()[0].format_help()
    places = [text.index(f"\n{title}:\n") for title in GROUPS]
    assert places == sorted(places)
    for name, command in COMMANDS.items():
        assert f"  {name} " in text
        assert command.ABOUT in text
