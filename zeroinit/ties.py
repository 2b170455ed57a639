"""Neurons that start as copies of one another: exact arithmetic keeps them so, and in rounded arithmetic this does."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from zeroinit.layers import leaves


def held_by(model: nn.Module) -> dict[str, list[tuple[str, int]]]:
    """{hidden layer: [(parameter, axis)]}: what its neurons, or channels, consist of, and along which axis they lie.

    That is axis 0 of its own weight and bias and of a normalisation's, and axis 1 of the next layer's weight. Of a
    model that `stack.why_alone` has nothing against; grouped convolutions bound no layer, as their channels differ.
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


def first_equals(model: nn.Module) -> dict[str, Tensor]:
    """{hidden layer: (units,)}, of each neuron the place of the first that has its weights and bias, in and out.

    Such neurons have the same gradients, and so stay equal under every optimizer that treats entries alike.
    """
    parameters, found = dict(model.named_parameters()), {}
    for layer, parts in held_by(model).items():
        units = len(parameters[f"{layer}.weight"])
        held = [(parameters[name].detach().flatten(axis), axis) for name, axis in parts]
        rows = [each.movedim(axis, 0).reshape(units, -1) for each, axis in held]
        _, classes = torch.unique(torch.cat(rows, dim=1), dim=0, return_inverse=True)  # to which 0 is -0
        places = torch.arange(units, device=classes.device)
        found[layer] = torch.full_like(places, units).scatter_reduce(0, classes, places, "amin")[classes]
    return found


class Ties:
    """The ties between neurons of K models of one arch, as they are when training starts."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        self.held_by = held_by(models[0])
        of_each = [first_equals(model) for model in models]
        self.firsts = {layer: torch.stack([one[layer] for one in of_each]) for layer in self.held_by}  # (K, units)
        self.drop_untied()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.firsts)

    def drop_untied(self) -> None:
        """Leave out the layers in which no member has two equal neurons."""
        own = {layer: torch.arange(firsts.shape[1], device=firsts.device) for layer, firsts in self.firsts.items()}
        self.firsts = {layer: firsts for layer, firsts in self.firsts.items() if (firsts != own[layer]).any()}

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the members at these places alone."""
        self.firsts = {layer: firsts[places] for layer, firsts in self.firsts.items()}
        self.drop_untied()

    @torch.no_grad()
    def copy(self, tensors: Mapping[str, Tensor]) -> None:
        """In tensors (K, *shape) under parameters' names, give equal neurons the entries of their first, in place.

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
                    columns.copy_(columns.gather(2, firsts.view(members, 1, units, 1).expand_as(columns)))
