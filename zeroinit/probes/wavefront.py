"""The predicted step of the first gradient of each layer's weights: a wavefront from the output to the input."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from zeroinit.layers import ELEMENTWISE, POOLING, leaves

WEIGHTS = (nn.Linear, nn.modules.conv._ConvNd)
TRANSPARENT = (nn.Flatten, nn.modules.dropout._DropoutNd, *POOLING)  # zero where its input is, and nowhere else


def is_chain(model: nn.Module) -> bool:
    """Return whether the model is a plain sequence of layers of weights, activations and poolings."""
    if type(model).forward is not nn.Sequential.forward:
        return False
    known = (*WEIGHTS, *TRANSPARENT, *ELEMENTWISE)
    return all(isinstance(module, known) and not is_parametrized(module) for _, module in leaves(model))


def predict_first_gradients(model: nn.Module) -> dict[str, int]:
    """Return {layer: the first step with a weight gradient} in exact arithmetic, without layers that never have one.

    The prediction only distinguishes zero from nonzero. A product is zero if a factor is zero, and a sum is zero if
    all its terms are; terms do not cancel by chance. So weights have a gradient if the layer's inputs and its deltas
    are nonzero, and biases have one if the deltas are nonzero. After a step with a gradient, weights and biases are
    nonzero (for zero weights: Schicho 2023). The result is empty for a model that is no chain (`is_chain`).
    """
    if not is_chain(model):
        return {}
    chain = list(weight_layers_with_activations(model))
    weights = [bool(layer.weight.any()) for _, layer, _ in chain]
    biases = [layer.bias is not None and bool(layer.bias.any()) for _, layer, _ in chain]
    first_steps: dict[str, int] = {}
    step, moved = 0, True
    while moved:
        step, moved = step + 1, False
        inputs, slopes, signal = [], [], True
        for index, (_, _, activations) in enumerate(chain):
            inputs.append(signal)
            signal = biases[index] or (weights[index] and signal)
            slope = True
            for activation in activations:
                slope = slope and (signal or slope_at_zero(activation))
                signal = signal or bool(activation(torch.zeros(1)).any())
            slopes.append(slope)
        delta = True
        for index in reversed(range(len(chain))):
            name, layer, _ = chain[index]
            delta = delta and slopes[index]
            behind = delta and weights[index]
            if delta and inputs[index]:
                first_steps.setdefault(name, step)
                moved |= not weights[index]
                weights[index] = True
            if delta and layer.bias is not None:
                moved |= not biases[index]
                biases[index] = True
            delta = behind
    return first_steps


def weight_layers_with_activations(
    model: nn.Module,
) -> Iterator[tuple[str, nn.Linear | nn.modules.conv._ConvNd, list[nn.Module]]]:
    """Yield each layer of weights, with the activations between it and the next."""
    name, layer = "", None
    activations: list[nn.Module] = []
    for leaf, module in leaves(model):
        if isinstance(module, WEIGHTS):
            if layer is not None:
                yield name, layer, activations
            name, layer, activations = leaf, module, []
        elif isinstance(module, ELEMENTWISE):
            activations.append(module)  # the other modules are transparent
    if layer is not None:
        yield name, layer, activations


def slope_at_zero(activation: nn.Module) -> bool:
    """Return whether the slope at zero is nonzero in autograd. That of ReLU is zero."""
    zero = torch.zeros(1, requires_grad=True)
    activation(zero + 0).sum().backward()  # a copy, as it may act in place
    assert zero.grad is not None
    return bool(zero.grad.any())
