"""One plain model that trains alone."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from zeroinit.layers import called_modules, is_activation
from zeroinit.loss import Loss
from zeroinit.observed_layers import ObservedLayer, UnitGroup, observed_layers, unit_groups
from zeroinit.roles import WeightLayer
from zeroinit.state import State
from zeroinit.training.clip import Clip
from zeroinit.training.model import Activations, Batch, Layers
from zeroinit.training.scheduler import Scheduler


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode for the block, and then in train mode."""
    model.eval()
    try:
        yield
    finally:
        model.train()


def autocast_to(dtype: torch.dtype | None, device: torch.device) -> AbstractContextManager[None]:
    """Return the context in which torch computes in a lower precision where it deems that safe; none for None."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


@torch.no_grad()
def activations(model: nn.Module, inputs: Tensor) -> Activations:
    """Return the inputs of the activation after each layer, for inputs (1, N, *input_shape), in eval mode.

    N counts each position of a convolution's outputs. The activation after a layer is the last one before the next
    layer.
    """
    inputs_of: Activations = {}
    called: list[tuple[str, nn.Module]] = []

    def note_layer(name: str, layer: nn.Module, *_: object) -> None:
        called.append((name, layer))

    def note_activation(activation: nn.Module, positional: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        name, layer = called[-1] if called else ("", activation)
        if isinstance(layer, WeightLayer):  # not behind a recurrent layer or an embedding, whose rows are no units
            inputs = (*positional, *named.values())[0]
            units = -1 if isinstance(layer, nn.Linear) else 1
            inputs_of[name] = (inputs.movedim(units, 0).flatten(1).unsqueeze(0).clone(), activation)

    acting, _ = called_modules(model)
    hooks = [layer.register_forward_hook(partial(note_layer, name)) for name, layer in acting.items()]
    hooks += [
        module.register_forward_pre_hook(note_activation, with_kwargs=True)
        for module in model.modules()
        if is_activation(module)
    ]
    try:
        with evaluating(model):
            model(inputs[0])
    finally:
        for hook in hooks:
            hook.remove()
    return inputs_of


class SingleModel:
    """One plain model with its optimizer, with the methods of a stack of 1."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Loss,
        scheduler: Scheduler | None = None,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.model, self.optimizer, self.loss, self.scheduler = model, optimizer, loss, scheduler
        self.autocast = autocast_to(autocast, next(model.parameters(), torch.empty(0)).device)
        self.is_autocast = autocast is not None

    @cached_property
    def _observed_layers(self) -> list[ObservedLayer]:
        return observed_layers(self.model)

    @cached_property
    def _unit_groups(self) -> list[UnitGroup]:
        return unit_groups(self.model)

    def backward(self, inputs: Tensor, targets: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Leave the gradients of a batch in the parameters. Return its mean loss and its sum of scores."""
        self.optimizer.zero_grad()
        with self.autocast:
            outputs = self.model(inputs[0])
            if self.is_autocast:
                outputs = outputs.float()  # the loss is not rounded
            loss = self.loss.total(outputs, targets[0], reduction)
        loss.backward()  # type: ignore[no-untyped-call]
        score_sum = self.loss.score_terms(outputs.detach(), targets[0]).sum()
        mean_loss = loss.detach() / targets.shape[1] if reduction == "sum" else loss.detach()
        return mean_loss, score_sum

    def gradients(self) -> dict[str, Tensor]:
        """Return each parameter's gradient (1, *shape); zeros if backward did not reach it."""
        return {
            name: (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad).unsqueeze(0)
            for name, parameter in self.model.named_parameters()
        }

    def gradients_in(self, batch: Batch, dtype: torch.dtype, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each parameter's gradient of a batch in that dtype, with these values (1, *shape) of some parameters.

        If the net cannot be copied, or cannot compute in that dtype, return the gradients that it has.
        """
        inputs, targets, reduction = batch
        with torch.random.fork_rng([inputs.device] if inputs.is_cuda else []):
            try:
                twin = deepcopy(self.model).to(dtype)
                twin.zero_grad()
                for name, value in values.items():
                    twin.get_parameter(name).data.copy_(value[0])
                real = inputs[0].to(dtype) if inputs.is_floating_point() else inputs[0]  # tokens stay as they are
                self.loss.total(twin(real), targets[0], reduction).backward()  # type: ignore[no-untyped-call]
            except Exception:
                return self.gradients()
        return SingleModel(twin, self.optimizer, self.loss).gradients()

    def activations(self, inputs: Tensor) -> Activations:
        """Return the inputs of the activation after each layer, for inputs (1, N, *input_shape), in eval mode."""
        return activations(self.model, inputs)

    def losses(self, parameters: Mapping[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss (1,) of the model with these parameters in eval mode, differentiable."""
        values = {name: parameter[0] for name, parameter in parameters.items()}
        with evaluating(self.model):
            outputs = torch.func.functional_call(self.model, values, (inputs[0],))
        return self.loss.total(outputs, targets[0], "mean").unsqueeze(0)

    def layers(self) -> Layers:
        """Return each layer's weight (1, *shape) and bias (1, units)."""
        layers: Layers = {}
        for layer in self._observed_layers:
            weight, bias = layer.values()
            layers[layer.name] = weight.unsqueeze(0), None if bias is None else bias.unsqueeze(0)
        return layers

    def units(self) -> dict[str, Tensor]:
        """Return the weights and biases (1, units, ...) of heads and recurrent units."""
        return {group.name: group.units().unsqueeze(0) for group in self._unit_groups}

    def tensors(self) -> dict[str, Tensor]:
        """Return each parameter (1, *shape), as a view that can be written to."""
        return {name: parameter.detach().unsqueeze(0) for name, parameter in self.model.named_parameters()}

    def clip(self, clip: Clip) -> None:
        """Clip the gradients that `backward` left."""
        clip.clip_model(self.model)

    def update(self, step: int) -> None:
        """Take step number `step` (from 1) of the optimizer."""
        if self.scheduler:
            self.scheduler.advance(step)
        self.optimizer.step()

    def predict(self, inputs: Tensor) -> Tensor:
        """Inputs (1, N, *input_shape) -> outputs (1, outputs, N), in eval mode."""
        with evaluating(self.model), self.autocast:
            outputs: Tensor = self.model(inputs[0])
        return (outputs.float() if self.is_autocast else outputs).t().unsqueeze(0)

    def retain(self, slots: Sequence[int]) -> None:
        """Do nothing: no member can leave a stack of 1."""

    def write_back(self) -> None:
        """Do nothing: the model itself trains."""

    def state(self) -> State:
        """Return the states of model, optimizer and schedule."""
        model_state, persistent = self.model.state_dict(), set(self.model.state_dict())
        updated = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        return {
            "model": model_state,
            "buffers": {name: buffer for name, buffer in self.model.named_buffers() if name not in persistent},
            # zero_grad leaves those alone that are not of the optimizer: they add up
            "gradients": {
                name: parameter.grad
                for name, parameter in self.model.named_parameters()
                if id(parameter) not in updated and parameter.grad is not None
            },
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state() if self.scheduler else None,
        }

    @torch.no_grad()
    def load_state(self, state: State, slots: Sequence[int]) -> None:
        """Continue from such a state."""
        self.model.load_state_dict(state["model"])
        buffers = dict(self.model.named_buffers())
        for name, values in state["buffers"].items():
            buffers[name].copy_(values)
        for name, values in state["gradients"].items():
            parameter = self.model.get_parameter(name)
            parameter.grad = values.to(parameter.device)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler:
            self.scheduler.load_state(state["scheduler"])
