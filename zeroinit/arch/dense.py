"""Linear layers with activations between them."""

import math
from collections.abc import Sequence

from torch import nn

from zeroinit.arch.parts import activation_module
from zeroinit.errors import BadInput


class Logistic(nn.Sequential):
    """Multinomial logistic regression: (N, *input_shape) -> logits (N, num_classes)."""

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.add_module("flatten", nn.Flatten())
        self.add_module("output", nn.Linear(math.prod(input_shape), num_classes))


class FNN(nn.Sequential):
    """Fully connected network: (N, *input_shape) -> logits (N, num_classes).

    `hidden` has the widths from input to output. The activation follows each hidden layer.
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, hidden: Sequence[int], activation: str) -> None:
        super().__init__()
        if not isinstance(hidden, list | tuple) or not all(type(width) is int and width > 0 for width in hidden):
            raise BadInput(f"arch.hidden={hidden}: give the widths as a list of positive whole numbers, such as [500]")
        self.add_module("flatten", nn.Flatten())
        fan_in = math.prod(input_shape)
        for depth, width in enumerate(hidden, start=1):
            self.add_module(f"hidden{depth}", nn.Linear(fan_in, width))
            self.add_module(f"{activation}{depth}", activation_module(activation))
            fan_in = width
        self.add_module("output", nn.Linear(fan_in, num_classes))
