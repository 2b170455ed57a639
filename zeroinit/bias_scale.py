"""The factor on a layer's biases, from its fan_in (the number of inputs of a unit) and a value."""

import math


def constant(layer_fan_in: int, value: float) -> float:
    """The same factor for every layer."""
    return value


def fan_in(layer_fan_in: int, value: float) -> float:
    """The value divided by sqrt(fan_in), like the standard deviation of PyTorch's default."""
    return value / math.sqrt(layer_fan_in)
