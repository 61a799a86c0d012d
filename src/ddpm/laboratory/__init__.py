"""The questions of the study notes, each answered by a small experiment on data whose exact answer is known."""
