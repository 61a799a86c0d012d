"""The command line: the only place that parses arguments and prints. Importing it imports nothing heavy."""

from ddpm.cli.main import main

__all__ = ["main"]
