"""The factor on a layer's biases, from the layer's fan_in (the number of its inputs) and a value."""

import math


def constant(layer_fan_in: int, value: float) -> float:
    """The same factor for every layer."""
    return value


def fan_in(layer_fan_in: int, value: float) -> float:
    """value / sqrt(fan_in): with N(0, 1) biases and value 1, the spread that PyTorch's default has, up to a constant."""
    return value / math.sqrt(layer_fan_in)
