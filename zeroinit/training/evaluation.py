"""The losses and accuracies of the members of a training on each split, while it runs."""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroinit.dataset.batches import evaluation_chunk
from zeroinit.dataset.data import Data

# (predict, data, losses, hits, batch_size) -> (metrics, first steps whose loss is not finite), as evaluate_members
Evaluate = Callable[
    [Callable[[Tensor], Tensor], Data, Tensor, Tensor, int], tuple[dict[str, list[float]], list[int | None]]
]


def epoch_means(losses: Tensor, hits: Tensor, batch_size: int, examples: int) -> dict[str, list[float]]:
    """Return the loss and accuracy of each member over an epoch's examples so far, as {name: values of K members}.

    `losses` and `hits` (steps of this epoch so far, K) are those of the batches. An epoch's last batch may be
    smaller than the rest.
    """
    count = min(len(losses) * batch_size, examples)
    sizes = torch.full_like(losses[:, 0], min(batch_size, count))
    sizes[-1] = count - (len(losses) - 1) * batch_size
    by_member = losses.t().contiguous()  # so that a member's sum does not depend on how many there are
    return {
        "train/loss": ((by_member * sizes).sum(1) / count).tolist(),
        "train/accuracy": (hits.sum(0) / count).tolist(),
    }


@torch.no_grad()
def evaluate(predict: Callable[[Tensor], Tensor], data: Data, name: Literal["val", "test"]) -> dict[str, list[float]]:
    """Return the mean cross-entropy and accuracy of each member on the split `name`: "<name>/loss", "<name>/accuracy".

    `predict` returns logits (K, classes, N), in eval mode, for inputs (1, N, *input_shape).
    """
    stored, labels = getattr(data, name)
    loss = hits = torch.zeros(1, device=stored.device)
    chunk = evaluation_chunk(stored)
    for part, truth in zip(torch.split(stored, chunk), torch.split(labels, chunk), strict=True):
        logits = predict(data.to_inputs(part).unsqueeze(0))
        loss = loss + F.cross_entropy(logits, truth.expand(len(logits), -1), reduction="none").sum(1)
        hits = hits + (logits.max(1).indices == truth).sum(1)
    return {
        f"{name}/loss": [total / len(labels) for total in loss.tolist()],
        f"{name}/accuracy": [total / len(labels) for total in hits.tolist()],
    }


def evaluate_members(
    predict: Callable[[Tensor], Tensor], data: Data, losses: Tensor, hits: Tensor, batch_size: int
) -> tuple[dict[str, list[float]], list[int | None]]:
    """Return each member's metrics by name, and the first step (from 1) whose loss is not finite, or None.

    `losses` and `hits` (steps so far, K) are those of the batches. Values are read back from the device here alone.
    """
    examples, step = len(data.train[0]), len(losses)
    per_epoch = math.ceil(examples / batch_size)
    this_epoch = slice((step - 1) // per_epoch * per_epoch, step)
    values = epoch_means(losses[this_epoch], hits[this_epoch], batch_size, examples) if step else {}
    values |= evaluate(predict, data, "val") | evaluate(predict, data, "test")
    finite = losses.isfinite()
    first_bad = [
        None if is_finite else int(finite[:, member].logical_not().nonzero()[0]) + 1
        for member, is_finite in enumerate(finite.all(0).tolist())
    ]
    return values, first_bad
