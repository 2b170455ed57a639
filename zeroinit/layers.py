"""The layers of a net, by kind and in order."""

from collections.abc import Iterator

from torch import nn

ELEMENTWISE = (
    *(nn.ELU, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish, nn.CELU),
    *(nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softsign, nn.Identity),
)
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
CALLED_LAYERS = "zeroinit_called_layers"  # the attribute of a model that call_order.record_call_order sets

WeightLayer = nn.Linear | nn.modules.conv._ConvNd


def declared_layers(model: nn.Module) -> Iterator[tuple[str, WeightLayer]]:
    """Yield (name, layer) for each layer whose weights an init fills, in the order in which the model declares them.

    An init draws in this order, whatever the forward pass does.
    """
    for name, module in model.named_modules():
        if isinstance(module, WeightLayer):
            yield name or type(module).__name__.lower(), module  # the model itself has no name


def called_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers that act, in the order of their first call; as declared if none was recorded."""
    recorded: list[str] | None = vars(model).get(CALLED_LAYERS)
    return [name for name, _ in declared_layers(model)] if recorded is None else recorded


def weight_layers(model: nn.Module) -> Iterator[tuple[str, WeightLayer]]:
    """Yield (name, layer) for each layer that an init fills, in call order, then those that never act."""
    layers = dict(declared_layers(model))
    for name in called_layers(model):
        yield name, layers.pop(name)
    yield from layers.items()


def weight_names(model: nn.Module) -> dict[str, str]:
    """Return {layer: the name of the parameter that is its weight}; layers may share one."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {layer: names[id(module.weight)] for layer, module in weight_layers(model) if id(module.weight) in names}


def hidden_layers(model: nn.Module) -> list[str]:
    """Return the names of the layers of hidden neurons: all layers that act, except the last one."""
    layers = dict(declared_layers(model))
    return [name for name in called_layers(model)[:-1] if not getattr(layers[name], "transposed", False)]


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
