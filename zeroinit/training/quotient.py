"""The quotient of a net: tied neurons become one neuron with a multiplicity.

The classes of neurons are those of `ties.tie_representatives`. One weight stands for the block of equal weights between
two classes, and its gradient is that of any one of them. So every optimizer that treats entries alike does to the
quotient what it does to the full net. In exact arithmetic the two trainings are the same, and the quotient cannot break
a tie. Columns in front of the logits that differ by constants are replaced by their mean. That gives the same logits,
and trains as each of the columns does.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.errors import BadInput
from zeroinit.layers import ELEMENTWISE, leaves
from zeroinit.training.stackable import unstackable_reason
from zeroinit.training.ties import first_of_class, tie_representatives


class _Product(torch.autograd.Function):
    """z = (weight * input_counts) hidden + bias. Each gradient is that of one neuron or entry of the full net."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, input_counts: Tensor, output_counts: Tensor
    ) -> Any:
        """Return (N, classes out) from hidden (N, classes in), weight (classes out, classes in) and class sizes."""
        ctx.save_for_backward(hidden, weight, output_counts)
        return F.linear(hidden, weight * input_counts, bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        """Return gradients of hidden, weight and bias; hidden's is summed over the layer's neurons, not its classes."""
        hidden, weight, output_counts = ctx.saved_tensors
        needs = ctx.needs_input_grad
        hidden_slope = (slope * output_counts) @ weight if needs[0] else None
        return hidden_slope, slope.t() @ hidden, slope.sum(0) if needs[2] else None, None, None


class QuotientLinear(nn.Linear):
    """A linear layer between classes of neurons.

    Attributes:
        inputs: (fan_in,), the class of each input of the full layer.
        outputs: (units,), the class of each unit of the full layer.
        input_counts: (classes in,), the size of each class of inputs.
        output_counts: (classes out,), the size of each class of units.
    """

    inputs: Tensor
    outputs: Tensor
    input_counts: Tensor
    output_counts: Tensor

    def __init__(self, full: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
        rows, columns = first_of_class(outputs), first_of_class(inputs)
        super().__init__(len(columns), len(rows), bias=False, device="meta")  # draws no numbers on the meta device
        weight = full.weight.detach()[rows]
        self.weight = nn.Parameter(weight[:, columns] + _mean_offset(weight, inputs, columns))
        self.bias = None if full.bias is None else nn.Parameter(full.bias.detach()[rows])
        self.register_buffer("inputs", inputs)
        self.register_buffer("outputs", outputs)
        self.register_buffer("input_counts", inputs.bincount().to(self.weight.dtype), persistent=False)
        self.register_buffer("output_counts", outputs.bincount().to(self.weight.dtype), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, classes in) -> (N, classes out)."""
        output: Tensor = _Product.apply(input, self.weight, self.bias, self.input_counts, self.output_counts)
        return output


def _mean_offset(weight: Tensor, inputs: Tensor, columns: Tensor) -> Tensor:
    """Return (classes in,): the mean distance of a class's columns from its first; 0 where they are equal."""
    row = weight[0].double()
    offsets = row - row[columns][inputs]
    return offsets.new_zeros(len(columns)).index_add(0, inputs, offsets).div(inputs.bincount()).to(weight.dtype)


def quotient(model: nn.Module, offsets: bool = True) -> nn.Sequential:
    """Return the quotient of a chain of Flatten, Linear and activations. The model stays as it is.

    Args:
        model: the full net, whose layer names the quotient keeps.
        offsets: as in `ties.tie_representatives`.

    Raises:
        BadInput: The net has another structure.
    """
    if reason := no_quotient_reason(model):
        chain = "chains of Flatten, Linear and activations"
        raise BadInput(f"arithmetic=quotient is for {chain}, but {reason}; give arithmetic=native")
    representatives, small = tie_representatives(model, offsets), deepcopy(model)
    assert isinstance(small, nn.Sequential)
    outputs: Tensor | None = None
    for name, layer in leaves(model):
        if isinstance(layer, nn.Linear):
            device = layer.weight.device
            inputs = torch.arange(layer.in_features, device=device) if outputs is None else outputs
            untied = torch.arange(layer.out_features, device=device)
            # in the order of the representatives
            outputs = torch.unique(representatives.get(name, untied), return_inverse=True)[1]
            small.set_submodule(name, QuotientLinear(layer, inputs, outputs))
    return small


def no_quotient_reason(model: nn.Module) -> str | None:
    """Return why the model has no quotient, in a few words; None if it has one."""
    if type(model).forward is nn.Sequential.forward:
        for name, layer in leaves(model):
            if type(layer) not in (nn.Flatten, nn.Linear, *ELEMENTWISE):
                return f"{name} is a {type(layer).__name__}"
    has_flatten = any(type(layer) is nn.Flatten for _, layer in leaves(model))
    return unstackable_reason(model, torch.optim.SGD(model.parameters()), (1, 1) if has_flatten else (1,))


def expand_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the full net's state_dict from that of its quotient.

    Columns that differed by constants all get their mean. The logits are the same. The quotient does not know the
    constants, and weight decay shrinks them to zero.
    """
    full = {}
    for name, values in state.items():
        layer, _, part = name.rpartition(".")
        if part in ("weight", "bias"):
            full[name] = values[state[f"{layer}.outputs"]]
        if part == "weight":
            full[name] = full[name][:, state[f"{layer}.inputs"]]
    return full


def quotient_summary(model: nn.Module) -> str:
    """Return how many classes the neurons of each hidden layer form, such as `hidden1 3 of 500`."""
    layers = [(name, layer) for name, layer in leaves(model) if isinstance(layer, QuotientLinear)][:-1]
    return (
        ", ".join(f"{name} {len(layer.weight)} of {len(layer.outputs)}" for name, layer in layers) or "no hidden layer"
    )
