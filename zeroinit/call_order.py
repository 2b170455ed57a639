"""In which order a model's forward pass calls its layers, which may differ from the order of their declaration."""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from zeroinit.layers import CALLED_LAYERS, declared_layers, leaves
from zeroinit.rng import restore_generators

known_orders: dict[str, list[str]] = {}  # by the key of an arch whose models all have the same order


@torch.no_grad()
def record_call_order(model: nn.Module, inputs: Tensor, key: str = "") -> None:
    """Keep with the model the names of its layers in the order of their first call in one forward pass in eval mode.

    `layers.called_layers` reads them. A layer whose weight the model uses without calling the layer acts where its
    weight is first used. No parameter, buffer, counter or generator moves. Of models with the same `key`, one runs.
    Raises what the forward pass raises.
    """
    if is_chain_of_leaves(model) or any(map(nn.parameter.is_lazy, model.parameters())):  # which the init refuses
        return
    order = known_orders.get(key)
    if order is None:
        with restore_generators(inputs.device), _disable_current_modes():
            order = run_copy(model, inputs)
    if key:
        known_orders[key] = order
    vars(model)[CALLED_LAYERS] = order


def run_copy(model: nn.Module, inputs: Tensor) -> list[str]:
    """What `run` gives for a copy with the same parameters; for a model that cannot be copied, itself, restored."""
    try:
        twin = deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    except Exception:  # it holds what cannot be copied, such as a lock or an open file
        return run_and_restore(model, inputs)
    return run(twin, inputs)


def is_chain_of_leaves(model: nn.Module) -> bool:
    """Whether the model is nested Sequentials of modules that hold no others: it calls them as it declares them."""
    if type(model).forward is not nn.Sequential.forward:
        return not list(model.children())
    return all(not list(layer.children()) for _, layer in leaves(model))


def run(model: nn.Module, inputs: Tensor) -> list[str]:
    """The names of the layers that act in a forward pass in eval mode, in the order of their first call."""
    weights: dict[int, str] = {}  # of parametrised layers none, as each use computes their weight anew
    for name, layer in declared_layers(model):
        weights.setdefault(id(layer._parameters.get("weight")), name)
    weights.pop(id(None), None)
    uses = Uses(weights)
    hooks = [layer.register_forward_pre_hook(partial(uses.call, name)) for name, layer in declared_layers(model)]
    model.eval()
    try:
        with uses:
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [name for name, is_call in uses.first if is_call or (name, True) not in uses.first]


def run_and_restore(model: nn.Module, inputs: Tensor) -> list[str]:
    """The same for a model that has to be left as it was."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        return run(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
        for buffer, before in buffers:
            buffer.copy_(before)


class Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Used as a context manager: `first` holds (layer, whether it was called) of each first call and first use.

    `weights` are the layers' names by the id of their weight.
    """

    def __init__(self, weights: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.first: dict[tuple[str, bool], None] = {}  # as an ordered set

    def call(self, name: str, layer: nn.Module, inputs: Any) -> None:
        """Note the call of a layer, as its hook before the forward pass."""
        self.first.setdefault((name, True))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for argument in tree_leaves((args, kwargs or {})):
            if id(argument) in self.weights:
                self.first.setdefault((self.weights[id(argument)], False))
        return func(*args, **(kwargs or {}))
