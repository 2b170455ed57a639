"""The losses and scores of the members of a training on each split, while it runs."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from zeroinit.dataset.batches import evaluation_chunk
from zeroinit.dataset.data import Data, SplitName, mean_deviation
from zeroinit.loss import Loss
from zeroinit.training.user_metrics import UserMetrics, measure_members

Columns = dict[str, list[float | None]]  # {metric: its value of each member, None without one}
# as evaluate_members: (predict, data, losses, score_sums, batch_size, loss) -> (metrics, first steps that diverged)
Evaluate = Callable[[Callable[[Tensor], Tensor], Data, Tensor, Tensor, int, Loss], tuple[Columns, list[int | None]]]
NO_METRICS: UserMetrics = {}


def epoch_means(losses: Tensor, score_sums: Tensor, batch_size: int, data: Data, loss: Loss) -> Columns:
    """Return the loss and score of each member over an epoch's examples so far, as {name: values of K members}.

    `losses` and `score_sums` (steps of this epoch so far, K) are those of the batches. An epoch's last batch may be
    smaller than the rest.
    """
    count = min(len(losses) * batch_size, len(data.train[0]))
    sizes = torch.full_like(losses[:, 0], min(batch_size, count))
    sizes[-1] = count - (len(losses) - 1) * batch_size
    by_member = losses.t().contiguous()  # so that a member's sum does not depend on how many there are
    return {
        "train/loss": ((by_member * sizes).sum(1) / count).tolist(),
        f"train/{loss.score.name}": _scores((score_sums.sum(0) / count).tolist(), data, "train", loss),
    }


@torch.no_grad()
def evaluate(
    predict: Callable[[Tensor], Tensor],
    data: Data,
    name: SplitName,
    loss: Loss,
    user_metrics: UserMetrics = NO_METRICS,
) -> Columns:
    """Return the mean loss and the score of each member on the split `name`, such as "val/loss" and "val/accuracy".

    Those of the user come after them, such as "val/f1".

    `predict` returns outputs (K, outputs, N), in eval mode, for inputs (1, N, *input_shape).
    """
    stored, targets = getattr(data, name)
    losses = sums = torch.zeros(1, device=stored.device)
    chunk, outputs_of_chunks = evaluation_chunk(stored), []
    for part, truth in zip(torch.split(stored, chunk), torch.split(targets, chunk), strict=True):
        outputs = predict(data.to_inputs(part).unsqueeze(0))
        if user_metrics:
            outputs_of_chunks.append(outputs)
        of_each = truth.expand(len(outputs), *truth.shape)
        losses = losses + loss.per_example(outputs, of_each).sum(1)
        sums = sums + loss.score_terms(outputs, of_each).sum(1)
    means = [total / len(targets) for total in sums.tolist()]
    measured = measure_members(user_metrics, torch.cat(outputs_of_chunks, 2), targets) if user_metrics else {}
    return {
        f"{name}/loss": [total / len(targets) for total in losses.tolist()],
        f"{name}/{loss.score.name}": _scores(means, data, name, loss),
        **{f"{name}/{metric}": values for metric, values in measured.items()},
    }


def _scores(means: list[float], data: Data, name: SplitName, loss: Loss) -> list[float | None]:
    """Return the scores of the members on a split, from the means of their terms."""
    return [loss.value_of_score(mean, partial(mean_deviation, data, name)) for mean in means]


def evaluate_members(
    predict: Callable[[Tensor], Tensor],
    data: Data,
    losses: Tensor,
    score_sums: Tensor,
    batch_size: int,
    loss: Loss,
    user_metrics: UserMetrics = NO_METRICS,
) -> tuple[Columns, list[int | None]]:
    """Return each member's metrics by name, and the first step (from 1) whose loss is not finite, or None.

    `losses` and `score_sums` (steps so far, K) are those of the batches. Values are read back from the device only
    here.
    """
    step = len(losses)
    per_epoch = math.ceil(len(data.train[0]) / batch_size)
    this_epoch = slice((step - 1) // per_epoch * per_epoch, step)
    values = epoch_means(losses[this_epoch], score_sums[this_epoch], batch_size, data, loss) if step else {}
    values |= evaluate(predict, data, "val", loss, user_metrics) | evaluate(predict, data, "test", loss, user_metrics)
    finite = losses.isfinite()
    first_bad = [
        None if is_finite else int(finite[:, member].logical_not().nonzero()[0]) + 1
        for member, is_finite in enumerate(finite.all(0).tolist())
    ]
    return values, first_bad
