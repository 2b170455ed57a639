"""One plain model, and what can be asked of it while it trains."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.layers import is_activation, weight_layers
from zeroinit.training.warmup import set_rates

Layers = dict[str, tuple[Tensor, Tensor | None]]  # by name: weights and biases of members
Activations = dict[str, tuple[Tensor, nn.Module]]  # by layer: what goes into its activation, (K, units, N), and that
Batch = tuple[Tensor, Tensor, str]  # inputs and labels of a step, and the reduction of its loss


def one_more(bias: Tensor | None) -> Tensor | None:
    """The bias with a member axis, where there is one."""
    return None if bias is None else bias.detach().unsqueeze(0)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model is in eval mode, and then in train mode whatever happens."""
    model.eval()
    try:
        yield
    finally:
        model.train()


@torch.no_grad()
def activations(model: nn.Module, inputs: Tensor) -> Activations:
    """What goes into the activation behind each layer, for inputs (1, N, *input_shape), in eval mode.

    N counts each position of a convolution's outputs. Behind is the last activation before the next layer acts.
    """
    found: Activations = {}
    acted: list[tuple[str, nn.Module]] = []

    def weigh(name: str, layer: nn.Module, *_: object) -> None:
        acted.append((name, layer))

    def activate(activation: nn.Module, positional: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        if acted:
            name, layer = acted[-1]
            inputs = (*positional, *named.values())[0]
            units = -1 if isinstance(layer, nn.Linear) else 1
            found[name] = (inputs.movedim(units, 0).flatten(1).unsqueeze(0).clone(), activation)

    hooks = [layer.register_forward_hook(partial(weigh, name)) for name, layer in weight_layers(model)]
    hooks += [
        one.register_forward_pre_hook(activate, with_kwargs=True) for one in model.modules() if is_activation(one)
    ]
    try:
        with evaluating(model):
            model(inputs[0])
    finally:
        for hook in hooks:
            hook.remove()
    return found


class Alone:
    """One plain model with its own optimizer, under the names under which a Stack trains many."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer

    def backward(self, inputs: Tensor, labels: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Leave the gradients of a batch in the parameters; its mean loss and its hits."""
        self.optimizer.zero_grad()
        logits = self.model(inputs[0])
        loss = F.cross_entropy(logits, labels[0], reduction=reduction)
        loss.backward()  # type: ignore[no-untyped-call]
        hits = (logits.detach().argmax(1) == labels[0]).sum()
        return loss.detach() / (labels.shape[1] if reduction == "sum" else 1), hits

    def gradients(self) -> dict[str, Tensor]:
        """Each parameter's gradient (1, *shape); zeros where backward did not reach it."""
        return {
            name: (torch.zeros_like(own) if own.grad is None else own.grad).unsqueeze(0)
            for name, own in self.model.named_parameters()
        }

    def again(self, batch: Batch, dtype: torch.dtype, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each parameter's gradient of a batch in that dtype, with these values (1, *shape) of some parameters.

        A net that cannot be copied or compute so is taken at its word.
        """
        inputs, labels, reduction = batch
        with torch.random.fork_rng([inputs.device] if inputs.is_cuda else []):
            try:
                twin = deepcopy(self.model).to(dtype)
                twin.zero_grad()
                for name, value in values.items():
                    twin.get_parameter(name).data.copy_(value[0])
                loss = F.cross_entropy(twin(inputs[0].to(dtype)), labels[0], reduction=reduction)
                loss.backward()  # type: ignore[no-untyped-call]
            except Exception:
                return self.gradients()
        return Alone(twin, self.optimizer).gradients()

    def activations(self, inputs: Tensor) -> Activations:
        """What goes into the activation behind each layer, for inputs (1, N, *input_shape), in eval mode."""
        return activations(self.model, inputs)

    def losses(self, parameters: Mapping[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross-entropy (1,) that the model with these parameters would have in eval mode, differentiable."""
        own = {name: parameter[0] for name, parameter in parameters.items()}
        with evaluating(self.model):
            logits = torch.func.functional_call(self.model, own, (inputs[0],))
        return F.cross_entropy(logits, labels[0]).unsqueeze(0)

    def layers(self) -> Layers:
        """Each layer's weight (1, *shape) and bias (1, units)."""
        found = weight_layers(self.model)
        return {name: (layer.weight.detach().unsqueeze(0), one_more(layer.bias)) for name, layer in found}

    def tensors(self) -> dict[str, Tensor]:
        """Each parameter (1, *shape), as a view to write to."""
        return {name: parameter.detach().unsqueeze(0) for name, parameter in self.model.named_parameters()}

    def update(self, step: int) -> None:
        """Step number `step` (from 1) of the optimizer."""
        set_rates(self.optimizer, step)
        self.optimizer.step()

    def predict(self, inputs: Tensor) -> Tensor:
        """Inputs (1, N, *input_shape) -> logits (1, classes, N), in eval mode."""
        with evaluating(self.model):
            logits: Tensor = self.model(inputs[0])
        return logits.t().unsqueeze(0)

    def keep(self, places: Sequence[int]) -> None:
        """There is nobody to leave."""

    def write_back(self) -> None:
        """The model is where it was all along."""
