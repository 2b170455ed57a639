"""The layers of weights of a net as probes see them, in the order of the forward pass, and groups of units.

A linear, bilinear or convolution layer, and an embedding, is a layer. An attention has the layers `query`, `key` and
`value`, and a recurrent module one for each matrix, such as `lstm.weight_hh_l0`.

What counts as a unit of a hidden layer:

- Of a linear, bilinear or convolution layer, a row with its bias: a neuron of a dense layer or of the MLP block of a
  transformer, or a channel. Units with equal rows compute the same, and equal outgoing weights keep them equal
  (Goodfellow, Bengio and Courville, "Deep Learning", 2016, section 8.4).
- Of an attention, a head with its rows of queries, keys and values, named `attention.heads` (a head as the unit:
  Michel, Levy and Neubig, "Are Sixteen Heads Really Better than One?", 2019, section 2).
- Of a recurrent layer, a cell with its rows of all gates, named `lstm.units_l0` (a memory cell as the unit: Hochreiter
  and Schmidhuber, "Long Short-Term Memory", 1997, section 4).

The rows of an embedding are tokens and not units, and those of a query, key, value or gate alone are parts of units.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import RNNCellBase

from zeroinit.layers import called_modules
from zeroinit.roles import (
    PROJECTIONS,
    RECURRENT,
    Role,
    WeightLayer,
    declared_blocks,
    find_parameters,
    parameter_names,
    value_of,
)


class ObservedLayer(NamedTuple):
    """A layer of weights.

    Attributes:
        name: the name of the layer.
        module: the module that holds it.
        weight: the name of its weight in the module.
        bias: the name of its bias; None if it has none.
        rows: the rows that belong to the layer, if `weight` or `bias` has those of all projections; else None.
    """

    name: str
    module: nn.Module
    weight: str
    bias: str | None
    rows: slice | None = None

    @property
    def has_some_rows(self) -> bool:
        """Whether its weight has the rows of other layers, too."""
        return self.rows is not None and self.weight == "in_proj_weight"

    def value(self, attribute: str) -> Tensor:
        """Return the rows of `weight` or `bias`; of a parametrised one, the effective value."""
        value = value_of(self.module, attribute)
        return value[self.rows] if self.rows and attribute.startswith("in_proj") else value

    def values(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight (units, ...) and the bias (units,) or None, detached."""
        bias = None if self.bias is None else self.value(self.bias).detach()
        return self.value(self.weight).detach(), bias

    def parameter(self) -> Tensor:
        """Return what is trained: of a parametrised weight the parameter of the same shape, such as a direction."""
        if self.weight not in parameter_names(self.module):  # as by torch's old weight_norm
            return self.value(self.weight)
        parameters = find_parameters(self.module, self.weight)
        shape = value_of(self.module, self.weight).shape
        return next((parameter for parameter in parameters if parameter.shape == shape), parameters[-1])


class UnitGroup(NamedTuple):
    """The heads of an attention, or the units of a recurrent layer.

    Attributes:
        name: such as `attention.heads`.
        parts: the layers whose rows belong to the units.
        size: the number of units.
        is_interleaved: whether a unit has one row of each gate; a head has consecutive rows.
    """

    name: str
    parts: list[ObservedLayer]
    size: int
    is_interleaved: bool

    def units(self) -> Tensor:
        """Return the weights and biases of each unit (units, ...), detached."""
        rows = []
        for part in self.parts:
            weight, bias = part.values()
            for value in (weight, bias):
                if value is not None and self.is_interleaved:
                    rows.append(value.reshape(-1, self.size, *value.shape[1:]).transpose(0, 1).flatten(1))
                elif value is not None:
                    rows.append(value.reshape(self.size, -1))
        return torch.cat(rows, dim=1)


def observed_layers(model: nn.Module) -> list[ObservedLayer]:
    """Return the layers of weights in call order, then those that never act."""
    called, idle = called_modules(model)
    return [layer for name, module in (called | idle).items() for layer in _layers_of(name, module)]


