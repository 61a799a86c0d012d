"""The derivations of the paper, line by line: formula, the rule that leads to it, the code of its value."""
