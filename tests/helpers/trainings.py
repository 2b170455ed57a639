"""Trainings as tests want them: keywords in the place of a recipe and hooks."""

from collections.abc import Sequence
from typing import Any, Literal

from zeroinit.dataset.batches import Augment
from zeroinit.dataset.data import Data
from zeroinit.loss import CrossEntropy, Loss
from zeroinit.training.clip import Clip
from zeroinit.training.cohort import Member, Recipe
from zeroinit.training.events import TrainingResult
from zeroinit.training.loop import Hooks, train

SOFTMAX = CrossEntropy(outputs=10)  # of any number of classes


def train_members(
    members: Sequence[Member],
    data: Data,
    *,
    batch_size: int,
    shuffle: bool = True,
    augment: Augment = Augment(padding=0, flip=False),  # noqa: B008
    reduction: Literal["mean", "sum"] = "mean",
    tied: bool = False,
    clip: Clip | None = None,
    loss: Loss = SOFTMAX,
    stacked: bool = False,
    **hooks: Any,
) -> list[TrainingResult]:
    """Train the members; `hooks` are the attributes of Hooks."""
    recipe = Recipe(loss, batch_size, shuffle, augment, reduction, tied, clip)
    return train(members, data, recipe, Hooks(**hooks), stacked)
