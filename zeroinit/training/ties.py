"""Ties: neurons that start as copies of one another. Exact arithmetic keeps them equal; `Ties` keeps them so in floats.

Tied neurons have the same incoming weights, bias and outgoing weights. In front of the logits of a softmax, outgoing
columns may differ by a constant each: W_kj = u_k + v_j. The softmax minus the label sums to zero over classes, and so
does its product with v_j. So these neurons have the same deltas, and their columns have the same gradients.
`init=row_constant` ties its last hidden layer in this way.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from zeroinit.layers import leaves
from zeroinit.state import State


def unit_axes(model: nn.Module) -> dict[str, list[tuple[str, int]]]:
    """Return {hidden layer: [(parameter, axis)]}: the parameters of its neurons or channels, and the axis of units.

    It is axis 0 of the layer's own weight and bias and of a normalisation's, and axis 1 of the next layer's weight.
    A grouped convolution ends no layer, because its input channels are not interchangeable.

    Args:
        model: a model without an `unstackable_reason`.
    """
    axes, hidden_layer = {}, None
    unit_parameters: list[tuple[str, int]] = []
    for name, layer in leaves(model):
        parameters = [(f"{name}.{part}", 0) for part, _ in layer.named_parameters()]
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            unit_parameters += parameters
            continue
        is_grouped = getattr(layer, "groups", 1) > 1
        if hidden_layer is not None and not is_grouped:
            axes[hidden_layer] = [*unit_parameters, (f"{name}.weight", 1)]
        hidden_layer, unit_parameters = (None if is_grouped else name), parameters
    return axes


def preserves_column_offsets(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether entries with equal gradients and unequal values move by the same amount.

    Decoupled weight decay shrinks them by the same factor, which is accepted. Weight decay that an adaptive optimizer
    adds to the gradient is not: its step then depends on the value.
    """
    return isinstance(optimizer, torch.optim.SGD) or all(
        group.get("decoupled_weight_decay", False) or not group.get("weight_decay", 0)
        for group in optimizer.param_groups
    )


def last_hidden_layer(model: nn.Module) -> str | None:
    """Return the hidden layer whose neurons reach only the logits, through a last linear layer; None without one."""
    output, layer = list(leaves(model))[-1]
    before_output = [name for name, parts in unit_axes(model).items() if parts[-1][0] == f"{output}.weight"]
    return before_output[0] if before_output and isinstance(layer, nn.Linear) else None


def subtract_first_row(columns: Tensor) -> Tensor:
    """Return columns (rows, units, entries) minus their first row, in float64; unchanged for units where it is inexact.

    So two units get the same result if and only if they are equal or differ by constants. A subtraction is exact if
    adding back gives both operands (Dekker, "A floating-point technique for extending the available precision", 1971).
    """
    values = columns.double()
    differences = values - values[:1]
    is_exact = ((differences + values[:1] == values) & (values - differences == values[:1])).all(2).all(0)
    return torch.where(is_exact.unsqueeze(1), differences, values)


def tie_representatives(model: nn.Module, offsets: bool = True) -> dict[str, Tensor]:
    """Return {hidden layer: (units,)}: for each neuron, the index of the first neuron that is tied to it.

    Tied neurons have the same gradients, and so stay equal under every optimizer that treats entries alike.

    Args:
        model: a model without an `unstackable_reason`.
        offsets: whether columns in front of the outputs may differ by constants; the gradients of the loss in the
            outputs must then sum to zero, and the optimizer must be one that `preserves_column_offsets`.
    """
    parameters, representatives = dict(model.named_parameters()), {}
    last = last_hidden_layer(model) if offsets else None
    for layer, parts in unit_axes(model).items():
        units = len(parameters[f"{layer}.weight"])
        by_unit = [_by_unit(parameters[name].detach(), axis, units) for name, axis in parts]
        if layer == last:
            by_unit[-1] = subtract_first_row(by_unit[-1])
        rows = [values.transpose(0, 1).flatten(1) for values in by_unit]
        _, classes = torch.unique(torch.cat(rows, dim=1), dim=0, return_inverse=True)  # unique treats 0 and -0 as equal
        representatives[layer] = first_of_class(classes)[classes]
    return representatives


def first_of_class(classes: Tensor) -> Tensor:
    """Return the index of each class's first neuron, given the class of each neuron."""
    indices = torch.arange(len(classes), device=classes.device)
    first = torch.full_like(indices, len(indices)).scatter_reduce(0, classes, indices, "amin")
    return first[: int(classes.max()) + 1]


