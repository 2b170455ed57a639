"""Trainings as tests want them: keywords in the place of a recipe and hooks."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from torch import Tensor, nn

from zeroinit import build
from zeroinit.config import Job
from zeroinit.dataset.batches import Augment
from zeroinit.dataset.data import Data
from zeroinit.loss import CrossEntropy
from zeroinit.rng import stream
from zeroinit.training.cohort import Member, Recipe
from zeroinit.training.events import TrainingResult
from zeroinit.training.loop import Hooks, train

SOFTMAX = CrossEntropy(outputs=10)  # of any number of classes
RECIPE = Recipe(SOFTMAX, 1, True, Augment(padding=0, flip=False), "mean", tied=False)
HOOKS = {field.name for field in fields(Hooks)}


def build_member(job: Job, data: Data) -> Member:
    """Build what a job trains, with its seeds, its number of steps and its schedule."""
    model, _, optimizer = build.build(job.config, data)
    scheduler, seed = build.make_scheduler(job.config, optimizer, data), job.config.seeds.order
    return Member(model, optimizer, stream("order", seed), stream("augment", 0), job.config.duration.steps, scheduler)


def flatten(model: nn.Module) -> Tensor:
    """Return all parameters in one vector."""
    return nn.utils.parameters_to_vector(model.parameters()).detach()


def train_members(
    members: Sequence[Member], data: Data, *, batch_size: int, stacked: bool = False, **changes: Any
) -> list[TrainingResult]:
    """Train the members; `changes` are attributes of RECIPE and Hooks."""
    hooks = {name: value for name, value in changes.items() if name in HOOKS}
    recipe = {name: value for name, value in changes.items() if name not in HOOKS}
    return train(members, data, replace(RECIPE, batch_size=batch_size, **recipe), Hooks(**hooks), stacked)
