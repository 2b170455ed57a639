"""The outcome of a run, as a word and its reason; and whether a run that still trains is hopeless.

The rule of the words, which looks at the run alone:

- `diverged`: the loss is not finite.
- `learned`: validation accuracy is at least LEARNED_SHARE of the way from the majority-class baseline to the
  1-nearest-neighbour baseline, and two standard errors above the majority class.
- `partly-learned`: validation accuracy is below that, but above the majority class: by more than two standard errors,
  or by half of that way (and one standard error; the four points of XOR are too few for two). The accuracy decides, and
  nothing else. A visible cause stands in the reason: the first of the rules below that holds.
- A run at the majority class has the word of the first cause that holds: `still-waking` (a layer's first gradient is
  still to come, or hardly any step was taken), `dead-layer`, `stuck-at-prior` (no weight has a gradient), `symmetric`,
  `saturated`, `still-waking` (the loss still falls), `symmetric` (but for rounding), else `stuck-at-prior`.

An untrained net can be above the majority class by chance: the accuracy says nothing of how it came about.
Runs that were stored before `learns` was split keep that word. It meant half of the way or more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroinit.dataset.data import Data, Split, spread
from zeroinit.layers import hidden, weight_layers
from zeroinit.probes import measures
from zeroinit.training.events import TrainingResult
from zeroinit.training.quotient import QuotientLinear
from zeroinit.training.single import activations, evaluating

EXAMPLES = 256  # of the training set: the batch on which a model is looked at,
WORK = 1 << 28  # of so many examples x parameters, in which memory and time are small beside a step of training
COMPARED = 1000, 5000  # validation and training examples among which the nearest is sought,
ENTRIES = 16_000_000  # of so many numbers at most
SATURATED = 0.4  # the share of a layer's units from which on it is called so: of biases too large for ELU, half are
FEWEST = 5  # steps, before which nothing is said of how the loss went
FALLING = 0.003  # the share by which the loss must have fallen in the second half of a run to be falling
LEARNED_SHARE = 0.9  # of the way from the majority-class to the 1-nearest-neighbour baseline, for `learned`
JUDGED = (25, 50, 100)  # the steps after which a run may be found to be hopeless


@dataclass(frozen=True)
class Layer:
    """A layer of weights as it stands; shares are of its units, NaN where no activation is behind it."""

    name: str
    hidden: bool  # and a neuron for each row of its weights
    neurons: Tensor  # (1, units, incoming weights and bias)
    gradient: float | None  # norm of the weights'; none where they are frozen
    dead: float
    saturated: float

    @property
    def copies(self) -> bool:
        return self.hidden and len(self.neurons[0]) > 1 and measures.distinct(self.neurons).item() == 1

    @property
    def nearly_copies(self) -> bool:
        few = 1 < len(self.neurons[0]) <= measures.WIDEST
        return self.hidden and few and measures.clusters(measures.gram(self.neurons[0])).item() == 1


@dataclass(frozen=True)
class Looked:
    """A model as it stands: its layers of weights, and its accuracy on the batch on which it was looked at."""

    layers: list[Layer]
    accuracy: float


def examples_of(model: nn.Module, most: int) -> int:
    """On how many examples, of `most`, the model is looked at; of large ones fewer."""
    return max(8, min(most, WORK // sum(parameter.numel() for parameter in model.parameters())))


def look(model: nn.Module, batch: Split) -> Looked:
    """The model on a batch of inputs (N, *input_shape) and labels (N,), in eval mode; a quotient as its full net."""
    named = list(weight_layers(model))
    behind = activations(model, batch[0].unsqueeze(0))
    with evaluating(model):
        logits = model(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        weights = [layer.weight for _, layer in named]
        asked = [weight for weight in weights if weight.requires_grad]
        found = torch.autograd.grad(loss, asked, materialize_grads=True) if asked else ()
    gradients = {id(weight): gradient for weight, gradient in zip(asked, found, strict=True)}
    layers, inside = [], hidden(model)
    for name, layer in named:
        own = None if layer.bias is None else layer.bias.detach().unsqueeze(0)
        neurons = measures.neurons(layer.weight.detach().unsqueeze(0), own)
        if isinstance(layer, QuotientLinear):
            neurons = neurons[:, layer.outputs]
        dead = saturated = math.nan
        if name in behind:
            inputs, activation = behind[name]
            slopes = measures.slopes(activation, inputs)
            dead = measures.dead(slopes).item()
            saturated = measures.saturated(slopes, measures.steepest(activation)).item()
        gradient = gradients.get(id(layer.weight))
        size = None if gradient is None else measures.norm(gradient.unsqueeze(0)).item()
        layers.append(Layer(name, name in inside, neurons, size, dead, saturated))
    return Looked(layers, (logits.argmax(1) == batch[1]).double().mean().item())


@dataclass(frozen=True)
class Learnable:
    """What there is to be learnt: accuracies on a validation set of so many examples."""

    prior: float  # of naming the commonest class
    nearest: float  # of naming the class of the nearest training example, which knows nothing of nets
    examples: int

    @property
    def error(self) -> float:
        """The standard error of an accuracy at the prior."""
        return math.sqrt(self.prior * (1 - self.prior) / self.examples)

    def beyond_prior(self, accuracy: float) -> bool:
        """Whether it is above the prior by more than two standard errors."""
        return accuracy > self.prior + 2 * self.error

    def is_halfway(self, accuracy: float) -> bool:
        """Whether it is half of the way from the prior to the nearest example's or more, and a standard error of it."""
        return accuracy >= max((self.prior + self.nearest) / 2, self.prior + self.error)

    def is_learned(self, accuracy: float) -> bool:
        """Whether it is LEARNED_SHARE of that way or more, and at least two standard errors above the prior."""
        return accuracy >= self.prior + max(LEARNED_SHARE * (self.nearest - self.prior), 2 * self.error)

    def is_above_prior(self, accuracy: float) -> bool:
        """Whether it is above the prior, by two standard errors or halfway."""
        return self.beyond_prior(accuracy) or self.is_halfway(accuracy)


