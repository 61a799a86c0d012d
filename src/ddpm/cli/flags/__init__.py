"""What can be typed after a command: kinds of values, names that can be given, and groups of flags of several commands."""
