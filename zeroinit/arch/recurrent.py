"""Recurrent networks."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor, nn

from zeroinit.errors import BadInput

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class RNN(nn.Module):
    """Recurrent network: a sequence -> logits (N, num_classes), read from the last step of the last layer.

    The steps are the rows of an image (N, channels, steps, columns), the rows of a sequence (N, steps, features), or
    the numbers of a vector (N, steps). `rnn` is Elman's network with tanh (Elman 1990), `gru` is that of Cho et al.
    2014, `lstm` that of Hochreiter and Schmidhuber 1997. `depth` is the number of recurrent layers.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, cell: Literal["rnn", "gru", "lstm"], width: int, depth: int
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth)):
            if value < 1:
                raise BadInput(f"arch.{name}={value}: give a whole number from 1")
        features = math.prod(input_shape) // input_shape[-2] if len(input_shape) > 1 else 1
        self.recurrent = CELLS[cell](features, width, depth, batch_first=True)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits."""
        steps = inputs.unsqueeze(-1) if inputs.dim() == 2 else inputs.movedim(-2, 1).flatten(2)
        states, _ = self.recurrent(steps)
        return self.head(states[:, -1])  # type: ignore[no-any-return]
