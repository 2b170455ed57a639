"""What a net is made of: its layers, by their kinds and in their order."""

from collections.abc import Iterator

from torch import nn

ELEMENTWISE = (
    *(nn.ELU, nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.Sigmoid, nn.SELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish, nn.CELU),
    *(nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Softsign, nn.Identity),
)
POOLING = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def weight_layers(model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.modules.conv._ConvNd]]:
    """The layers whose weights an init fills and a probe watches, with their names, in the order of the modules."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            yield name or type(module).__name__.lower(), module  # the model itself has no name


def hidden(model: nn.Module) -> list[str]:
    """The layers of hidden neurons, a row of weights each: all but the last, as the model names them."""
    layers = list(weight_layers(model))[:-1]
    return [name for name, layer in layers if not getattr(layer, "transposed", False)]


def leaves(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested Sequentials, with their names, in the order in which they act."""
    for name, layer in model._modules.items():  # named_children leaves out a layer that acts for a second time
        assert layer is not None
        if type(layer).forward is nn.Sequential.forward:
            yield from leaves(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def is_activation(layer: nn.Module) -> bool:
    return isinstance(layer, ELEMENTWISE) and not isinstance(layer, nn.Identity)
