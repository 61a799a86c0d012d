"""One script for each published number; results carry command, commit and machine."""
