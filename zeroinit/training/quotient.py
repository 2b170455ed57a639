"""The quotient of a net: neurons that are copies of one another as one neuron that counts as many times.

The classes are those of `ties.first_equals`. One weight stands for the whole block of equal ones between two classes,
and has the gradient of any one of them, so that every optimizer that treats entries alike does to the quotient what it
does to the full net: in exact arithmetic the two are one training, and the quotient cannot break a tie. Of columns in
front of the logits that differ by constants it has the mean, which gives the same logits and trains as each of them.
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
from zeroinit.training.ties import first_equals


class Product(torch.autograd.Function):
    """A layer's z = (w * inputs) h + b, where every gradient that goes back is that of one neuron of the full net."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, inputs: Tensor, outputs: Tensor) -> Any:
        """Of (N, classes in), weight (classes out, classes in) and the sizes of the classes: (N, classes out)."""
        ctx.save_for_backward(hidden, weight, outputs)
        return F.linear(hidden, weight * inputs, bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        """For hidden, weight and bias; summed over each neuron of the layer, not each class."""
        hidden, weight, outputs = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        back = (slope * outputs) @ weight if wanted[0] else None
        return back, slope.t() @ hidden, slope.sum(0) if wanted[2] else None, None, None


class Counted(nn.Linear):
    """A linear layer between classes of neurons; `inputs` (fan_in,) and `outputs` (units,) hold each neuron's class."""

    inputs: Tensor
    outputs: Tensor
    of_inputs: Tensor
    of_outputs: Tensor

    def __init__(self, full: nn.Linear, inputs: Tensor, outputs: Tensor) -> None:
        rows, columns = first_of_each(outputs), first_of_each(inputs)
        super().__init__(len(columns), len(rows), bias=False, device="meta")  # where nothing is drawn
        weight = full.weight.detach()[rows]
        self.weight = nn.Parameter(weight[:, columns] + mean_offset(weight, inputs, columns))
        self.bias = None if full.bias is None else nn.Parameter(full.bias.detach()[rows])
        self.register_buffer("inputs", inputs)
        self.register_buffer("outputs", outputs)
        self.register_buffer("of_inputs", inputs.bincount().to(self.weight.dtype), persistent=False)
        self.register_buffer("of_outputs", outputs.bincount().to(self.weight.dtype), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """(N, classes in) -> (N, classes out)."""
        found: Tensor = Product.apply(input, self.weight, self.bias, self.of_inputs, self.of_outputs)
        return found


def first_of_each(classes: Tensor) -> Tensor:
    """The place of each class's first neuron, from the class of each neuron."""
    places = torch.arange(len(classes), device=classes.device)
    return torch.full_like(places, len(places)).scatter_reduce(0, classes, places, "amin")[: int(classes.max()) + 1]


def mean_offset(weight: Tensor, inputs: Tensor, columns: Tensor) -> Tensor:
    """(classes in,): by how much each class's columns lie above its first's on average; 0 where they are equal."""
    row = weight[0].double()
    above = row - row[columns][inputs]
    return above.new_zeros(len(columns)).index_add(0, inputs, above).div(inputs.bincount()).to(weight.dtype)


def quotient(model: nn.Module, offsets: bool = True) -> nn.Sequential:
    """The quotient of a chain of Flatten, Linear and activations, under the model's own names; the model stays.

    `offsets` are as `ties.first_equals` has them. Raises BadInput for any other net.
    """
    if reason := why_none(model):
        chain = "chains of Flatten, Linear and activations"
        raise BadInput(f"arithmetic=quotient is for {chain}, but {reason}; give arithmetic=native")
    firsts, found = first_equals(model, offsets), deepcopy(model)
    assert isinstance(found, nn.Sequential)
    last: Tensor | None = None
    for name, layer in leaves(model):
        if isinstance(layer, nn.Linear):
            inputs = torch.arange(layer.in_features, device=layer.weight.device) if last is None else last
            own = torch.arange(layer.out_features, device=layer.weight.device)
            last = torch.unique(firsts.get(name, own), return_inverse=True)[1]  # in the order of their firsts
            found.set_submodule(name, Counted(layer, inputs, last))
    return found


def why_none(model: nn.Module) -> str | None:
    """The reason why the model has no quotient, in a few words; None if it has one."""
    if type(model).forward is nn.Sequential.forward:
        for name, layer in leaves(model):
            if type(layer) not in (nn.Flatten, nn.Linear, *ELEMENTWISE):
                return f"{name} is a {type(layer).__name__}"
    flat = any(type(layer) is nn.Flatten for _, layer in leaves(model))
    return unstackable_reason(model, torch.optim.SGD(model.parameters()), (1, 1) if flat else (1,))


def expanded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The full net's parameters, by name, from the state_dict of its quotient, as its load_state_dict takes them.

    Columns that differed by constants are all given their mean: the logits are the same, and weight decay shrinks the
    constants, of which the quotient knows nothing, to that.
    """
    found = {}
    for name, values in state.items():
        layer, _, part = name.rpartition(".")
        if part in ("weight", "bias"):
            found[name] = values[state[f"{layer}.outputs"]]
        if part == "weight":
            found[name] = found[name][:, state[f"{layer}.inputs"]]
    return found


def described(model: nn.Module) -> str:
    """How many classes the neurons of each hidden layer are, in words."""
    layers = [(name, layer) for name, layer in leaves(model) if isinstance(layer, Counted)][:-1]
    said = [f"{name} {len(layer.weight)} of {len(layer.outputs)}" for name, layer in layers]
    return ", ".join(said) or "no hidden layer"