@lru_cache(maxsize=4)
def learnable(data: Data) -> Learnable:
    """Among some of the examples of each set, as many as COMPARED and ENTRIES allow; the same in every dtype."""
    data = replace(data, dtype=None)
    most = max(1, ENTRIES // data.train[0][0].numel())
    (stored, labels), (known, classes) = (
        spread(split, min(few, most)) for split, few in zip((data.val, data.train), COMPARED, strict=True)
    )
    known = data.prepare(known).flatten(1)
    nearest = torch.cat(
        [torch.cdist(data.prepare(some).flatten(1), known).argmin(1) for some in torch.split(stored, 100)]
    )
    of_all = data.val[1]
    prior = of_all.bincount().max().item() / len(of_all)
    return Learnable(prior, (classes[nearest] == labels).double().mean().item(), len(of_all))


@dataclass(frozen=True)
class Seen:
    """What a verdict rests on: the run, its model at the end, and what there is to be learnt."""

    trained: TrainingResult
    layers: list[Layer]  # the last is the output; none where the model cannot be looked at
    arrivals: Mapping[str, int]  # the steps of the layers' first gradients in theory
    learnable: Learnable

    @property
    def taken(self) -> int:
        return len(self.trained.losses)

    @property
    def accuracy(self) -> float:
        return self.trained.metrics[-1].values["val/accuracy"]

    @property
    def still(self) -> bool:
        """No weight has a gradient."""
        return bool(self.layers) and without_any(self.layers)

    @cached_property
    def losses(self) -> tuple[float, float]:
        """Mean training loss of the fifth of the run about its middle, and of the last."""
        fifth = max(1, self.taken // 5)
        middle = self.taken // 2 - fifth // 2
        parts = self.trained.losses[middle : middle + fifth], self.trained.losses[-fifth:]
        return parts[0].mean().item(), parts[1].mean().item()


def verdict(seen: Seen) -> tuple[str, str]:
    """Return the word of the run and its reason, by the rules at the top of this file."""
    if reason := diverged(seen):
        return "diverged", reason
    if seen.learnable.is_learned(seen.accuracy):
        return "learned", where(seen)
    causes = (
        ("still-waking", late_layer),
        ("still-waking", hardly_begun),
        ("dead-layer", dead_layer),
        ("stuck-at-prior", without_gradient),
        ("symmetric", symmetric),
        ("saturated", saturated),
        ("still-waking", falling),
        ("symmetric", nearly_symmetric),
    )
    holding = ((word, cause) for word, rule in causes if (cause := rule(seen)))
    word, cause = next(holding, ("stuck-at-prior", course(seen)))
    if seen.learnable.is_above_prior(seen.accuracy):
        word = "partly-learned"
    return word, f"{where(seen)}; {cause}"


def without_any(layers: list[Layer]) -> bool:
    """Whether no weight has a gradient, and none is frozen: biases alone may be meant to train."""
    return all(layer.gradient == 0 for layer in layers)


def where(seen: Seen) -> str:
    prior, nearest = seen.learnable.prior, seen.learnable.nearest
    return f"validation accuracy {seen.accuracy:.1%}, majority class {prior:.1%}, 1-nearest neighbour {nearest:.1%}"


def course(seen: Seen) -> str:
    return "the loss went from {:.4g} halfway to {:.4g}".format(*seen.losses)


def diverged(seen: Seen) -> str | None:
    """The loss is not finite."""
    at = seen.trained.diverged_at
    return None if at is None else f"the loss is not finite at step {at}"


def late_layer(seen: Seen) -> str | None:
    """A layer's first gradient, in theory, is in a step that the run has not come to."""
    late = next((name for name, step in seen.arrivals.items() if step > seen.taken), None)
    return late and f"{late} has its first gradient in step {seen.arrivals[late]}, and {seen.taken} were taken"


def hardly_begun(seen: Seen) -> str | None:
    """Fewer than FEWEST steps were taken, and some weight has a gradient."""
    return (
        f"only {seen.taken} {'step was' if seen.taken == 1 else 'steps were'} taken"
        if seen.taken < FEWEST and not seen.still
        else None
    )


def dead_layer(seen: Seen) -> str | None:
    """A hidden layer no unit of which passes a gradient for any example, though it has weights."""
    dead = next((layer for layer in seen.layers if is_dead(layer)), None)
    return None if dead is None else f"no unit of {dead.name} passes a gradient for any of the examples looked at"


def is_dead(layer: Layer) -> bool:
    return layer.hidden and layer.dead == 1 and bool(layer.neurons.any())


def without_gradient(seen: Seen) -> str | None:
    """No weight has a gradient."""
    return "no weight has a gradient" if seen.still else None


def symmetric(seen: Seen) -> str | None:
    """The neurons of a hidden layer are exact copies of one another."""
    copies = next((layer for layer in seen.layers if layer.copies), None)
    return f"all {len(copies.neurons[0])} neurons of {copies.name} are copies of one another" if copies else None


def saturated(seen: Seen) -> str | None:
    """So many of a hidden layer's units that it is called SATURATED have next to no slope for any example."""
    flat = next((layer for layer in seen.layers if layer.hidden and layer.saturated >= SATURATED), None)
    return f"{flat.saturated:.0%} of {len(flat.neurons[0])} units of {flat.name} are saturated" if flat else None


def falling(seen: Seen) -> str | None:
    """The loss has fallen by FALLING or more in the second half of the run."""
    middle, last = seen.losses
    return course(seen) if last < middle * (1 - FALLING) else None


def nearly_symmetric(seen: Seen) -> str | None:
    """The neurons of a hidden layer are one cluster (probe.clusters): copies but for rounding."""
    near = next((layer for layer in seen.layers if layer.nearly_copies), None)
    return None if near is None else f"all neurons of {near.name} are copies of one another but for rounding"


def hopeless(step: int, looked: Looked, arrivals: Mapping[str, int], chain: bool, learnable: Learnable) -> bool:
    """Whether a run that has come to this step will stay as it is, as far as can be told from what it is by now.

    Not while the wave is under way, nor if it is halfway to the nearest example's accuracy. Then, where it is not
    finite, or no weight has a gradient; and in a chain of layers, past which nothing goes: where a hidden layer is dead
    and, at the last of JUDGED, where the neurons of one are exact copies.
    """
    layers = looked.layers
    if not all(math.isfinite(layer.gradient or 0) for layer in layers):
        return True
    if step <= max(arrivals.values(), default=0) or learnable.is_halfway(looked.accuracy):
        return False
    if without_any(layers):
        return True
    return chain and any(is_dead(layer) or (step >= JUDGED[-1] and layer.copies) for layer in layers)
