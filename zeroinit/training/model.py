"""What trains members: one plain model, or a stack of them."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from zeroinit.state import State
from zeroinit.training.clip import Clip

Layers = dict[str, tuple[Tensor, Tensor | None]]  # {layer: (weights (K, *shape), biases (K, units) or None)}
Activations = dict[str, tuple[Tensor, nn.Module]]  # {layer: (inputs of its activation (K, units, N), the activation)}
Batch = tuple[Tensor, Tensor, str]  # inputs (K or 1, N, *input_shape), targets (K or 1, N, ...), reduction of the loss


class TrainedModel(Protocol):
    """K members that train together; K is 1 for a plain model. The leading axis of what it returns is the member."""

    def backward(self, inputs: Tensor, targets: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Leave the gradients of a batch in the parameters. Return mean losses (K,) and sums of scores (K,)."""

    def clip(self, clip: Clip) -> None:
        """Clip the gradients that `backward` left, those of each member alone."""

    def update(self, step: int) -> None:
        """Take step number `step` (from 1) of the optimizer."""

    def predict(self, inputs: Tensor) -> Tensor:
        """Return the outputs (K, outputs, N) of inputs (K or 1, N, *input_shape), in eval mode."""

    def gradients(self) -> dict[str, Tensor]:
        """Return each parameter's gradient (K, *shape); zeros if backward did not reach it."""

    def gradients_in(self, batch: Batch, dtype: torch.dtype, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each parameter's gradient of a batch in that dtype, with these values (K, *shape) of some."""

    def activations(self, inputs: Tensor) -> Activations:
        """Return the inputs of the activation after each layer, for inputs (1, N, *input_shape), in eval mode."""

    def losses(self, parameters: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Return each member's mean loss (K,) with these parameters, differentiable, in eval mode."""

    def layers(self) -> Layers:
        """Return each layer's weights (K, *shape) and biases (K, units)."""

    def units(self) -> dict[str, Tensor]:
        """Return the weights and biases (K, units, ...) of heads and recurrent units, by `UnitGroup.name`."""

    def tensors(self) -> dict[str, Tensor]:
        """Return each parameter (K, *shape), as a view that can be written to."""

    def retain(self, slots: Sequence[int]) -> None:
        """Keep the members in these slots, and drop the others."""

    def write_back(self) -> None:
        """Copy the trained values to the models of the members."""

    def state(self) -> State:
        """Return values, buffers, and the states of optimizer and schedules, of the member in each slot."""

    def load_state(self, state: State, slots: Sequence[int]) -> None:
        """Continue from such a state; the members of this model were in these slots."""
