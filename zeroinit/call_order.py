"""The order in which a model's forward pass calls its layers; the order of their declaration may be another one."""

from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from zeroinit.layers import CALLED_LAYERS, declared_layers, leaves
from zeroinit.rng import restore_generators

known_orders: dict[str, list[str]] = {}  # {key of an arch whose models all have one order: the order}


@torch.no_grad()
def record_call_order(model: nn.Module, inputs: Tensor, key: str = "") -> None:
    """Store in the model the names of its layers in the order of their first call in one forward pass in eval mode.

    `layers.called_layers` reads them. If the model uses the weight of a layer without calling the layer, the first use
    counts. No parameter, buffer, counter or generator changes. Exceptions of the forward pass are raised.

    Args:
        model: the model.
        inputs: a small batch.
        key: models with the same key have the same order, so that only one of them runs; empty for none.
    """
    if _is_chain_of_leaves(model) or any(map(nn.parameter.is_lazy, model.parameters())):  # the init refuses lazy ones
        return
    order = known_orders.get(key)
    if order is None:
        with restore_generators(inputs.device), _disable_current_modes():
            order = _run_copy(model, inputs)
    if key:
        known_orders[key] = order
    vars(model)[CALLED_LAYERS] = order


def _run_copy(model: nn.Module, inputs: Tensor) -> list[str]:
    """Run a copy with the same parameters; if the model cannot be copied, run the model and restore it."""
    try:
        twin = deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    except Exception:  # it has an attribute that cannot be copied, such as a lock or an open file
        return _run_and_restore(model, inputs)
    return _run(twin, inputs)


def _is_chain_of_leaves(model: nn.Module) -> bool:
    """Return whether the model is nested Sequentials of modules without children, which act as they are declared."""
    if type(model).forward is not nn.Sequential.forward:
        return not list(model.children())
    return all(not list(layer.children()) for _, layer in leaves(model))


def _run(model: nn.Module, inputs: Tensor) -> list[str]:
    """Return the names of the layers that act in a forward pass in eval mode, in the order of their first call."""
    weights: dict[int, str] = {}  # without parametrised layers, because each use computes their weight again
    for name, layer in declared_layers(model):
        weights.setdefault(id(layer._parameters.get("weight")), name)
    weights.pop(id(None), None)
    uses = _Uses(weights)
    hooks = [layer.register_forward_pre_hook(partial(uses.call, name)) for name, layer in declared_layers(model)]
    model.eval()
    try:
        with uses:
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return [name for name, is_call in uses.first if is_call or (name, True) not in uses.first]


def _run_and_restore(model: nn.Module, inputs: Tensor) -> list[str]:
    """Return what `_run` returns, and restore the modes and buffers of the model."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        return _run(model, inputs)
    finally:
        for module, training in modes:
            module.training = training
        for buffer, before in buffers:
            buffer.copy_(before)


class _Uses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context manager that records the first call of each layer and the first use of each weight.

    Attributes:
        weights: {id of a weight: name of its layer}.
        first: (layer, whether it was called), in order; a dict serves as an ordered set.
    """

    def __init__(self, weights: dict[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights = weights
        self.first: dict[tuple[str, bool], None] = {}

    def call(self, name: str, layer: nn.Module, inputs: Any) -> None:
        """Record the call of a layer, as its hook before the forward pass."""
        self.first.setdefault((name, True))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for argument in tree_leaves((args, kwargs or {})):
            if id(argument) in self.weights:
                self.first.setdefault((self.weights[id(argument)], False))
        return func(*args, **(kwargs or {}))
