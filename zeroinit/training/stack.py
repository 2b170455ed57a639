"""K plain models of one arch as one that trains them all at once, and back.

A dense activation is (K, features, N): each neuron is a row of its member's product, so that the kernels treat equal
neurons alike, and no member's numbers depend on another's. An image is (N, K * channels, height, width), and a
convolution one of K times the groups. The leading axis is 1 as long as all members see the same.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.layers import ELEMENTWISE, POOLING, is_activation, leaves, weight_layers
from zeroinit.training.single import Activations, Batch, Layers
from zeroinit.training.warmup import set_rates

PARAMETRIC = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)
IN_PLACE = (nn.ELU, nn.ReLU, nn.SELU)  # their backward needs no more than what they gave
# entries that the CPU's elementwise kernels take at once. What is left over is computed by other code, whose rounding
# would tell a neuron from its equals: batches of dense nets, and parameters in optimizers, are filled up with zeros
LANES = 32
OPTIMIZERS = (  # each entry's update is its own affair, so that members can lie side by side
    *(torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.NAdam, torch.optim.RAdam),
    *(torch.optim.Adamax, torch.optim.RMSprop),
)


def subtract_labels(shares: Tensor, truth: Tensor) -> None:
    """Subtract 1 at the label of each example, in place, with the bits of scatter_add_.

    Args:
        shares: (K, classes, N or more), with columns behind the examples that only fill up a kernel's width.
        truth: labels (K, 1, N).
    """
    classes = torch.arange(shares.shape[1], device=shares.device).view(1, -1, 1)
    shares[..., : truth.shape[2]] -= (truth == classes).to(shares.dtype)


def why_alone(model: nn.Module, optimizer: torch.optim.Optimizer, input_shape: Sequence[int]) -> str | None:
    """The reason why models like this one cannot be stacked, in a few words; None if they can."""
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
    groups = optimizer.param_groups
    if type(optimizer) not in OPTIMIZERS or len(groups) > 1 or len(groups[0]["params"]) < len(parameters):
        return f"{type(optimizer).__name__} is not an optimizer of one group whose entries are updated each alone"
    return None


def acting(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The leaves; what follows a layer of weights acts in its memory, which moving takes as long as computing."""
    found: list[tuple[str, nn.Module]] = []
    for name, layer in leaves(model):
        follows = found and isinstance(found[-1][1], PARAMETRIC)
        if follows and isinstance(layer, IN_PLACE) and getattr(layer, "alpha", 1) >= 0:
            layer = copy(layer)
            layer.inplace = True
        found.append((name, layer))
    return found


def full(values: Tensor) -> Tensor:
    """The entries, flat, with zeros to a multiple of LANES."""
    return F.pad(values.flatten(), (0, -values.numel() % LANES))


