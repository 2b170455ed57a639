"""In which step each layer's weights have their first gradient, in theory: the wave from the output to the input."""

from collections.abc import Iterator

import torch
from torch import nn

from zeroinit.layers import ELEMENTWISE, POOLING, leaves

WEIGHTS = (nn.Linear, nn.modules.conv._ConvNd)
TRANSPARENT = (nn.Flatten, nn.modules.dropout._DropoutNd, *POOLING)  # zero where its input is, and nowhere else


def is_chain(model: nn.Module) -> bool:
    """Whether it is layers of weights, activations and poolings in a row, past which nothing goes."""
    if type(model).forward is not nn.Sequential.forward:
        return False
    return all(isinstance(module, (*WEIGHTS, *TRANSPARENT, *ELEMENTWISE)) for _, module in leaves(model))


def predicted(model: nn.Module) -> dict[str, int]:
    """{layer: the first step with a weight gradient} in exact arithmetic; a layer that never has one is not in it.

    Nothing but zeros is told from the rest: a product is zero where a factor is, a sum where all terms are, and what
    cancels by chance is not. So weights have a gradient if the layer's inputs and its deltas are not zero, biases if
    the deltas are not; and either is no longer zero after such a step (for zero weights: Schicho 2023). Of a
    chain of layers of weights, activations and poolings; empty for any other net.
    """
    if not is_chain(model):
        return {}
    chain = list(links(model))
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


def links(model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.modules.conv._ConvNd, list[nn.Module]]]:
    """The layers of weights, each with the activations up to the next."""
    name, layer = "", None
    activations: list[nn.Module] = []
    for leaf, module in leaves(model):
        if isinstance(module, WEIGHTS):
            if layer is not None:
                yield name, layer, activations
            name, layer, activations = leaf, module, []
        elif isinstance(module, ELEMENTWISE):
            activations.append(module)  # the rest lets pass what there is
    if layer is not None:
        yield name, layer, activations


def slope_at_zero(activation: nn.Module) -> bool:
    """Whether autograd lets anything through where all inputs are zero, which ReLU does not."""
    zero = torch.zeros(1, requires_grad=True)
    activation(zero + 0).sum().backward()  # a copy, as it may act in place
    assert zero.grad is not None
    return bool(zero.grad.any())
