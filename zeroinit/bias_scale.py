"""The factor on a layer's biases, from the layer's fan_in (the number of its inputs) and a value."""

import math


def constant(layer_fan_in: int, value: float) -> float:
    """The same factor for every layer."""
    return value


def fan_in(layer_fan_in: int, value: float) -> float:
    """The value over sqrt(fan_in), as the spread of PyTorch's default falls with fan_in."""
    return value / math.sqrt(layer_fan_in)