class Stack:
    """What trains K models together, with an optimizer that keeps each one's settings.

    `parameters` and `buffers` bear the models' own names and have the shapes (K, *shape); `rows` are the indices of
    the models that are still in it.
    """

    def __init__(self, members: Sequence[tuple[nn.Module, torch.optim.Optimizer]]) -> None:
        models, optimizers = zip(*members, strict=True)
        self.models = models
        self.rows = list(range(len(models)))
        self.acting = acting(models[0])
        self.dense = all(isinstance(layer, (nn.Linear, nn.Flatten, *ELEMENTWISE)) for _, layer in self.acting)
        named, stored = [dict(m.named_parameters()) for m in models], [dict(m.named_buffers()) for m in models]
        self.parameters: dict[str, Tensor] = {
            name: nn.Parameter(torch.stack([one[name].detach() for one in named])) for name in named[0]
        }
        self.buffers = {name: torch.stack([one[name] for one in stored]) for name in stored[0]}
        self.settings = [{**optimizer.param_groups[0], "params": None} for optimizer in optimizers]
        self.last: tuple[Tensor | None, Tensor] = None, torch.empty(0)
        self.optimizer_of: Callable[[list[dict[str, Any]]], torch.optim.Optimizer] = type(optimizers[0])
        self.bind()

    def bind(self) -> None:
        """Make the optimizer: neighbours with the same settings are one group, of slices of the parameters.

        A slice is a view, or where its entries do not fill LANES a longer copy: see there.
        """
        rows, settings = range(len(self.rows)), [self.settings[row] for row in self.rows]
        starts = [row for row in rows if row == 0 or settings[row] != settings[row - 1]]
        self.slices = [slice(*span) for span in zip(starts, [*starts[1:], len(rows)], strict=True)]
        groups = []
        for where in self.slices:
            views = [parameter.detach()[where] for parameter in self.parameters.values()]
            parts = [nn.Parameter(full(view) if view.numel() % LANES else view) for view in views]
            groups.append({**settings[where.start], "params": parts})
        self.optimizer = self.optimizer_of(groups)

    def backward(self, inputs: Tensor, labels: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Leave the gradients of each member's batch in `parameters`; mean losses (K,) and hits (K,)."""
        logits = self.logits(inputs, training=True)
        examples, truth = labels.shape[1], labels.expand(len(logits), -1).unsqueeze(1)
        with torch.no_grad():
            log_shares = logits.log_softmax(1)
            losses = -log_shares.gather(1, truth).mean((1, 2))
            hits = (logits[..., :examples].max(1).indices == labels).sum(1)
            # of cross-entropy: softmax less one at the label; no sum over members, which a NaN would cross
            slope = log_shares.exp_()
            if slope.is_cuda:  # where a deterministic scatter sorts its indices
                subtract_labels(slope, truth)
            else:
                slope.scatter_add_(1, truth, slope.new_full((1, 1, 1), -1.0).expand_as(truth))
            if reduction == "mean":
                slope /= examples
            slope[..., examples:] = 0
        logits.backward(slope)  # type: ignore[no-untyped-call]
        return losses, hits

    def gradients(self) -> dict[str, Tensor]:
        """Each parameter's gradient (K, *shape)."""
        return {name: own.grad for name, own in self.parameters.items() if own.grad is not None}

    def again(self, batch: Batch, dtype: torch.dtype, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each parameter's gradient (K, *shape) of a batch in that dtype, with these values of some parameters."""
        twin = copy(self)
        own = {name: values.get(name, parameter).detach() for name, parameter in self.parameters.items()}
        twin.parameters = {name: nn.Parameter(value.to(dtype)) for name, value in own.items()}
        twin.buffers = {
            name: one.to(dtype if one.is_floating_point() else one.dtype, copy=True)
            for name, one in self.buffers.items()
        }
        twin.backward(batch[0].to(dtype), *batch[1:])
        return twin.gradients()

    @torch.no_grad()
    def activations(self, inputs: Tensor) -> Activations:
        """What goes into the activation behind each layer, as Alone has it, for inputs (1, N, *input_shape)."""
        found: Activations = {}
        self.logits(inputs, training=False, found=found)
        return found

    def losses(self, parameters: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy (K,) that the models with these parameters would have in eval mode, differentiable."""
        twin = copy(self)
        twin.parameters, twin.acting = dict(parameters), list(leaves(self.models[0]))  # none of them acts in place
        logits = twin.logits(inputs, training=False)[..., : inputs.shape[1]]
        return F.cross_entropy(logits, labels.expand(len(logits), -1), reduction="none").mean(1)

    def layers(self) -> Layers:
        """Each layer's weights (K, *shape) and biases (K, units)."""
        held = {name: parameter.detach() for name, parameter in self.parameters.items()}
        names = [name for name, _ in weight_layers(self.models[0])]
        return {name: (held[f"{name}.weight"], held.get(f"{name}.bias")) for name in names}

    def tensors(self) -> dict[str, Tensor]:
        """Each parameter (K, *shape), as a view to write to."""
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Inputs (1, N, *input_shape) -> logits (K, classes, N), in eval mode."""
        return self.logits(inputs, training=False)[..., : inputs.shape[1]]

    def keep(self, places: Sequence[int]) -> None:
        """Go on with the members at these places alone."""
        known = [
            ([self.optimizer.state[part] for part in group["params"]], place - where.start)
            for where, group in zip(self.slices, self.optimizer.param_groups, strict=True)
            for place in range(where.start, where.stop)
        ]  # what the optimizer knows of each member's group, and the member's index in it
        self.rows = [self.rows[place] for place in places]
        for name, parameter in self.parameters.items():
            self.parameters[name] = nn.Parameter(parameter.detach()[places])
        for name, buffer in self.buffers.items():
            self.buffers[name] = buffer[places]
        self.bind()
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            mine = [known[place] for place in places[where]]
            shapes = [parameter.shape[1:] for parameter in self.parameters.values()]
            for index, (part, shape) in enumerate(zip(group["params"], shapes, strict=True)):
                for key, value in mine[0][0][index].items():
                    if isinstance(value, Tensor) and value.dim():
                        entries = [states[index][key].flatten().split(shape.numel())[own] for states, own in mine]
                        value = torch.stack(entries)  # (members, entries)
                        value = full(value) if value.numel() % LANES else value.view_as(part)
                    self.optimizer.state[part][key] = value  # or a number of steps, which all have in common

    @torch.no_grad()
    def write_back(self) -> None:
        """Give every model of `rows` its parameters and buffers as they are now."""
        for place, row in enumerate(self.rows):
            for own, stacked in (
                (self.models[row].named_parameters(), self.parameters),
                (self.models[row].named_buffers(), self.buffers),
            ):
                for name, tensor in own:
                    tensor.copy_(stacked[name][place])

    def update(self, step: int) -> None:
        """Step number `step` (from 1) of the optimizer, from the gradients of `parameters`; they are gone then."""
        set_rates(self.optimizer, step)
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            for part, parameter in zip(group["params"], self.parameters.values(), strict=True):
                assert parameter.grad is not None
                gradient = parameter.grad[where]
                part.grad = full(gradient) if gradient.numel() % LANES else gradient
        self.optimizer.step()
        for where, group in zip(self.slices, self.optimizer.param_groups, strict=True):
            for part, parameter in zip(group["params"], self.parameters.values(), strict=True):
                parameter.grad = part.grad = None
                view = parameter.detach()[where]
                if view.numel() % LANES:
                    view.copy_(part.detach()[: view.numel()].view_as(view))

    def logits(self, inputs: Tensor, training: bool, found: Activations | None = None) -> Tensor:
        """Inputs (K or 1, N, *input_shape), 1 where all members see the same -> logits (K, classes, N or more).

        What goes into activations is put into `found`.
        """
        examples, behind = inputs.shape[1], ""
        inputs = self.filled_up(inputs) if self.dense and inputs.shape[1] % LANES else inputs
        members, seen, dense = len(self.rows), len(inputs), inputs.dim() == 3
        hidden = inputs.transpose(1, 2) if dense else inputs.transpose(0, 1).flatten(1, 2)
        for name, layer in self.acting:
            if isinstance(layer, nn.Flatten):
                hidden = hidden if dense else hidden.reshape(len(hidden), seen, -1).permute(1, 2, 0)
                dense = True
                continue
            if not isinstance(layer, PARAMETRIC):
                if found is not None and behind and is_activation(layer):
                    units = hidden if dense else hidden.reshape(len(hidden), seen, -1, *hidden.shape[2:]).movedim(0, 2)
                    found[behind] = (units.flatten(2)[..., : examples if dense else None].clone(), layer)
                hidden = layer(hidden)
                continue
            behind = behind if isinstance(layer, nn.modules.batchnorm._BatchNorm) else name
            wide = isinstance(layer, nn.Conv2d) and layer.groups == 1  # takes what all members see as it is
            if seen < members and not wide:
                hidden = hidden.expand(members, -1, -1) if dense else hidden.repeat(1, members, 1, 1)
                seen = members
            if isinstance(layer, nn.Linear):
                hidden = self.linear(name, hidden)
            elif isinstance(layer, nn.Conv2d):
                hidden = self.convolution(name, layer, hidden, layer.groups * seen)
            else:
                assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
                hidden = self.normalisation(name, layer, hidden, training)
            seen = members
        return hidden if seen == members else hidden.expand(members, -1, -1)

    def filled_up(self, inputs: Tensor) -> Tensor:
        """The inputs, flat, with examples of zeros to a multiple of LANES; kept, as a full batch comes each step."""
        if inputs is not self.last[0]:
            self.last = inputs, F.pad(inputs.flatten(2), (0, 0, 0, -inputs.shape[1] % LANES))
        return self.last[1]

    def linear(self, name: str, hidden: Tensor) -> Tensor:
        """(K, fan_in, N) -> (K, fan_out, N)."""
        weight, bias = self.parameters[f"{name}.weight"], self.parameters.get(f"{name}.bias")
        return torch.bmm(weight, hidden) if bias is None else torch.baddbmm(bias.unsqueeze(2), weight, hidden)

    def convolution(self, name: str, layer: nn.Conv2d, hidden: Tensor, groups: int) -> Tensor:
        """(N, channels or K * channels, height, width) -> (N, K * out_channels, ...)."""
        weight, bias = self.parameters[f"{name}.weight"].flatten(0, 1), self.parameters.get(f"{name}.bias")
        flat = None if bias is None else bias.flatten()
        return F.conv2d(hidden, weight, flat, layer.stride, layer.padding, layer.dilation, groups)

    def normalisation(
        self, name: str, layer: nn.modules.batchnorm._BatchNorm, hidden: Tensor, training: bool
    ) -> Tensor:
        """(K, features, N) or (N, K * channels, height, width), each member's channels by their own statistics."""
        mean, var = (self.buffers[f"{name}.running_{part}"].flatten() for part in ("mean", "var"))  # views
        scale, shift = (self.parameters.get(f"{name}.{part}") for part in ("weight", "bias"))
        if training:
            self.buffers[f"{name}.num_batches_tracked"] += 1
        normal = F.batch_norm(
            hidden.reshape(1, -1, hidden.shape[-1]) if hidden.dim() == 3 else hidden,
            mean,
            var,
            None if scale is None else scale.flatten(),
            None if shift is None else shift.flatten(),
            training,
            layer.momentum or 0.0,
            layer.eps,
        )
        return normal.view_as(hidden)