def _by_unit(values: Tensor, axis: int, units: int) -> Tensor:
    """Return a parameter as (rows, units, entries), where `axis` is that of the units; for axis 0 there is one row."""
    return values.reshape(values.shape[0] if axis else 1, units, -1)


def _gather_representatives(columns: Tensor, representatives: Tensor) -> Tensor:
    """Return columns (K, rows, units, entries) with each unit's entries replaced by its representative's."""
    return columns.gather(2, representatives.view(len(representatives), 1, -1, 1).expand_as(columns))


class Ties:
    """The ties between neurons of K models of one arch, as they are when training starts.

    Attributes:
        representatives: {hidden layer: (K, units)}, as `tie_representatives` returns them; only layers with ties.
        offset_columns: {parameter: (K, units)}, the columns that differ from their representative's by a constant.

    Args:
        members: models with their optimizers.
        slopes_sum_to_zero: as in `loss.Loss`.
    """

    def __init__(self, members: Sequence[tuple[nn.Module, torch.optim.Optimizer]], slopes_sum_to_zero: bool) -> None:
        models, self.unit_axes = [model for model, _ in members], unit_axes(members[0][0])
        by_member = [
            tie_representatives(model, slopes_sum_to_zero and preserves_column_offsets(optimizer))
            for model, optimizer in members
        ]
        self.representatives = {layer: torch.stack([ties[layer] for ties in by_member]) for layer in self.unit_axes}
        self.offset_columns: dict[str, Tensor] = {}
        if last := last_hidden_layer(models[0]):
            name, representatives = self.unit_axes[last][-1][0], self.representatives[last]
            weights = [dict(model.named_parameters())[name].detach() for model in models]
            columns = torch.stack([_by_unit(weight, 1, representatives.shape[1]) for weight in weights])
            self.offset_columns[name] = (columns != _gather_representatives(columns, representatives)).any(3).any(1)
        self._drop_untied()

    def __bool__(self) -> bool:
        """Return whether any neurons are tied."""
        return bool(self.representatives)

    def _drop_untied(self) -> None:
        """Leave out the layers in which no member has two tied neurons."""
        self.representatives = {
            layer: representatives
            for layer, representatives in self.representatives.items()
            if (representatives != torch.arange(representatives.shape[1], device=representatives.device)).any()
        }
        self.offset_columns = {name: differs for name, differs in self.offset_columns.items() if differs.any()}

    def retain(self, slots: Sequence[int]) -> None:
        """Continue with only the members in these slots."""
        self.representatives = {layer: indices[slots] for layer, indices in self.representatives.items()}
        self.offset_columns = {name: differs[slots] for name, differs in self.offset_columns.items()}
        self._drop_untied()

    def state(self) -> State:
        """Return the ties of the member in each slot."""
        return {"representatives": self.representatives, "offset_columns": self.offset_columns}

    def load_state(self, state: State, slots: Sequence[int], device: torch.device) -> None:
        """Continue from such a state; the members were in these slots."""
        self.representatives = {name: ties[slots].to(device) for name, ties in state["representatives"].items()}
        self.offset_columns = {name: differs[slots].to(device) for name, differs in state["offset_columns"].items()}
        self._drop_untied()

    @torch.no_grad()
    def enforce(self, tensors: Mapping[str, Tensor], values: bool) -> None:
        """Copy the entries of each representative to the neurons tied to it, in place.

        A column that differs from its representative's by a constant keeps the constant: the column's first row stays,
        and the other rows get the representative's distances from its first row. Weight decay may shrink the constant.
        Running statistics of a BatchNorm are no parameters. Only evaluation uses them, and they may differ by rounding.

        Args:
            tensors: {parameter: (K, *shape)}.
            values: whether the tensors are values, which keep constants. Gradients have none.
        """
        for layer, representatives in self.representatives.items():
            members, units = representatives.shape
            starts = units * torch.arange(members, device=representatives.device)
            flat = (representatives + starts.unsqueeze(1)).flatten()
            for name, axis in self.unit_axes[layer]:
                if name in tensors and axis == 0:
                    rows = tensors[name].view(members * units, -1)
                    rows.copy_(rows.index_select(0, flat))
                elif name in tensors:
                    columns = tensors[name].view(members, -1, units, tensors[name][0, 0].numel() // units)
                    tied = _gather_representatives(columns, representatives)
                    if values and name in self.offset_columns:
                        exact = tied.double()  # so that a column without an update keeps its bits
                        shifted = columns[:, :1] + (exact - exact[:, :1])
                        tied = torch.where(self.offset_columns[name][:, None, :, None], shifted.to(tied.dtype), tied)
                    columns.copy_(tied)
