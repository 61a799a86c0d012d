"""Which version this is: what made a checkpoint, and what `ddpm --version` says."""

VERSION = "0.1.0"
