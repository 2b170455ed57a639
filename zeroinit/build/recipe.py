"""Batch size, number of steps and recipe of a config's training. They are resolved here only."""

import math

from zeroinit.config.check import Values
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.training.cohort import Recipe


def batch_size_of(values: Values, data: Data) -> int:
    """Return the number of examples of a batch.

    Raises:
        BadInput: The training set has fewer examples.
    """
    size, examples = values["dataset"]["batch_size"], len(data.train[0])
    if size == "all":
        return examples
    if size > examples:
        raise BadInput(
            f"dataset.batch_size={size}: the training set has {examples} examples; give 1 to {examples}, or all"
        )
    return int(size)


def steps_per_epoch_of(values: Values, data: Data) -> int:
    """Return the number of steps of an epoch, whose last batch may be smaller than the others."""
    return math.ceil(len(data.train[0]) / batch_size_of(values, data))


def steps_of(values: Values, steps_per_epoch: int) -> int:
    """Return the number of steps of a run, from `steps` or `epochs`."""
    return int(values["steps"] or values["epochs"] * steps_per_epoch)


def recipe_of(values: Values, data: Data) -> Recipe:
    """Return how the members of a training are trained."""
    return Recipe(
        batch_size=batch_size_of(values, data),
        shuffle=values["dataset"]["shuffle"],
        augment=Augment(**values["dataset"]["augment"]),
        reduction=values["loss"]["reduction"],
        tied=values["arithmetic"] == "tied",
    )
