"""The order in which a model's forward pass calls its layers; the order of their declaration may be another one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from zeroinit.forward_graph import ForwardGraph
from zeroinit.layers import FORWARD_PASS, ForwardPass, leaves
from zeroinit.rng import restore_generators
from zeroinit.roles import LAYER_ROLES, Block, declared_blocks

known_orders: dict[str, ForwardPass] = {}  # {key of an arch whose models all have one order: the order}


@torch.no_grad()
def record_call_order(model: nn.Module, inputs: Tensor, key: str = "") -> None:
    """Store in the model what one forward pass in eval mode calls, in order.

    `zeroinit.layers` reads it. If the model uses the weight of a layer without calling the layer, the first use counts.
    No parameter, buffer, counter or generator changes. Exceptions of the forward pass are raised.

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
    vars(model)[FORWARD_PASS] = order


def _run_copy(model: nn.Module, inputs: Tensor) -> ForwardPass:
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


def _run(model: nn.Module, inputs: Tensor) -> ForwardPass:
    """Run the model in eval mode, and return what it calls."""
    blocks = declared_blocks(model)
    layers = {block.module: block.layer for block in blocks if block.role in LAYER_ROLES}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    roles = {names[id(parameter)]: block.role for block in blocks for parameter in block.parameters}
    graph = ForwardGraph(inputs, names, roles)
    hooks = [module.register_forward_pre_hook(partial(graph.enter, name)) for module, name in layers.items()]
    hooks += [module.register_forward_hook(graph.leave, always_call=True) for module in layers]
    model.eval()
    try:
        with _separate_operations(), graph:
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return _order(graph, [block for block in blocks if block.role in LAYER_ROLES], names)


def _order(graph: ForwardGraph, blocks: Sequence[Block], names: dict[int, str]) -> ForwardPass:
    """Return the layers in the order of their first call, or else of the first use of a weight."""
    layers = {names[id(parameter)]: block.layer for block in reversed(blocks) for parameter in block.parameters}
    weights = {name: layer for name, layer in layers.items() if (layer, True) not in graph.first}
    called: dict[str, None] = {}
    preceding: dict[str, int] = {}
    for name, is_call in graph.first:
        if is_call or name in weights:
            called.setdefault(name if is_call else weights[name])
        if not is_call:
            preceding[name] = len(called)
    return ForwardPass(list(called), preceding, frozenset(graph.residual_parameters()))


@contextmanager
def _separate_operations() -> Iterator[None]:
    """Switch off torch's fused attention, which hides the layers of a transformer."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


def _run_and_restore(model: nn.Module, inputs: Tensor) -> ForwardPass:
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
