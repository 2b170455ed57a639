"""A model as it is at one moment: its neurons, gradients and activations on a fixed batch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zeroinit.dataset.data import Split
from zeroinit.loss import Loss
from zeroinit.observed_layers import hidden_layers, observed_layers, unit_groups
from zeroinit.probes import measures
from zeroinit.training.quotient import QuotientLinear
from zeroinit.training.single import activations, evaluating

EXAMPLES = 256  # of the training set, on which a model is inspected
MAX_WORK = 1 << 28  # examples x parameters: below it, memory and time are small beside a step of training


@dataclass(frozen=True)
class Layer:
    """A layer of weights, or a group of units such as heads; see `observed_layers`.

    Attributes:
        hidden: whether its units are compared: each row of its weights is a hidden neuron, or it is a group.
        neurons: (1, units, incoming weights and bias).
        gradient: the norm of the weights' gradient; None if they are frozen.
        dead, saturated: shares of the units; NaN if no activation is behind the layer.
    """

    name: str
    hidden: bool
    neurons: Tensor
    gradient: float | None
    dead: float
    saturated: float

    @property
    def are_copies(self) -> bool:
        """Whether its hidden neurons are exact copies of one another."""
        return self.hidden and len(self.neurons[0]) > 1 and measures.count_distinct(self.neurons).item() == 1

    @property
    def are_nearly_copies(self) -> bool:
        """Whether its hidden neurons are one cluster: copies but for rounding."""
        is_measurable = 1 < len(self.neurons[0]) <= measures.MAX_PAIRED_NEURONS
        return self.hidden and is_measurable and measures.clusters(measures.gram(self.neurons[0])).item() == 1

    @property
    def is_dead(self) -> bool:
        """Whether no unit passes a gradient for any example, though it has weights."""
        return self.hidden and self.dead == 1 and bool(self.neurons.any())


@dataclass(frozen=True)
class Inspection:
    """The layers of weights of a model, and its score on the batch."""

    layers: list[Layer]
    score: float


def examples_for(model: nn.Module, most: int) -> int:
    """Return on how many examples, at most `most`, the model is inspected; fewer if it is large."""
    return max(8, min(most, MAX_WORK // sum(parameter.numel() for parameter in model.parameters())))


def inspect_model(model: nn.Module, batch: Split, loss: Loss, mean_deviation: Callable[[], float]) -> Inspection:
    """Inspect the model in eval mode on inputs (N, *input_shape) and their targets; a quotient as its full net.

    `mean_deviation` is that of `Loss.value_of_score`, for the training set.
    """
    named, groups = observed_layers(model), unit_groups(model)
    inputs_of = activations(model, batch[0].unsqueeze(0))
    with evaluating(model):
        outputs = model(batch[0])
        mean_loss = loss.total(outputs, batch[1], "mean")
        weights = {layer.name: layer.parameter() for layer in named}
        trainable = [weight for weight in weights.values() if weight.requires_grad]
        slopes = torch.autograd.grad(mean_loss, trainable, materialize_grads=True) if trainable else ()
    gradients = {id(weight): gradient for weight, gradient in zip(trainable, slopes, strict=True)}
    inside = hidden_layers(model)
    norms: dict[str, float | None] = {}
    layers = []
    for layer in named:
        weight, bias = layer.values()
        neurons = measures.neurons(weight.unsqueeze(0), None if bias is None else bias.unsqueeze(0))
        if isinstance(layer.module, QuotientLinear):
            neurons = neurons[:, layer.module.outputs]
        is_known = layer.name in inputs_of
        dead, saturated = _inspect_activation(*inputs_of[layer.name]) if is_known else (math.nan, math.nan)
        gradient = gradients.get(id(weights[layer.name]))
        if gradient is not None and layer.has_some_rows:
            gradient = gradient[layer.rows]
        norms[layer.name] = None if gradient is None else measures.norm(gradient.unsqueeze(0)).item()
        layers.append(Layer(layer.name, layer.name in inside, neurons, norms[layer.name], dead, saturated))
    for group in groups:
        parts = [norm for part in group.parts if (norm := norms[part.name]) is not None]
        norm = math.hypot(*parts) if parts else None
        layers.append(Layer(group.name, True, group.units().unsqueeze(0), norm, math.nan, math.nan))
    terms = loss.score_terms(outputs.detach(), batch[1]).double()
    return Inspection(layers, loss.value_of_score(terms.mean().item(), mean_deviation))


def _inspect_activation(inputs: Tensor, activation: nn.Module) -> tuple[float, float]:
    """Return the shares of dead and of saturated units, for inputs (1, units, N)."""
    slopes = measures.slopes(activation, inputs)
    return measures.dead_share(slopes).item(), measures.saturated_share(
        slopes, measures.steepest_slope(activation)
    ).item()
