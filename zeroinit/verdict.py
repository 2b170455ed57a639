"""What became of a run, in a word and the reason for it; and whether one that still trains has any hope."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit import probe
from zeroinit.alone import activations
from zeroinit.dataset.split import Data, Split
from zeroinit.layers import weight_layers
from zeroinit.loop import Trained

EXAMPLES = 256  # of the training set, the first: the batch on which a model is looked at
COMPARED = 1000, 5000  # validation and training examples among which the nearest is sought,
ENTRIES = 16_000_000  # of so many numbers at most
SATURATED = 0.4  # the share of a layer's units from which on it is called so: of biases too large for ELU, half are
FALLING = 0.003  # the share by which the loss must have fallen in the second half of a run to be falling
JUDGED = (25, 50, 100)  # the steps after which a run may be found to be hopeless


@dataclass(frozen=True)
class Layer:
    """A layer of weights as it stands; shares are of its units, NaN where no activation is behind it."""

    name: str
    neurons: Tensor  # (1, units, incoming weights and bias)
    gradient: float  # norm of the weights'
    dead: float
    saturated: float

    @property
    def copies(self) -> bool:
        return len(self.neurons[0]) > 1 and probe.distinct(self.neurons).item() == 1

    @property
    def nearly_copies(self) -> bool:
        return 1 < len(self.neurons[0]) <= probe.WIDEST and probe.pairs(self.neurons)[0].item() == 1


@dataclass(frozen=True)
class Seen:
    """What a verdict rests on: the run, its model at the end, and what there is to be learnt."""

    trained: Trained
    layers: list[Layer]  # the last is the output
    arrivals: Mapping[str, int]  # the steps of the layers' first gradients in theory
    data: Data

    @property
    def accuracy(self) -> float:
        """Of the validation set, as are the next two."""
        return self.trained.metrics[-1].values["val/accuracy"]

    @cached_property
    def prior(self) -> float:
        """That of naming the commonest class."""
        labels = self.data.val[1]
        return (labels.bincount().max() / len(labels)).item()

    @cached_property
    def learnable(self) -> float:
        """That of naming the class of the nearest training example, which knows nothing of nets."""
        return by_nearest(self.data)

    @property
    def hidden(self) -> list[Layer]:
        return self.layers[:-1]

    @cached_property
    def losses(self) -> tuple[float, float]:
        """Mean training loss of the fifth of the run about its middle, and of the last."""
        steps = len(self.trained.losses)
        fifth = max(1, steps // 5)
        middle = max(0, steps // 2 - fifth // 2)
        parts = self.trained.losses[middle : middle + fifth], self.trained.losses[-fifth:]
        return parts[0].mean().item(), parts[1].mean().item()


def look(model: nn.Module, batch: Split) -> list[Layer]:
    """The model's layers of weights as they are, on a batch of inputs (N, *input_shape) and labels (N,)."""
    named = list(weight_layers(model))
    behind = activations(model, batch[0].unsqueeze(0))  # in eval mode, as is the gradient
    model.eval()
    loss = F.cross_entropy(model(batch[0]), batch[1])
    gradients = torch.autograd.grad(loss, [layer.weight for _, layer in named], materialize_grads=True)
    model.train()
    found = []
    for (name, layer), gradient in zip(named, gradients, strict=True):
        neurons = layer.weight.detach().flatten(1)
        if layer.bias is not None and len(layer.bias) == len(neurons):
            neurons = torch.cat([neurons, layer.bias.detach().unsqueeze(1)], dim=1)
        dead = saturated = float("nan")
        if name in behind:
            inputs, activation = behind[name]
            slopes = probe.slopes(activation, inputs)
            dead = probe.idle(slopes, 0).item()
            saturated = probe.idle(slopes, probe.FLAT * probe.steepest(activation)).item()
        found.append(Layer(name, neurons.unsqueeze(0), gradient.norm().item(), dead, saturated))
    return found


def first_examples(data: Data) -> Split:
    """The batch on which models are looked at."""
    return data.prepare(data.train[0][:EXAMPLES]), data.train[1][:EXAMPLES]


