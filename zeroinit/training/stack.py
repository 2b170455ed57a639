"""A stack: K plain models of one arch that train together as one batched model.

A dense activation is (K, features, N). Each neuron is a row of its member's product, so the kernels treat equal neurons
alike, and no member's numbers depend on another's. An image is (N, K * channels, height, width), and a convolution has
K times the groups. The leading axis is 1 until the members' activations differ.
"""

from collections.abc import Mapping, Sequence
from copy import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.layers import ELEMENTWISE, is_activation, leaves, weight_layers
from zeroinit.loss import Loss
from zeroinit.state import State
from zeroinit.training.clip import Clip
from zeroinit.training.model import Activations, Batch, Layers
from zeroinit.training.scheduler import Scheduler
from zeroinit.training.stack_optimizer import LANES, StackOptimizer

PARAMETRIC = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)
IN_PLACE = (nn.ELU, nn.ReLU, nn.SELU)  # their backward pass needs only their output


def forward_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the leaves of the model, with in-place activations where they follow a layer of weights.

    Writing an activation's outputs to other memory takes as long as computing them.
    """
    layers: list[tuple[str, nn.Module]] = []
    for name, layer in leaves(model):
        follows_weights = layers and isinstance(layers[-1][1], PARAMETRIC)
        if follows_weights and isinstance(layer, IN_PLACE) and getattr(layer, "alpha", 1) >= 0:
            layer = copy(layer)
            layer.inplace = True
        layers.append((name, layer))
    return layers


class ModelStack:
    """K models that train together, with an optimizer that keeps the settings of each.

    Attributes:
        parameters: {name in the models: (K, *shape)}.
        buffers: {name in the models: (K, *shape)}.
        members: the index of the model in each slot.
    """

    def __init__(
        self,
        members: Sequence[tuple[nn.Module, torch.optim.Optimizer]],
        loss: Loss,
        schedulers: Sequence[Scheduler | None] | None = None,
    ) -> None:
        self.models = models = [model for model, _ in members]
        self.loss = loss
        self.members = list(range(len(models)))
        self.forward_layers = forward_layers(models[0])
        self.dense = all(isinstance(layer, (nn.Linear, nn.Flatten, *ELEMENTWISE)) for _, layer in self.forward_layers)
        named, stored = [dict(m.named_parameters()) for m in models], [dict(m.named_buffers()) for m in models]
        self.parameters: dict[str, Tensor] = {
            name: nn.Parameter(torch.stack([parameters[name].detach() for parameters in named])) for name in named[0]
        }
        self.buffers = {name: torch.stack([buffers[name] for buffers in stored]) for name in stored[0]}
        self.padded: tuple[Tensor | None, Tensor] = None, torch.empty(0)
        self.optimizer = StackOptimizer(members, schedulers)
        self.optimizer.bind(self.parameters, self.members)

    def backward(self, inputs: Tensor, targets: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Leave the gradients of each batch in `parameters`. Return mean losses (K,) and sums of scores (K,)."""
        outputs = self.outputs(inputs, training=True)
        with torch.no_grad():
            score_sums = self.loss.score_terms(outputs[..., : targets.shape[1]], targets).sum(1)
            # no sum of losses is differentiated, because a sum over members would spread a NaN
            losses, slopes = self.loss.slopes(outputs, targets, reduction)
        outputs.backward(slopes)  # type: ignore[no-untyped-call]
        return losses, score_sums

    def gradients(self) -> dict[str, Tensor]:
        """Return each parameter's gradient (K, *shape)."""
        return {name: parameter.grad for name, parameter in self.parameters.items() if parameter.grad is not None}

    def gradients_in(self, batch: Batch, dtype: torch.dtype, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each parameter's gradient (K, *shape) of a batch in that dtype, with these values of some of them."""
        twin = copy(self)
        twin.parameters = {
            name: nn.Parameter(values.get(name, parameter).detach().to(dtype))
            for name, parameter in self.parameters.items()
        }
        twin.buffers = {
            name: buffer.to(dtype if buffer.is_floating_point() else buffer.dtype, copy=True)
            for name, buffer in self.buffers.items()
        }
        twin.backward(batch[0].to(dtype), *batch[1:])
        return twin.gradients()

    @torch.no_grad()
    def activations(self, inputs: Tensor) -> Activations:
        """Return the inputs of the activation after each layer, for inputs (1, N, *input_shape)."""
        inputs_of: Activations = {}
        self.outputs(inputs, training=False, inputs_of=inputs_of)
        return inputs_of

    def losses(self, parameters: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss (K,) of the models with these parameters in eval mode, differentiable."""
        twin = copy(self)
        twin.parameters = dict(parameters)
        twin.forward_layers = list(leaves(self.models[0]))  # not in place
        outputs = twin.outputs(inputs, training=False)[..., : inputs.shape[1]]
        return self.loss.per_example(outputs, targets.expand(len(outputs), *targets.shape[1:])).mean(1)

    def layers(self) -> Layers:
        """Return each layer's weights (K, *shape) and biases (K, units)."""
        tensors = self.tensors()
        names = [name for name, _ in weight_layers(self.models[0])]
        return {name: (tensors[f"{name}.weight"], tensors.get(f"{name}.bias")) for name in names}

    def units(self) -> dict[str, Tensor]:
        """Return nothing: a stack has no attention and no recurrent layer."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Return each parameter (K, *shape), as a view that can be written to."""
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def predict(self, inputs: Tensor) -> Tensor:
        """Inputs (1, N, *input_shape) -> outputs (K, outputs, N), in eval mode."""
        return self.outputs(inputs, training=False)[..., : inputs.shape[1]]

    def retain(self, slots: Sequence[int]) -> None:
        """Go on with the members in these slots alone, with their optimizer states."""
        self.members = [self.members[slot] for slot in slots]
        for name, parameter in self.parameters.items():
            self.parameters[name] = nn.Parameter(parameter.detach()[slots])
        for name, buffer in self.buffers.items():
            self.buffers[name] = buffer[slots]
        self.optimizer.retain(self.parameters, self.members, slots)

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the current parameters and buffers to the models that are in a slot."""
        for slot, member in enumerate(self.members):
            model = self.models[member]
            for named, stacked in ((model.named_parameters(), self.parameters), (model.named_buffers(), self.buffers)):
                for name, tensor in named:
                    tensor.copy_(stacked[name][slot])

    def state(self) -> State:
        """Return parameters, buffers and the state of the optimizer, of the member in each slot."""
        return {
            "parameters": self.tensors(),
            "buffers": dict(self.buffers),
            "optimizer": self.optimizer.state(self.members),
        }

    @torch.no_grad()
    def load_state(self, state: State, slots: Sequence[int]) -> None:
        """Continue from such a state; the members of this stack were in these slots."""
        for named, saved in ((self.parameters, state["parameters"]), (self.buffers, state["buffers"])):
            for name, stacked in named.items():
                stacked.copy_(saved[name][slots])
        self.optimizer.load_state(self.parameters, self.members, state["optimizer"], slots)

    def clip(self, clip: Clip) -> None:
        """Clip the gradients that `backward` left, those of each member alone."""
        clip.clip_members(self.gradients().values())

    def update(self, step: int) -> None:
        """Take step number `step` (from 1) of the optimizer. The gradients of `parameters` are consumed."""
        self.optimizer.update(step)

    def outputs(self, inputs: Tensor, training: bool, inputs_of: Activations | None = None) -> Tensor:
        """Inputs (K or 1, N, *input_shape), 1 if all members get the same -> outputs (K, outputs, N or more).

        The inputs of each activation are added to `inputs_of`, if it is given.
        """
        examples, last_weights = inputs.shape[1], ""
        inputs = self._pad_examples(inputs) if self.dense and inputs.shape[1] % LANES else inputs
        # `copies` is 1 until a layer of weights makes the members' activations differ
        members, copies, dense = len(self.members), len(inputs), inputs.dim() == 3
        hidden = inputs.transpose(1, 2) if dense else inputs.transpose(0, 1).flatten(1, 2)
        for name, layer in self.forward_layers:
            if isinstance(layer, nn.Flatten):
                hidden = hidden if dense else hidden.reshape(len(hidden), copies, -1).permute(1, 2, 0)
                dense = True
                continue
            if not isinstance(layer, PARAMETRIC):
                if inputs_of is not None and last_weights and is_activation(layer):
                    units = (
                        hidden if dense else hidden.reshape(len(hidden), copies, -1, *hidden.shape[2:]).movedim(0, 2)
                    )
                    inputs_of[last_weights] = (units.flatten(2)[..., : examples if dense else None].clone(), layer)
                hidden = layer(hidden)
                continue
            last_weights = last_weights if isinstance(layer, nn.modules.batchnorm._BatchNorm) else name
            accepts_shared = isinstance(layer, nn.Conv2d) and layer.groups == 1  # takes an input that all members share
            if copies < members and not accepts_shared:
                hidden = hidden.expand(members, -1, -1) if dense else hidden.repeat(1, members, 1, 1)
                copies = members
            if isinstance(layer, nn.Linear):
                hidden = self.linear(name, hidden)
            elif isinstance(layer, nn.Conv2d):
                hidden = self.convolution(name, layer, hidden, layer.groups * copies)
            else:
                assert isinstance(layer, nn.modules.batchnorm._BatchNorm)
                hidden = self.normalisation(name, layer, hidden, training)
            copies = members
        return hidden if copies == members else hidden.expand(members, -1, -1)

    def _pad_examples(self, inputs: Tensor) -> Tensor:
        """Return the inputs, flat, with zero examples up to a multiple of LANES; cached, as a full batch repeats."""
        if inputs is not self.padded[0]:
            self.padded = inputs, F.pad(inputs.flatten(2), (0, 0, 0, -inputs.shape[1] % LANES))
        return self.padded[1]

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
