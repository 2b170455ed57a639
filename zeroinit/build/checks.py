"""Whether model, data, optimizer and tracker of a job fit together: they are built before any job trains."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from zeroinit.build.data import load
from zeroinit.build.forward import check_forward
from zeroinit.build.limits import check_examples, check_memory, check_steps
from zeroinit.build.loss import make_loss
from zeroinit.build.model import build, make_on_device
from zeroinit.build.optimizer import make_scheduler
from zeroinit.build.recipe import batch_size_of, steps_per_epoch_of
from zeroinit.build.torch_settings import set_up_torch
from zeroinit.build.tracker import check_storable
from zeroinit.build.user_metrics import check_user_metrics
from zeroinit.config import Job
from zeroinit.environment import environment
from zeroinit.errors import BadInput
from zeroinit.observed_layers import observed_names
from zeroinit.tracker.renamed import CONSTANT
from zeroinit.training.single import autocast_to
from zeroinit.training.stackable import OPTIMIZERS, unstackable_reason

# {_fit_key: names of the layers} of the jobs that this process has checked, so that jobs that are alike build once
checked_layers: dict[tuple[object, ...], tuple[str, ...]] = {}


def check(jobs: Sequence[Job]) -> list[str]:
    """Build what the jobs will train, once for jobs that are alike.

    Returns:
        Notes on the data for the user, one line each.

    Raises:
        BadInput: The parts of a job do not fit together.
    """
    notes: dict[str, None] = {}
    for job in sorted(jobs, key=lambda job: job.params["dataset"]):  # so that each data set is loaded once
        with environment(job.variables):
            notes |= dict.fromkeys(_check_job(job))
    return list(notes)


def layers_of(job: Job) -> tuple[str, ...]:
    """Return the names of the layers of a job that was checked."""
    return checked_layers[_fit_key(job)]


def _check_job(job: Job) -> list[str]:
    """Build what a job will train, unless a job like it was built. Return the notes on its data."""
    config = job.config
    data = load(config, set_up_torch(config))
    batch_size = batch_size_of(config, data)
    check_steps(config, steps_per_epoch_of(config, data))
    check_examples(config, data)
    key = _fit_key(job)
    if key not in checked_layers:
        check_memory(config, data, job.params["arch"])
        model, _, optimizer = build(config, data)
        make_scheduler(config, optimizer, data)
        check_user_metrics(config, data)
        subject = f"arch={job.params['arch']} does not fit dataset={job.params['dataset']}"
        make = partial(make_on_device, config, data)
        outputs = make_loss(config, data).outputs
        with autocast_to(config.autocast, config.device):
            check_forward(model, make, data, outputs, batch_size, subject, str(config.arch))
        _check_arithmetic(config.arithmetic, model, optimizer, data.input_shape)
        checked_layers[key] = observed_names(model)
    if config.mode == "train":  # in the other modes nothing is stored
        check_storable(job, checked_layers[key])
    return data.notes_for(job.overrides)


def _fit_key(job: Job) -> tuple[object, ...]:
    """Return what decides whether a job's model, data and optimizer fit together."""
    config, variables = job.config, tuple(sorted(job.variables.items()))
    nets = config.arch, config.init, config.bias_scale.name, config.optimizer, config.arithmetic
    precision = config.dtype, config.autocast
    # a constant schedule fits every run
    length = None if config.schedule.name == CONSTANT else config.duration
    training = config.loss, config.optimizer_groups, config.schedule, length, config.metrics
    return config.dataset, *nets, *precision, *training, variables


def _check_arithmetic(
    arithmetic: str, model: nn.Module, optimizer: torch.optim.Optimizer, input_shape: tuple[int, ...]
) -> None:
    """Raise BadInput if ties of the model cannot be enforced. A model without a quotient was refused when built."""
    reason = unstackable_reason(model, optimizer, input_shape) if arithmetic == "tied" else None
    if reason:
        raise BadInput(f"arithmetic=tied is for nets that can be stacked, but {reason}; give arithmetic=native")
    if arithmetic == "quotient" and type(optimizer) not in OPTIMIZERS:
        accepted = ", ".join(accepted_type.__name__ for accepted_type in OPTIMIZERS)
        raise BadInput(
            f"arithmetic=quotient is for {accepted}, which update each entry alone; optimizer._target_ makes "
            f"{type(optimizer).__name__}: give arithmetic=native"
        )
