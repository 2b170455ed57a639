"""The outcome of a run, as a word and its reason; and whether a run that still trains is hopeless.

The rule of the words, which looks at the run alone:

- `diverged`: the loss is not finite.
- `learned`: the validation score is at least LEARNED_SHARE of the way from the baseline to the reference, and two
  standard errors above the baseline. For classes, the score is the accuracy, the baseline is the majority class, and
  the reference is the 1-nearest neighbour. For real targets, these are R², the mean predictor and linear regression.
- `partly-learned`: the validation score is below that, but above the baseline: by more than two standard errors,
  or by half of that way (and one standard error; the four points of XOR are too few for two). The score decides, and
  nothing else. A visible cause stands in the reason: the first of the rules below that holds.
- A run at the baseline has the word of the first cause that holds: `still-waking` (a layer's first gradient is
  still to come, or hardly any step was taken), `dead-layer`, `stuck-at-prior` (no weight has a gradient), `symmetric`,
  `saturated`, `still-waking` (the loss still falls), `symmetric` (but for rounding), else `stuck-at-prior`.

An untrained net can be above the baseline by chance: the score says nothing of how it came about.
Runs that were stored before `learns` was split keep that word. It meant half of the way or more.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit.dataset.data import Data, Split, evenly_spaced
from zeroinit.probes.inspection import Inspection, Layer
from zeroinit.tracker.scores import R2, Score
from zeroinit.training.events import TrainingResult

MAX_COMPARED = 1000, 5000  # validation examples, and training examples among which the nearest is sought
MAX_ENTRIES = 16_000_000  # numbers in them
SATURATED_SHARE = 0.4  # of a layer's units: with biases too large for ELU, half are saturated
MIN_STEPS = 5  # fewer say nothing about how the loss went
FALLING_SHARE = 0.003  # by which the loss must fall in the second half of a run to be falling
LEARNED_SHARE = 0.9  # of the way from the majority-class to the 1-nearest-neighbour baseline, for `learned`
EARLY_STOP_STEPS = (25, 50, 100)  # the steps after which a run may be found to be hopeless


class Outcome(StrEnum):
    """What came of a run, by the rule above."""

    DIVERGED = "diverged"
    LEARNED = "learned"
    PARTLY_LEARNED = "partly-learned"
    STILL_WAKING = "still-waking"
    DEAD_LAYER = "dead-layer"
    STUCK_AT_PRIOR = "stuck-at-prior"
    SYMMETRIC = "symmetric"
    SATURATED = "saturated"


@dataclass(frozen=True)
class Baselines:
    """The scores on the validation set that a run is judged by.

    Attributes:
        score: the score.
        prior: the score of the predictor that ignores the input.
        reference: the score of the predictor without a network.
        error: the standard error of a score at the prior.
    """

    score: Score
    prior: float
    reference: float
    error: float

    def is_halfway(self, value: float) -> bool:
        """Return whether it is at least halfway from prior to reference, and a standard error above the prior."""
        return value >= max((self.prior + self.reference) / 2, self.prior + self.error)

    def is_learned(self, value: float) -> bool:
        """Return whether it is LEARNED_SHARE of that way or more, and two standard errors above the prior."""
        return value >= self.prior + max(LEARNED_SHARE * (self.reference - self.prior), 2 * self.error)

    def is_above_prior(self, value: float) -> bool:
        """Return whether it is above the prior by more than two standard errors, or halfway."""
        return value > self.prior + 2 * self.error or self.is_halfway(value)


@lru_cache(maxsize=4)
def find_baselines(data: Data, score: Score) -> Baselines:
    """Return the baselines of the data, from MAX_COMPARED examples or MAX_ENTRIES numbers; the same in every dtype."""
    data = replace(data, dtype=None)
    most = max(1, MAX_ENTRIES // data.train[0][0].numel())
    val, train = (
        evenly_spaced(split, min(few, most)) for split, few in zip((data.val, data.train), MAX_COMPARED, strict=True)
    )
    inputs, known = (_as_rows(data, stored) for stored, _ in (val, train))
    if score == R2:
        return _find_regression_baselines((inputs, val[1]), (known, train[1]), data)
    nearest = torch.cat([torch.cdist(some, known).argmin(1) for some in torch.split(inputs, 100)])
    labels = data.val[1]
    prior = labels.bincount().max().item() / len(labels)
    reference = (train[1][nearest] == val[1]).double().mean().item()
    return Baselines(score, prior, reference, math.sqrt(prior * (1 - prior) / len(labels)))


def _find_regression_baselines(val: Split, train: Split, data: Data) -> Baselines:
    """Return the R² of the training set's mean, and of linear regression by least squares with an intercept."""

    def with_intercept(inputs: Tensor) -> Tensor:
        return F.pad(inputs.double(), (0, 1), value=1.0)

    # the solution of the least norm, where several fit
    weights = torch.linalg.lstsq(with_intercept(train[0]).cpu(), train[1].double().cpu(), driver="gelsy").solution
    residuals = val[1].double().cpu() - with_intercept(val[0]).cpu() @ weights
    mean = data.train[1].double().mean(0)
    compared, of_each = ((targets.double() - mean).square().mean(1) for targets in (val[1], data.val[1]))
    error = (of_each.std() / math.sqrt(len(of_each)) / of_each.mean()).item() if len(of_each) > 1 else 0.0
    return Baselines(R2, 0.0, 1 - residuals.square().mean().item() / compared.mean().item(), error)


