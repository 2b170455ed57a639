"""Neurons that start as copies of one another: exact arithmetic keeps them so, and in rounded arithmetic this does.

Copies have the same weights and bias, in and out. In front of the logits the columns of weights that go out may differ
by a constant each, W_kj = u_k + v_j: softmax less the label adds up to zero over classes, and v_j with it, so that
these neurons have the same deltas, and their columns the same gradients. So is `init=row_constant` in its last hidden
layer.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from zeroinit.layers import leaves


def held_by(model: nn.Module) -> dict[str, list[tuple[str, int]]]:
    """{hidden layer: [(parameter, axis)]}: what its neurons, or channels, consist of, and along which axis they lie.

    That is axis 0 of its own weight and bias and of a normalisation's, and axis 1 of the next layer's weight. Of a
    model that `stack.unstackable_reason` accepts; grouped convolutions bound no layer, as their channels differ.
    """
    found, last = {}, None
    own: list[tuple[str, int]] = []
    for name, layer in leaves(model):
        parameters = [(f"{name}.{part}", 0) for part, _ in layer.named_parameters()]
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            own += parameters
            continue
        grouped = getattr(layer, "groups", 1) > 1
        if last is not None and not grouped:
            found[last] = [*own, (f"{name}.weight", 1)]
        last, own = (None if grouped else name), parameters
    return found


def moves_alike(optimizer: torch.optim.Optimizer) -> bool:
    """Whether entries with the same gradients and other values move by the same, or shrink by the same share as well.

    Weight decay that is added to gradients, and divided with them by the size of both, is other for every value.
    """
    group = optimizer.param_groups[0]
    linear = isinstance(optimizer, torch.optim.SGD) or group.get("decoupled_weight_decay", False)
    return bool(linear or not group.get("weight_decay", 0))


def in_front_of_logits(model: nn.Module) -> str | None:
    """The hidden layer whose neurons go into the logits alone, through one linear layer behind which nothing is."""
    output, layer = list(leaves(model))[-1]
    of_output = [name for name, parts in held_by(model).items() if parts[-1][0] == f"{output}.weight"]
    return of_output[0] if of_output and isinstance(layer, nn.Linear) else None


def less_first_row(columns: Tensor) -> Tensor:
    """Columns (rows, units, entries) less their first row, in float64, of units where that is exact; others stay.

    So two units are given the same if and only if they differ by constants, or are equal. What is subtracted exactly
    adds up again either way (Dekker, "A floating-point technique for extending the available precision", 1971).
    """
    values = columns.double()
    less = values - values[:1]
    exact = ((less + values[:1] == values) & (values - less == values[:1])).all(2).all(0)
    return torch.where(exact.unsqueeze(1), less, values)


def first_equals(model: nn.Module, offsets: bool = True) -> dict[str, Tensor]:
    """{hidden layer: (units,)}, of each neuron the place of the first that has its weights and bias, in and out.

    Such neurons have the same gradients, and so stay equal under every optimizer that treats entries alike. With
    `offsets`, for which it must be one that `moves_alike`, columns in front of the logits may differ by constants.
    """
    parameters, found = dict(model.named_parameters()), {}
    last = in_front_of_logits(model) if offsets else None
    for layer, parts in held_by(model).items():
        units = len(parameters[f"{layer}.weight"])
        held = [by_unit(parameters[name].detach(), axis, units) for name, axis in parts]
        if layer == last:
            held[-1] = less_first_row(held[-1])
        rows = [each.transpose(0, 1).flatten(1) for each in held]
        _, classes = torch.unique(torch.cat(rows, dim=1), dim=0, return_inverse=True)  # to which 0 is -0
        places = torch.arange(units, device=classes.device)
        found[layer] = torch.full_like(places, units).scatter_reduce(0, classes, places, "amin")[classes]
    return found


def by_unit(values: Tensor, axis: int, units: int) -> Tensor:
    """A parameter whose `axis` is that of the units as (rows, units, entries); along axis 0 they are one row."""
    return values.reshape(values.shape[0] if axis else 1, units, -1)


class Ties:
    """The ties between neurons of K models of one arch, as they are when training starts."""

    def __init__(self, members: Sequence[tuple[nn.Module, torch.optim.Optimizer]]) -> None:
        models, self.held_by = [model for model, _ in members], held_by(members[0][0])
        of_each = [first_equals(model, moves_alike(optimizer)) for model, optimizer in members]
        self.firsts = {layer: torch.stack([one[layer] for one in of_each]) for layer in self.held_by}  # (K, units)
        self.own: dict[str, Tensor] = {}  # by parameter (K, units): columns that are not those of their first
        if last := in_front_of_logits(models[0]):
            name, firsts = self.held_by[last][-1][0], self.firsts[last]
            values = [dict(model.named_parameters())[name].detach() for model in models]
            columns = torch.stack([by_unit(one, 1, firsts.shape[1]) for one in values])
            self.own[name] = (columns != self.of_firsts(columns, firsts)).any(3).any(1)
        self.drop_untied()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.firsts)

    def drop_untied(self) -> None:
        """Leave out the layers in which no member has two equal neurons."""
        own = {layer: torch.arange(firsts.shape[1], device=firsts.device) for layer, firsts in self.firsts.items()}
        self.firsts = {layer: firsts for layer, firsts in self.firsts.items() if (firsts != own[layer]).any()}
        self.own = {name: which for name, which in self.own.items() if which.any()}

    def retain(self, slots: Sequence[int]) -> None:
        """Go on with the members in these slots alone."""
        self.firsts = {layer: firsts[slots] for layer, firsts in self.firsts.items()}
        self.own = {name: which[slots] for name, which in self.own.items()}
        self.drop_untied()

    @staticmethod
    def of_firsts(columns: Tensor, firsts: Tensor) -> Tensor:
        """Of columns (K, rows, units, entries), for each unit those of its first."""
        return columns.gather(2, firsts.view(len(firsts), 1, -1, 1).expand_as(columns))

    @torch.no_grad()
    def copy(self, tensors: Mapping[str, Tensor], values: bool) -> None:
        """In tensors (K, *shape) under parameters' names, give equal neurons the entries of their first, in place.

        Of `values`, a column that differs from its first's by a constant keeps that: its own first row, where weight
        decay may have shrunk it, from which the others are as far as the first's. Gradients are the same.
        A BatchNorm's running statistics, which evaluation alone uses, are no parameters, and may differ by rounding.
        """
        for layer, firsts in self.firsts.items():
            members, units = firsts.shape
            flat = (firsts + units * torch.arange(members, device=firsts.device).unsqueeze(1)).flatten()
            for name, axis in self.held_by[layer]:
                if name in tensors and axis == 0:
                    rows = tensors[name].view(members * units, -1)
                    rows.copy_(rows.index_select(0, flat))
                elif name in tensors:
                    columns = tensors[name].view(members, -1, units, tensors[name][0, 0].numel() // units)
                    equal = self.of_firsts(columns, firsts)
                    if values and name in self.own:
                        exact = equal.double()  # in which no column moves that has not trained
                        shifted = columns[:, :1] + (exact - exact[:, :1])
                        equal = torch.where(self.own[name][:, None, :, None], shifted.to(equal.dtype), equal)
                    columns.copy_(equal)
