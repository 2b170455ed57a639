"""The losses: the loss of an example, how its prediction is scored, and the number of outputs.

Outputs are (N, outputs) of one model, or (K, outputs, N) of K models in a stack. Labels are (N,) or (K, N). Real
targets are (N, outputs) or (K, N, outputs). A loss is a number for each example, (N,) or (K, N). Its mean over a split
is reported, and its mean or sum over a batch is minimised.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit.tracker.scores import ACCURACY, R2, Score

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss.

    Attributes:
        outputs: the number of outputs that a net must have.
        score: what its predictions are scored by.
        slopes_sum_to_zero: whether the gradient of an example's loss in its outputs sums to zero over the outputs.
        is_stackable: whether the models of a stack can be trained by it.
    """

    outputs: int
    score: ClassVar[Score] = ACCURACY
    slopes_sum_to_zero: ClassVar[bool] = False
    is_stackable: ClassVar[bool] = True

    @abstractmethod
    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example."""

    @abstractmethod
    def score_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return for each example whether its class was predicted, or its squared error averaged over the outputs."""

    def total(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """Return the mean or the sum over the examples of one model, differentiable."""
        losses = self.per_example(outputs, targets)
        return losses.mean() if reduction == "mean" else losses.sum()

    def slopes(self, outputs: Tensor, targets: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Return the mean loss of each model (K,), and the gradients of mean or sum in the outputs (K, outputs, N').

        No member's gradient depends on another member. The N' - N last columns are padding, and have the gradient 0.

        Args:
            outputs: (K, outputs, N').
            targets: of K members or of one, if all have the same examples.
            reduction: mean or sum.
        """
        examples = targets.shape[1]
        leaf = outputs.detach()[..., :examples].clone().requires_grad_()
        with torch.enable_grad():
            losses = self.per_example(leaf, targets.expand(len(outputs), *targets.shape[1:]))
            # the sum's gradient is 1 for each loss, so that a loss that is not finite spreads to no other
            [slopes] = torch.autograd.grad(losses.sum(), leaf)
        if reduction == "mean":
            slopes = slopes / examples
        return losses.detach().mean(1), F.pad(slopes, (0, outputs.shape[2] - examples))

    def value_of_score(self, mean_of_terms: float, mean_deviation: Callable[[], float]) -> float:
        """Return the score of a split.

        Args:
            mean_of_terms: the mean of `score_terms` over the split.
            mean_deviation: returns the mean squared error of the training set's mean on the split.
        """
        return mean_of_terms


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross-entropy of the softmax. See `options.cross_entropy`."""

    label_smoothing: float = 0.0
    class_weights: Tensor | None = field(default=None, compare=False)
    slopes_sum_to_zero: ClassVar[bool] = True

    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, from logits and labels."""
        return F.cross_entropy(
            outputs, targets, self._weights(outputs), reduction="none", label_smoothing=self.label_smoothing
        )

    def score_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether the class of each example has the largest logit."""
        return outputs.max(1).indices == targets

    def total(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """Return the mean or the sum over the examples of one model, differentiable."""
        if self.class_weights is not None:  # torch would divide by the sum of the weights
            return super().total(outputs, targets, reduction)
        return F.cross_entropy(outputs, targets, reduction=reduction, label_smoothing=self.label_smoothing)

    def slopes(self, outputs: Tensor, targets: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
        """Return mean losses and gradients. Without smoothing and weights: softmax minus one at the label."""
        if self.label_smoothing or self.class_weights is not None:
            return super().slopes(outputs, targets, reduction)
        examples, labels = targets.shape[1], targets.expand(len(outputs), -1).unsqueeze(1)
        log_shares = outputs.detach().log_softmax(1)
        losses = -log_shares.gather(1, labels).mean((1, 2))
        slopes = log_shares.exp_()
        if slopes.is_cuda:  # where a deterministic scatter sorts its indices
            subtract_labels(slopes, labels)
        else:
            slopes.scatter_add_(1, labels, slopes.new_full((1, 1, 1), -1.0).expand_as(labels))
        if reduction == "mean":
            slopes /= examples
        slopes[..., examples:] = 0
        return losses, slopes

    def _weights(self, outputs: Tensor) -> Tensor | None:
        """Return the class weights in the dtype of the outputs."""
        return None if self.class_weights is None else self.class_weights.to(outputs.dtype)


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy of a sigmoid. See `options.binary_cross_entropy`."""

    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each example, from one logit and the label 0 or 1."""
        logits = outputs[:, 0]
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")

    def score_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether each example has the predicted class: 1 if the sigmoid is above one half."""
        return (outputs[:, 0] > 0) == targets


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error, averaged over the outputs. See `options.mean_squared_error`."""

    score: ClassVar[Score] = R2

    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error of each example, averaged over the outputs."""
        return squared_errors(outputs, targets)

    def score_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the squared error of each example, averaged over the outputs."""
        return squared_errors(outputs, targets)

    def value_of_score(self, mean_of_terms: float, mean_deviation: Callable[[], float]) -> float:
        """Return R²: 1 minus the squared error divided by that of the training set's mean."""
        return 1 - mean_of_terms / mean_deviation()


@dataclass(frozen=True)
class FunctionLoss(Loss):
    """A function of the user for a classification. See `options.from_function`."""

    function: Callable[[Tensor, Tensor], Tensor]
    is_stackable: ClassVar[bool] = False

    def per_example(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the function returns, for outputs (N, outputs); for K models, of each in turn."""
        targets = targets.to(outputs.dtype) if targets.is_floating_point() else targets
        if outputs.dim() == 2:
            return self.function(outputs, targets)
        pairs = zip(outputs.transpose(1, 2), targets.expand(len(outputs), *targets.shape[1:]), strict=True)
        return torch.stack([self.function(*pair) for pair in pairs])

    def score_terms(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return whether the class of each example has the largest output."""
        return outputs.max(1).indices == targets


@dataclass(frozen=True)
class RegressionFunctionLoss(FunctionLoss):
    """A function of the user for a regression. See `options.from_function`."""

    score: ClassVar[Score] = R2

    score_terms = MeanSquaredError.score_terms
    value_of_score = MeanSquaredError.value_of_score


def squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the squared error of each example, averaged over the outputs; see above for the shapes."""
    return (outputs - targets.movedim(-1, 1).to(outputs.dtype)).square().mean(1)


def subtract_labels(shares: Tensor, truth: Tensor) -> None:
    """Subtract 1 at the label of each example, in place, with the bits of scatter_add_.

    Args:
        shares: (K, classes, N or more); columns after the first N are padding.
        truth: labels (K, 1, N).
    """
    classes = torch.arange(shares.shape[1], device=shares.device).view(1, -1, 1)
    shares[..., : truth.shape[2]] -= (truth == classes).to(shares.dtype)
