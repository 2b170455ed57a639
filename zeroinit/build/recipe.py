"""Batch size, steps of an epoch and recipe of a config's training, which depend on its data."""

import math

from zeroinit.build.loss import make_loss
from zeroinit.config.schema import RunConfig
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.training.cohort import Recipe


def batch_size_of(config: RunConfig, data: Data) -> int:
    """Return the number of examples of a batch.

    Raises:
        BadInput: The training set has fewer examples.
    """
    size, examples = config.dataset.batch_size, len(data.train[0])
    if size is None:
        return examples
    if size > examples:
        raise BadInput(
            f"dataset.batch_size={size}: the training set has {examples} examples; give 1 to {examples}, or all"
        )
    return size


def steps_per_epoch_of(config: RunConfig, data: Data) -> int:
    """Return the number of steps of an epoch, whose last batch may be smaller than the others."""
    return math.ceil(len(data.train[0]) / batch_size_of(config, data))


def recipe_of(config: RunConfig, data: Data) -> Recipe:
    """Return how the members of a training are trained."""
    return Recipe(
        loss=make_loss(config, data),
        batch_size=batch_size_of(config, data),
        shuffle=config.dataset.shuffle,
        augment=config.dataset.augment,
        reduction=config.reduction,
        tied=config.arithmetic == "tied",
        clip=config.clip,
        autocast=config.autocast,
    )
