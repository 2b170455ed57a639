"""The options of the group `loss`: each function fits a loss to the data, or refuses them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.loss.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    FunctionLoss,
    Loss,
    MeanSquaredError,
    RegressionFunctionLoss,
)
from zeroinit.user_code import explain_errors


def cross_entropy(data: Data, label_smoothing: float, class_weights: Sequence[float] | str | None) -> Loss:
    """Return the cross-entropy of the softmax, with an output for each class.

    Args:
        data: with classes.
        label_smoothing: the share of each target that is spread evenly over the classes (Szegedy et al. 2016).
        class_weights: the factor on the loss of an example, by its class; `balanced`: N / (classes x examples of the
            class), over the training set. A mean divides by the number of examples, not by their weights.

    Raises:
        BadInput: The data have no classes, or a key has no such value.
    """
    classes = _require_classes("cross_entropy", data)
    is_number = isinstance(label_smoothing, int | float) and not isinstance(label_smoothing, bool)
    if not is_number or not 0 <= label_smoothing < 1:
        raise BadInput(f"loss.label_smoothing={label_smoothing}: give a number from 0, and below 1")
    if class_weights is None:
        return CrossEntropy(classes, float(label_smoothing))
    labels = data.train[1]
    if class_weights == "balanced":
        counts = labels.bincount(minlength=classes)
        if not counts.all():
            raise BadInput(
                f"loss.class_weights=balanced: class {int(counts.argmin())} has no training example; give a list"
            )
        return CrossEntropy(classes, float(label_smoothing), len(labels) / (classes * counts.double()))
    is_list = isinstance(class_weights, Sequence) and not isinstance(class_weights, str)
    weights: list[Any] = list(class_weights) if is_list else []
    are_numbers = all(type(weight) in (int, float) and 0 <= weight < float("inf") for weight in weights)
    if len(weights) != classes or not are_numbers or not any(weights):
        raise BadInput(
            f"loss.class_weights={class_weights}: give balanced, null, or a list of {classes} numbers, 0 or greater, "
            "one for each class"
        )
    tensor = torch.tensor(weights, dtype=torch.float64, device=labels.device)
    return CrossEntropy(classes, float(label_smoothing), tensor)


def binary_cross_entropy(data: Data) -> Loss:
    """Return the cross-entropy of one sigmoid output, the probability of class 1.

    Raises:
        BadInput: The data have another number of classes than two.
    """
    classes = _require_classes("bce", data)
    if classes != 2:
        raise BadInput(f"loss=bce is for two classes, and the data have {classes}; give loss=cross_entropy")
    return BinaryCrossEntropy(1)


def mean_squared_error(data: Data) -> Loss:
    """Return the squared error, averaged over the real targets of an example.

    Raises:
        BadInput: The data have classes.
    """
    return MeanSquaredError(_require_targets("mse", data))


def from_function(data: Data, function: Callable[[Tensor, Tensor], Tensor], task: str) -> Loss:
    """Return the loss that a function computes: (outputs (N, outputs), targets) -> a loss for each example (N,).

    Args:
        data: what it is tried on.
        function: gets labels (N,), or real targets (N, outputs).
        task: `classification`, with an output for each class, or `regression`, with an output for each target.

    Raises:
        BadInput: The task does not fit the data, or the function does not return a loss for each example.
    """
    if task not in ("classification", "regression"):
        raise BadInput(f"loss.task={task}: give classification or regression")
    loss: FunctionLoss
    if task == "regression":
        loss = RegressionFunctionLoss(_require_targets("function loss.task=regression", data), function)
    else:
        loss = FunctionLoss(_require_classes("function loss.task=classification", data), function)
    _try_function(loss, data.train[1][:2])
    return loss


def _try_function(loss: FunctionLoss, targets: Tensor) -> None:
    """Raise BadInput unless the function returns a differentiable loss for each example."""
    outputs = torch.zeros(len(targets), loss.outputs, device=targets.device, requires_grad=True)
    with explain_errors("loss.function, whose further arguments are keys such as +loss.function.gamma=2"):
        losses: Any = loss.function(outputs, targets)
    if not isinstance(losses, Tensor) or losses.shape != (len(targets),) or not losses.requires_grad:
        shape = f" of shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else ""
        raise BadInput(
            f"loss.function: for {len(targets)} examples it returns a {type(losses).__name__}{shape}; return a loss "
            f"for each example, a tensor of shape ({len(targets)},) with a gradient, as reduction='none' gives"
        )


def _require_classes(option: str, data: Data) -> int:
    """Return the number of classes. Raise BadInput for real targets."""
    if data.num_classes is None:
        raise BadInput(f"loss={option} is for classes, and the data have real targets; give loss=mse")
    return data.num_classes


def _require_targets(option: str, data: Data) -> int:
    """Return the number of real targets. Raise BadInput for classes."""
    if data.num_classes is not None:
        also = " or loss=bce" if data.num_classes == 2 else ""
        raise BadInput(
            f"loss={option} is for real targets, and the data have {data.num_classes} classes; give "
            f"loss=cross_entropy{also}"
        )
    return data.train[1].shape[1]
