"""Whether this process is one of several, by the variables that `torchrun` and `accelerate launch` set; nothing is imported."""

import os

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def launched() -> bool:
    """Whether this process is one of several."""
    return all(name in os.environ for name in VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


def launch() -> tuple[str, ...]:
    """The launch of this process and its place in it, by what the launcher set."""
    return tuple(os.environ[name] for name in VARIABLES)


def launcher_keeps_store() -> bool:
    """Whether it is the launcher by which the processes hear of each other, as with `torchrun`; else the first of them."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def attempt() -> str:
    """How often the launcher has started the processes anew: a store of its keeps what they said before."""
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def number() -> int:
    """The rank that this process was started with; 0 if it is alone."""
    return int(os.environ["RANK"]) if launched() else 0


def local_number() -> int:
    """Which of the processes, hence of the devices, of this machine it is."""
    return int(os.environ.get("LOCAL_RANK", "0")) if launched() else 0