def observed_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of all layers and groups of units, which are parts of names of metrics."""
    return (*(layer.name for layer in observed_layers(model)), *(group.name for group in unit_groups(model)))


def other_parameters(model: nn.Module) -> frozenset[str]:
    """Return the names of the parameters of the role `other`."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    blocks = [block for block in declared_blocks(model) if block.role == Role.OTHER]
    return frozenset(names[id(parameter)] for block in blocks for parameter in block.parameters)


def weight_names(model: nn.Module) -> tuple[dict[str, str], dict[str, slice]]:
    """Return {layer: the name of the parameter that is its weight}, and {layer: its rows} of those with some rows.

    Layers may share a parameter.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    layers = [layer for layer in observed_layers(model) if id(layer.parameter()) in names]
    rows = {layer.name: layer.rows for layer in layers if layer.rows and layer.has_some_rows}
    return {layer.name: names[id(layer.parameter())] for layer in layers}, rows


def unit_groups(model: nn.Module) -> list[UnitGroup]:
    """Return the groups of units of attentions and recurrent modules in call order, without those of the output."""
    modules = _hidden_modules(model)
    return [group for name, module in modules for group in _groups_of(name, module)]


def hidden_layers(model: nn.Module) -> list[str]:
    """Return the names of the hidden layers whose units are compared: all that act, except the last one."""
    names: list[str] = []
    for name, module in _hidden_modules(model):
        if isinstance(module, WeightLayer | nn.Bilinear):
            names += [name] * (not getattr(module, "transposed", False))
        else:
            names += [group.name for group in _groups_of(name, module)]
    return names


def name_other_modules(model: nn.Module) -> str:
    """Return the names of the modules whose rows are no units: embeddings, attentions and recurrent modules."""
    called, idle = called_modules(model)
    names = [name for name, module in (called | idle).items() if not isinstance(module, WeightLayer | nn.Bilinear)]
    return ", ".join(names if len(names) <= 3 else [names[0], f"{len(names) - 1} more"])


def _hidden_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return (name, module) for each layer that acts, except the last one."""
    called, _ = called_modules(model)
    return list(called.items())[:-1]


def _layers_of(name: str, module: nn.Module) -> Iterator[ObservedLayer]:
    """Yield the layers of weights of a module."""
    if isinstance(module, nn.MultiheadAttention):
        width = module.embed_dim
        for index, part in enumerate(PROJECTIONS):
            rows = slice(index * width, (index + 1) * width)
            bias = None if module.in_proj_bias is None else "in_proj_bias"
            weight = f"{part[0]}_proj_weight" if module.in_proj_weight is None else "in_proj_weight"
            yield ObservedLayer(f"{name}.{part}", module, weight, bias, rows)
    elif isinstance(module, RECURRENT):
        attributes = parameter_names(module)
        for attribute in attributes:
            bias = attribute.replace("weight", "bias")
            if attribute.startswith("weight_"):
                yield ObservedLayer(f"{name}.{attribute}", module, attribute, bias if bias in attributes else None)
    else:
        yield ObservedLayer(name, module, "weight", None if getattr(module, "bias", None) is None else "bias")


def _groups_of(name: str, module: nn.Module) -> Iterator[UnitGroup]:
    """Yield the heads of an attention, or the units of each layer of a recurrent module."""
    layers = list(_layers_of(name, module))
    if isinstance(module, nn.MultiheadAttention):
        yield UnitGroup(f"{name}.heads", layers, module.num_heads, is_interleaved=False)
    elif isinstance(module, RNNCellBase):
        yield UnitGroup(f"{name}.units", layers, module.hidden_size, is_interleaved=True)
    elif isinstance(module, nn.RNNBase):
        by_end: dict[str, list[ObservedLayer]] = {}
        for layer in layers:
            if not layer.weight.startswith("weight_hr"):  # a projection has no units of its own
                by_end.setdefault(layer.weight.split("_", 2)[2], []).append(layer)
        for end, parts in by_end.items():
            yield UnitGroup(f"{name}.units_{end}", parts, module.hidden_size, is_interleaved=True)
