"""Linear layers with activations between them."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from zeroinit.arch.parts import activation_module
from zeroinit.errors import BadInput

NORMS: dict[str, type[nn.LayerNorm | nn.BatchNorm1d]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d}


class Logistic(nn.Sequential):
    """Multinomial logistic regression: (N, *input_shape) -> logits (N, num_classes)."""

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.add_module("flatten", nn.Flatten())
        self.add_module("output", nn.Linear(math.prod(input_shape), num_classes))


class FNN(nn.Sequential):
    """Fully connected network: (N, *input_shape) -> logits (N, num_classes).

    Each hidden layer is followed by its normalisation and its activation. A network without either of `norm` and
    `residual` has neither modules nor names for them.

    Args:
        input_shape: of one example.
        num_classes: the number of outputs.
        hidden: the widths from input to output.
        activation: its name.
        norm: `layer` is LayerNorm (Ba et al. 2016), `batch` is BatchNorm (Ioffe and Szegedy 2015), None is none.
        residual: whether a block (layer, normalisation, activation) adds its input, where the widths are equal
            (He et al. 2016).

    Raises:
        BadInput: A width or a name is not accepted.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        hidden: Sequence[int],
        activation: str,
        norm: Literal["layer", "batch"] | None = None,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(hidden, list | tuple) or not all(type(width) is int and width > 0 for width in hidden):
            raise BadInput(f"arch.hidden={hidden}: give the widths as a list of positive whole numbers, such as [500]")
        self.add_module("flatten", nn.Flatten())
        fan_in = math.prod(input_shape)
        for depth, width in enumerate(hidden, start=1):
            block = Residual() if residual and fan_in == width else self
            block.add_module(f"hidden{depth}", nn.Linear(fan_in, width))
            if norm is not None:
                block.add_module(f"norm{depth}", NORMS[norm](width))
            block.add_module(f"{activation}{depth}", activation_module(activation))
            if block is not self:
                self.add_module(f"residual{depth}", block)
            fan_in = width
        self.add_module("output", nn.Linear(fan_in, num_classes))


class Residual(nn.Sequential):
    """Modules in a row whose input is added to their output: (N, width) -> (N, width)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum."""
        return inputs + super().forward(inputs)  # type: ignore[no-any-return, no-untyped-call]
