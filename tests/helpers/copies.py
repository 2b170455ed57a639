"""Networks whose neurons are copies of one another, and what of them stays equal, naively."""

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from helpers.trainings import train_members
from zeroinit.arch import FNN
from zeroinit.config.init import Rules
from zeroinit.dataset import Data
from zeroinit.dataset.batches import Augment
from zeroinit.init import initialize, layer_constant_, row_constant_
from zeroinit.layers import weight_layers
from zeroinit.rng import stream
from zeroinit.training.cohort import Member

ZEROS = partial(nn.init.zeros_)
TIED = {
    "constant": (partial(nn.init.constant_, val=0.01), ZEROS),
    "layer_constant": (partial(layer_constant_, value=0.01), ZEROS),
    "constant biases": (ZEROS, partial(nn.init.constant_, val=0.5)),
}


ROWS = (partial(row_constant_), ZEROS)


RANDOM = (partial(nn.init.normal_, std=0.1), partial(nn.init.normal_))


train = partial(train_members, shuffle=True, augment=Augment(padding=0, flip=False), reduction="mean", batch_size=32)


def fnn(*hidden: int, activation: str = "elu") -> FNN:
    return FNN((1, 8, 8), 10, list(hidden), activation)


def fill(model: nn.Module, rules: tuple[Any, Any], seed: int = 0) -> nn.Module:
    initialize(model, stream("init", seed), Rules(*rules), bias_scale=lambda fan_in: 1.0)
    return model


def duplicate_neurons(model: nn.Module, every: int = 2) -> nn.Module:
    """With random weights in which the neurons of each hidden layer are copies, in `every` classes that alternate."""
    fill(model, RANDOM)
    layers = [layer for _, layer in weight_layers(model)]
    with torch.no_grad():
        for layer, following in pairwise(layers):
            classes = torch.arange(len(layer.weight)) % every
            layer.weight.copy_(layer.weight[classes])
            layer.bias.copy_(layer.bias[classes])
            columns = following.weight.unflatten(1, (len(classes), -1))
            following.weight.copy_(columns[:, classes].flatten(1).view_as(following.weight))
    return model


def member(
    model: nn.Module, optimizer: Callable[..., torch.optim.Optimizer], steps: int, lr: float = 0.01, order: int = 0
) -> Member:
    return Member(model, optimizer(model.parameters(), lr=lr), stream("order", order), stream("augment", 0), steps)


def double(data: Data) -> Data:
    return Data(*((inputs.double(), labels) for inputs, labels in (data.train, data.val, data.test)), data.num_classes)


def naive(model: nn.Module, outgoing: bool = True) -> dict[str, list[int]]:
    """Of a chain of dense layers: each neuron against each before it, entry by entry, in exact arithmetic.

    In front of the logits, columns count less their first row. Without `outgoing`, what goes in alone.
    """
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    representatives = {}
    for (name, layer), (_, following) in pairwise(layers):
        entries = []
        for unit in range(len(layer.weight)):
            column = [Fraction(entry) for entry in following.weight[:, unit].tolist()]
            column = [entry - column[0] for entry in column] if following is layers[-1][1] else column
            entries.append([*layer.weight[unit].tolist(), layer.bias[unit].item(), *(column if outgoing else [])])
        representatives[name] = [entries.index(entry) for entry in entries]
    return representatives


def rows_and_more(*hidden: int) -> nn.Module:
    """Constant rows, and in front of the logits columns u_k + v_j, to the bit."""
    model = fill(fnn(*hidden), ROWS)
    with torch.no_grad():
        output = [layer for _, layer in weight_layers(model)][-1].weight
        output.mul_(2**12).round_().add_(torch.arange(10.0).square().unsqueeze(1)).div_(2**12)
    return model
