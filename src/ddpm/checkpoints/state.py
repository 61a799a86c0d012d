"""What changes while training, to and from the content of a checkpoint: whole tensors, or this process' part of sharded ones."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ddpm.checkpoints.reading import Checkpoint
from ddpm.errors import Mismatch
from ddpm.parallel.world import meant_for
from ddpm.training.adam import MOMENTS, Adam
from ddpm.training.trainer import State


def pack(state: State) -> Checkpoint:
    """The state of training as a checkpoint's content; sharded, where the network is."""
    moments = {
        f"{moment}.{name}": state.optimizer.state[parameter][moment]
        for name, parameter in state.network.named_parameters()
        for moment in MOMENTS
        if moment in state.optimizer.state.get(parameter, {})
    }
    model = {name: parameter.detach() for name, parameter in state.network.named_parameters()}
    counts = {float(held["step"]) for held in state.optimizer.state.values()}
    numbers = {"step": state.step, "adam_step": max(counts, default=0.0), "scaler": state.scaler.state_dict()}
    numbers |= {"skipped": state.skipped, "in_a_row": state.in_a_row}
    return Checkpoint({"model": model, **state.averages, "optimizer": moments}, numbers)


def unpack(content: Checkpoint, state: State) -> None:
    """Put a checkpoint's content into the state of a network of the same shape, by Adam or Muon; or this process' part of it.

    Raises:
        Mismatch: its tensors are not this network's.
    """
    load_weights(state.network, content.tensors["model"])
    for average, weights in state.averages.items():
        for name, tensor in content.tensors[average].items():
            weights[name].copy_(meant_for(weights[name], tensor))
    moments = content.tensors["optimizer"]
    assert isinstance(state.optimizer, Adam)
    for name, parameter in state.network.named_parameters():
        held = {moment: moments[f"{moment}.{name}"] for moment in MOMENTS if f"{moment}.{name}" in moments}
        if held:
            if tuple(held) != state.optimizer.moments(parameter):
                raise Mismatch(f"the checkpoint's moments of {name} are not those of its optimizer")
            state.optimizer.state[parameter] = {
                "step": torch.tensor(content.numbers["adam_step"], device=parameter.device),
                **{moment: meant_for(parameter, tensor) for moment, tensor in held.items()},
            }
    state.scaler.load_state_dict(content.numbers["scaler"])
    state.step = int(content.numbers["step"])
    state.skipped, state.in_a_row = (int(content.numbers.get(name, 0)) for name in ("skipped", "in_a_row"))


@torch.no_grad()
def begin_with(weights: Mapping[str, Tensor], state: State) -> None:
    """Let a new training begin with these weights, as its averages do; the optimiser knows nothing yet.

    Raises:
        Mismatch: names or shapes differ.
    """
    load_weights(state.network, weights)
    for average in state.averages.values():
        for name, tensor in average.items():
            tensor.copy_(meant_for(tensor, weights[name]))


def digest(weights: Iterable[Tensor]) -> str:
    """Of the bytes of tensors, in their order."""
    found = hashlib.blake2b(digest_size=16)
    for tensor in weights:
        found.update(tensor.detach().cpu().numpy().tobytes())
    return found.hexdigest()


@torch.no_grad()
def load_weights(network: torch.nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy weights into a network.

    Raises:
        Mismatch: names or shapes differ.
    """
    parameters = dict(network.named_parameters())
    odd = sorted(parameters.keys() ^ weights.keys()) or sorted(
        n for n in parameters if parameters[n].shape != weights[n].shape
    )
    if odd:
        raise Mismatch(f"the checkpoint's weights do not fit the network: {odd[0]} and {len(odd) - 1} more differ")
    for name, parameter in parameters.items():
        parameter.copy_(meant_for(parameter, weights[name]))
