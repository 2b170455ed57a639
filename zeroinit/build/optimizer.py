"""The optimizer of a model, with its groups of parameters, and what moves its settings from step to step."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from zeroinit.build.recipe import steps_per_epoch_of
from zeroinit.config.arguments import check_values, format_value
from zeroinit.config.optimizer import OptimizerGroup
from zeroinit.config.schedule import fit_to_run
from zeroinit.config.schema import RunConfig
from zeroinit.config.target import Target
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.tracker.renamed import CONSTANT
from zeroinit.training.scheduler import Scheduler

MAX_NAMES = 12  # of parameters in a message


def make_optimizer(config: RunConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of the model's parameters.

    Raises:
        BadInput: The function returns no optimizer, or a group does not fit the model or the optimizer.
    """
    groups = config.optimizer_groups
    parameters = _split_parameters(groups, model) if groups else model.parameters()
    optimizer = config.optimizer.instantiate(parameters, subject="optimizer")
    if not isinstance(optimizer, torch.optim.Optimizer):
        made = type(optimizer).__name__
        raise BadInput(f"{config.optimizer}: it returned a {made}; return a torch.optim.Optimizer")
    for group in groups:
        if unknown := next((name for name in group.options if name not in optimizer.defaults), None):
            made = type(optimizer).__name__
            raise BadInput(
                f"{group.key}.{unknown}={group.options[unknown]}: {made} has no such option of a group; "
                f"it has {', '.join(optimizer.defaults)}"
            )
        check_values(group.key, config.optimizer.resolve().func, group.options)
    return optimizer


def _split_parameters(groups: Sequence[OptimizerGroup], model: nn.Module) -> list[dict[str, Any]]:
    """Return the groups of the model's parameters as torch takes them; the last has those that no pattern matches."""
    named = dict(model.named_parameters())
    for group in groups:
        for pattern in group.names:
            if not any(OptimizerGroup("", (pattern,), "").has(name) for name in named):
                names = [*named]
                some = names if len(names) <= MAX_NAMES else [*names[:6], "...", *names[-3:]]
                raise BadInput(
                    f"{group.key}.names={pattern}: no parameter has such a name; the parameters are {', '.join(some)}"
                )
    split: list[dict[str, Any]] = [{"params": [], **group.options} for group in groups] + [{"params": []}]
    for name, parameter in named.items():
        index = next((index for index, group in enumerate(groups) if group.has(name)), -1)
        split[index]["params"].append(parameter)
    for group, options in zip(groups, split, strict=False):  # the last of `split` has no group
        if not options["params"]:
            patterns = group.names[0] if len(group.names) == 1 else format_value([*group.names])
            raise BadInput(
                f"{group.key}.names={patterns}: earlier groups have all parameters of such names; "
                "move this group before them, or leave it out"
            )
    return [group for group in split if group["params"]]


def make_scheduler(config: RunConfig, optimizer: torch.optim.Optimizer, data: Data) -> Scheduler | None:
    """Return what moves the settings of the optimizer from step to step; None if they are constant.

    Raises:
        BadInput: The schedule is longer than the run, or its function returns no scheduler, or the optimizer has no
            learning rate.
    """
    steps = config.duration.count_steps(steps_per_epoch_of(config, data))
    schedule = fit_to_run(config.schedule, steps)
    if schedule.name == CONSTANT and not schedule.arguments:
        return None
    _check_rates(schedule, optimizer)
    scheduler = schedule.instantiate(optimizer)
    if scheduler is None:
        return None
    if isinstance(scheduler, ReduceLROnPlateau) or not isinstance(scheduler, LRScheduler):
        made = type(scheduler).__name__
        raise BadInput(f"{schedule}: it returned a {made}; return an LRScheduler of torch that needs no metric")
    return Scheduler(scheduler, json.dumps(schedule.node))


def _check_rates(schedule: Target, optimizer: torch.optim.Optimizer) -> None:
    """Raise BadInput if the optimizer has no rate, or if the schedule would give all of its groups one rate."""
    if any("lr" not in group for group in optimizer.param_groups):
        made = type(optimizer).__name__
        raise BadInput(f"{schedule}: {made} has no learning rate lr to change; give schedule=constant")
    rates = {group["lr"] for group in optimizer.param_groups}
    if "max_lr" in schedule.arguments and len(rates) > 1:
        raise BadInput(
            f"schedule.max_lr={schedule.arguments['max_lr']}: it would be the rate of each of optimizer.groups, whose "
            "rates differ; give another schedule"
        )