def _as_rows(data: Data, stored: Tensor) -> Tensor:
    """Return the inputs as rows of real numbers (N, numbers); tokens are taken as numbers."""
    rows = data.to_inputs(stored).flatten(1)
    return rows if rows.is_floating_point() else rows.float()


@dataclass(frozen=True)
class Evidence:
    """What an outcome rests on.

    Attributes:
        result: the losses and metrics of the run.
        layers: the layers of its final model, the output last; empty if the model cannot be inspected.
        first_gradients: {layer: step of its first gradient in exact arithmetic}.
    """

    result: TrainingResult
    layers: list[Layer]
    first_gradients: Mapping[str, int]
    baselines: Baselines

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return len(self.result.losses)

    @property
    def score(self) -> float:
        """The last validation score."""
        return self.result.metrics[-1].values[self.baselines.score.val]

    @property
    def has_no_gradient(self) -> bool:
        """Whether no weight has a gradient."""
        return bool(self.layers) and have_no_gradient(self.layers)

    @cached_property
    def losses(self) -> tuple[float, float]:
        """Mean training loss of the fifth of the run about its middle, and of the last fifth."""
        fifth = max(1, self.steps // 5)
        middle = self.steps // 2 - fifth // 2
        parts = self.result.losses[middle : middle + fifth], self.result.losses[-fifth:]
        return parts[0].mean().item(), parts[1].mean().item()


def judge(evidence: Evidence) -> tuple[Outcome, str]:
    """Return the outcome of a run and its reason, by the rule at the top of this file."""
    step = evidence.result.diverged_at
    if step is not None:
        return Outcome.DIVERGED, f"the loss is not finite at step {step}"
    scores = _describe_scores(evidence)
    if evidence.baselines.is_learned(evidence.score):
        return Outcome.LEARNED, scores
    causes = ((outcome, cause) for outcome, find in CAUSES if (cause := find(evidence)))
    outcome, cause = next(causes, (Outcome.STUCK_AT_PRIOR, _describe_losses(evidence)))
    if evidence.baselines.is_above_prior(evidence.score):
        outcome = Outcome.PARTLY_LEARNED
    return outcome, f"{scores}; {cause}"


def have_no_gradient(layers: list[Layer]) -> bool:
    """Return whether no weight has a gradient, and none is frozen: biases alone may be meant to train."""
    return all(layer.gradient == 0 for layer in layers)


def _describe_scores(evidence: Evidence) -> str:
    baselines = evidence.baselines
    score = baselines.score
    ours = f"validation {score.label} {evidence.score:z.1%}"
    return f"{ours}, {score.baseline} {baselines.prior:z.1%}, {score.reference} {baselines.reference:z.1%}"


def _describe_losses(evidence: Evidence) -> str:
    return "the loss went from {:.4g} halfway to {:.4g}".format(*evidence.losses)


def _find_late_layer(evidence: Evidence) -> str | None:
    """A layer's first gradient, in exact arithmetic, is in a step that the run did not reach."""
    first, steps = evidence.first_gradients, evidence.steps
    late = next((name for name, step in first.items() if step > steps), None)
    return late and f"{late} has its first gradient in step {first[late]}, and {steps} were taken"


def _find_too_few_steps(evidence: Evidence) -> str | None:
    """Fewer than MIN_STEPS steps were taken, and some weight has a gradient."""
    if evidence.steps >= MIN_STEPS or evidence.has_no_gradient:
        return None
    return f"only {evidence.steps} {'step was' if evidence.steps == 1 else 'steps were'} taken"


def _find_dead_layer(evidence: Evidence) -> str | None:
    """A hidden layer has weights, and no unit of it passes a gradient for any example."""
    dead = next((layer for layer in evidence.layers if layer.is_dead), None)
    return None if dead is None else f"no unit of {dead.name} passes a gradient for any inspected example"


def _find_no_gradient(evidence: Evidence) -> str | None:
    """No weight has a gradient."""
    return "no weight has a gradient" if evidence.has_no_gradient else None


def _find_copies(evidence: Evidence) -> str | None:
    """The neurons of a hidden layer are exact copies of one another."""
    copies = next((layer for layer in evidence.layers if layer.are_copies), None)
    return (
        None if copies is None else f"all {len(copies.neurons[0])} neurons of {copies.name} are copies of one another"
    )


def _find_saturated_layer(evidence: Evidence) -> str | None:
    """SATURATED_SHARE of a hidden layer's units or more have next to no slope for any example."""
    flat = next((layer for layer in evidence.layers if layer.hidden and layer.saturated >= SATURATED_SHARE), None)
    return (
        None if flat is None else f"{flat.saturated:.0%} of {len(flat.neurons[0])} units of {flat.name} are saturated"
    )


def _find_falling_loss(evidence: Evidence) -> str | None:
    """The loss fell by FALLING_SHARE or more in the second half of the run."""
    middle, last = evidence.losses
    return _describe_losses(evidence) if last < middle * (1 - FALLING_SHARE) else None


def _find_near_copies(evidence: Evidence) -> str | None:
    """The neurons of a hidden layer are copies but for rounding."""
    near = next((layer for layer in evidence.layers if layer.are_nearly_copies), None)
    return None if near is None else f"all neurons of {near.name} are copies of one another but for rounding"


CAUSES: tuple[tuple[Outcome, Callable[[Evidence], str | None]], ...] = (  # the first that holds counts
    (Outcome.STILL_WAKING, _find_late_layer),
    (Outcome.STILL_WAKING, _find_too_few_steps),
    (Outcome.DEAD_LAYER, _find_dead_layer),
    (Outcome.STUCK_AT_PRIOR, _find_no_gradient),
    (Outcome.SYMMETRIC, _find_copies),
    (Outcome.SATURATED, _find_saturated_layer),
    (Outcome.STILL_WAKING, _find_falling_loss),
    (Outcome.SYMMETRIC, _find_near_copies),
)


def is_hopeless(
    step: int, inspection: Inspection, first_gradients: Mapping[str, int], is_chain: bool, baselines: Baselines
) -> bool:
    """Return whether a run that has reached this step will stay as it is, as far as the evidence shows.

    A run is not hopeless before the last predicted first gradient, nor if it is halfway to the reference.
    Otherwise it is hopeless if it is not finite, or no weight has a gradient. In a chain of layers, it is hopeless if a
    hidden layer is dead or, at the last of EARLY_STOP_STEPS, the neurons of one are exact copies.
    """
    layers = inspection.layers
    if not all(math.isfinite(layer.gradient or 0) for layer in layers):
        return True
    if step <= max(first_gradients.values(), default=0) or baselines.is_halfway(inspection.score):
        return False
    if have_no_gradient(layers):
        return True
    return is_chain and any(layer.is_dead or (step >= EARLY_STOP_STEPS[-1] and layer.are_copies) for layer in layers)
