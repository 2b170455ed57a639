"""The layers of a net, by kind and in order."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

from zeroinit.roles import LAYER_ROLES, LAYERS, Block, WeightLayer, declared_blocks

ELEMENTWISE = (
    *(nn.ELU, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish, nn.CELU),
    *(nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softsign, nn.Identity),
)
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
FORWARD_PASS = "zeroinit_forward_pass"  # the attribute of a model that call_order.record_call_order sets


class ForwardPass(NamedTuple):
    """What a forward pass in eval mode shows.

    Attributes:
        called: the names of the layers of weights of any kind, in the order of their first call.
        preceding: {parameter: how many of them were called up to its first use}.
        residual: the last weights of residual branches, and the scales and shifts behind them.
    """

    called: list[str]
    preceding: dict[str, int]
    residual: frozenset[str]


class Position(NamedTuple):
    """Where a block acts.

    Attributes:
        depth: 1 for the layer that acts first. What is no layer has the depth of the layer in front of it.
        residual: whether it is the last weight of a residual branch, or belongs to the same layer.
    """

    depth: int
    residual: bool


def declared_layers(model: nn.Module) -> Iterator[tuple[str, WeightLayer]]:
    """Yield (name, layer) for each layer whose weights an init fills, in the order in which the model declares them.

    An init draws in this order, whatever the forward pass does.
    """
    for name, module in model.named_modules():
        if isinstance(module, WeightLayer):
            yield name or type(module).__name__.lower(), module  # the model itself has no name


def called_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers that act, in the order of their first call; as declared if none was recorded."""
    recorded: ForwardPass | None = vars(model).get(FORWARD_PASS)
    declared = [name for name, _ in declared_layers(model)]
    return declared if recorded is None else [name for name in recorded.called if name in declared]


def weight_layers(model: nn.Module) -> Iterator[tuple[str, WeightLayer]]:
    """Yield (name, layer) for each layer that an init fills, in call order, then those that never act."""
    layers = dict(declared_layers(model))
    for name in called_layers(model):
        yield name, layers.pop(name)
    yield from layers.items()


def called_modules(model: nn.Module) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Return {name: module} of the layers of weights of any kind: those that act, in call order, and all others."""
    declared = {
        name or type(module).__name__.lower(): module
        for name, module in model.named_modules()
        if isinstance(module, LAYERS)
    }
    if not all(isinstance(module, WeightLayer) for module in declared.values()):
        held = {block.module for block in declared_blocks(model) if block.role in LAYER_ROLES}  # not the tied ones
        declared = {
            name: module for name, module in declared.items() if isinstance(module, WeightLayer) or module in held
        }
    recorded: ForwardPass | None = vars(model).get(FORWARD_PASS)
    called = declared if recorded is None else {name: declared[name] for name in recorded.called if name in declared}
    return called, {name: module for name, module in declared.items() if name not in called}


def positions(model: nn.Module, blocks: list[Block]) -> tuple[list[Position], int]:
    """Return the position of each declared block of the model, and the number of layers.

    A recurrent module with several layers counts as several.
    """
    stages: dict[str, int] = {}
    for block in blocks:
        if block.role in LAYER_ROLES:
            stages[block.layer] = max(stages.get(block.layer, 0), block.stage + 1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    recorded = vars(model).get(FORWARD_PASS) or _as_declared(blocks, names)
    ends, first = [0], {}  # the depth of the last layer of each module, and of the first
    for name in dict.fromkeys([*recorded.called, *stages]):
        first[name] = ends[-1] + 1
        ends.append(ends[-1] + stages[name])
    residual_layers = {
        block.layer for block in blocks for parameter in block.parameters if names[id(parameter)] in recorded.residual
    }
    result = []
    for block in blocks:
        preceding = ends[recorded.preceding.get(names[id(block.parameters[0])], 0)]
        depth = first[block.layer] + block.stage if block.layer in first else max(1, preceding)
        result.append(Position(depth, block.layer in residual_layers))
    return result, ends[-1]


def _as_declared(blocks: list[Block], names: dict[int, str]) -> ForwardPass:
    """Return the forward pass of a chain of layers, which act as they are declared."""
    called: dict[str, None] = {}
    preceding: dict[str, int] = {}
    for block in blocks:
        if block.role in LAYER_ROLES:
            called.setdefault(block.layer)
        preceding.setdefault(names[id(block.parameters[0])], len(called))
    return ForwardPass(list(called), preceding, frozenset())


def leaves(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, layer) for each layer of nested Sequentials, in the order in which they act."""
    for name, layer in model._modules.items():  # named_children skips the second occurrence of a layer
        assert layer is not None
        if type(layer).forward is nn.Sequential.forward:
            yield from leaves(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def is_activation(layer: nn.Module) -> bool:
    """Return whether the layer is an elementwise activation."""
    return isinstance(layer, ELEMENTWISE) and not isinstance(layer, nn.Identity)
