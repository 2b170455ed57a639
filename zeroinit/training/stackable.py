"""Which models can train as one stack."""

from collections.abc import Sequence

import torch
from torch import nn

from zeroinit.layers import ELEMENTWISE, POOLING, leaves

OPTIMIZERS = (  # they update each entry independently, so the entries of several members can be in one tensor
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam),
    *(torch.optim.Adamax, torch.optim.RMSprop),
)


def unstackable_reason(model: nn.Module, optimizer: torch.optim.Optimizer, input_shape: Sequence[int]) -> str | None:
    """Return why models like this one cannot be stacked, in a few words; None if they can."""
    if type(model).forward is not nn.Sequential.forward:
        return f"{type(model).__name__} has a forward of its own"
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, name) for module in model.modules() for name in hooks):
        return f"{type(model).__name__} has hooks"
    dense, owners = len(input_shape) == 1, []
    for name, layer in leaves(model):
        image = not dense
        if type(layer) is nn.Flatten:
            fits, dense = (layer.start_dim, layer.end_dim) == (1, -1), True
        elif isinstance(layer, nn.Linear | nn.BatchNorm1d):
            fits = type(layer) in (nn.Linear, nn.BatchNorm1d) and dense
        elif isinstance(layer, nn.Conv2d):
            fits = type(layer) is nn.Conv2d and image and layer.padding_mode == "zeros"
        elif isinstance(layer, (nn.BatchNorm2d, *POOLING)):
            fits = type(layer) in (nn.BatchNorm2d, *POOLING) and image
            fits = fits and not getattr(layer, "return_indices", False)
        else:
            fits = type(layer) in ELEMENTWISE
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            fits = fits and layer.momentum is not None and layer.track_running_stats
        if not fits:
            return f"{name} is a {type(layer).__name__} that cannot be stacked there"
        owners += [id(parameter) for parameter in layer.parameters()]
    parameters = list(model.parameters())
    if len(set(owners)) < len(owners) or not all(parameter.requires_grad for parameter in parameters):
        return f"{type(model).__name__} has parameters that are shared or frozen"
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    if type(optimizer) not in OPTIMIZERS or sorted(held) != sorted(map(id, parameters)):
        return f"{type(optimizer).__name__} is not an optimizer of all parameters that updates each entry alone"
    return None
