"""The metrics of the user that a config names."""

import inspect
from collections.abc import Callable
from typing import Any

import torch

from zeroinit.build.loss import make_loss
from zeroinit.config.schema import RunConfig
from zeroinit.config.target import Target, check_arguments
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.training.user_metrics import UserMetric


def make_user_metrics(config: RunConfig) -> dict[str, UserMetric]:
    """Return {name: metric} of the keys `metrics`.

    Raises:
        BadInput: A function cannot be imported, or an object is not callable.
    """
    return {name: UserMetric(str(target), _make_function(target)) for name, target in config.metrics}


def _make_function(target: Target) -> Callable[..., Any]:
    """Return the function with its arguments bound, or an object of the class."""
    function = target.resolve()
    if not inspect.isclass(function.func):
        return function
    made = target.instantiate()
    if not callable(made):
        raise BadInput(f"{target}: a {type(made).__name__} cannot be called with outputs and targets; give a function")
    return made  # type: ignore[no-any-return]


def check_user_metrics(config: RunConfig, data: Data) -> None:
    """Try each metric of the user on the targets of the validation set, with random outputs.

    Raises:
        BadInput: A metric does not take (outputs, targets), raises, or returns no number.
    """
    if not config.metrics:
        return
    targets = data.val[1]
    shape = len(targets), make_loss(config, data).outputs
    outputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(targets.device, data.dtype)
    metrics = make_user_metrics(config)
    for name, target in config.metrics:
        if not inspect.isclass(target.resolve().func):
            check_arguments(target.key, str(target), target.resolve(), outputs, targets)
        metrics[name].measure(outputs, targets)