@lru_cache(maxsize=4)
def by_nearest(data: Data) -> float:
    """The validation accuracy of naming the class of the nearest training example, among some of each."""
    most = ENTRIES // data.train[0][0].numel()
    few = [max(1, min(number, most)) for number in COMPARED]
    inputs, known = (
        data.prepare(split[0][:n]).flatten(1) for split, n in zip((data.val, data.train), few, strict=True)
    )
    labels, classes = data.val[1][: len(inputs)], data.train[1][: len(known)]
    nearest = torch.cat([torch.cdist(some, known).argmin(1) for some in torch.split(inputs, 100)])
    return (classes[nearest] == labels).double().mean().item()


def verdict(seen: Seen) -> tuple[str, str]:
    """The first word whose rule has a reason, and that; the rules follow in their order."""
    rules = {
        "diverged": diverged,
        "learns": learns,
        "still-waking": waiting,
        "dead-layer": dead_layer,
        "symmetric": symmetric,
        "saturated": saturated,
    }
    for word, rule in rules.items():
        if reason := rule(seen):
            return word, reason
    middle, last = seen.losses
    said = f"validation accuracy {seen.accuracy:.1%}, where naming the commonest class has {seen.prior:.1%}"
    if not any(layer.gradient for layer in seen.layers):
        return "stuck-at-prior", f"{said}; no weight has a gradient"
    if last < middle * (1 - FALLING):
        return "still-waking", f"{said}; the loss still falls, from {middle:.4g} halfway to {last:.4g}"
    if near := next((layer.name for layer in seen.hidden if layer.nearly_copies), None):
        return "symmetric", f"{said}; the neurons of {near} are copies but for rounding"
    return "stuck-at-prior", f"{said}; the loss falls no more, from {middle:.4g} halfway to {last:.4g}"


def diverged(seen: Seen) -> str | None:
    """The loss is not finite."""
    at = seen.trained.diverged_at
    return None if at is None else f"the loss is not finite at step {at}"


def learns(seen: Seen) -> str | None:
    """Of what naming the class of the nearest example gains over naming the commonest, the run has half or more."""
    if seen.accuracy - seen.prior < (seen.learnable - seen.prior) / 2 or seen.accuracy <= seen.prior:
        return None
    return (
        f"validation accuracy {seen.accuracy:.1%}, where naming the commonest class has {seen.prior:.1%} "
        f"and the nearest example {seen.learnable:.1%}"
    )


def waiting(seen: Seen) -> str | None:
    """A layer's first gradient, in theory, is in a step that the run has not come to."""
    taken = len(seen.trained.losses)
    late = next((name for name, step in seen.arrivals.items() if step > taken), None)
    return late and f"{late} has its first gradient in step {seen.arrivals[late]}, and {taken} were taken"


def dead_layer(seen: Seen) -> str | None:
    """A hidden layer no unit of which passes a gradient for any example, though it has weights."""
    dead = next((layer for layer in seen.hidden if layer.dead == 1 and layer.neurons.any()), None)
    return None if dead is None else f"no unit of {dead.name} passes a gradient for any of the examples looked at"


def symmetric(seen: Seen) -> str | None:
    """The neurons of a hidden layer are copies of one another, exactly, and what they have in common moves."""
    if not any(layer.gradient for layer in seen.layers):
        return None
    copies = next((layer for layer in seen.hidden if layer.copies), None)
    return (
        None if copies is None else f"all {copies.neurons.shape[1]} neurons of {copies.name} are copies of one another"
    )


def saturated(seen: Seen) -> str | None:
    """Two in five or more of a hidden layer's units have next to no slope for any example."""
    flat = next((layer for layer in seen.hidden if layer.saturated >= SATURATED), None)
    return (
        None if flat is None else f"{flat.saturated:.0%} of {flat.neurons.shape[1]} units of {flat.name} are saturated"
    )


def hopeless(step: int, layers: list[Layer], arrivals: Mapping[str, int]) -> bool:
    """Whether a run that has come to this step will stay as it is, as far as can be told from what it is by now.

    Not while the wave is under way. Then, where it is not finite; where no weight has a gradient; where a hidden layer
    is dead; and, at the last of JUDGED, where the neurons of one are exact copies.
    """
    if step <= max(arrivals.values(), default=0):
        return False
    if not all(torch.tensor([layer.gradient for layer in layers]).isfinite()):
        return True
    hidden = layers[:-1]
    return (
        not any(layer.gradient for layer in layers)
        or any(layer.dead == 1 for layer in hidden)
        or (step >= JUDGED[-1] and any(layer.copies for layer in hidden))
    )
