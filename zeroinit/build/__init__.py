"""From a resolved config to what trains: data, recipe, model, optimizer and tracker."""

from zeroinit.build.checks import check, layers_of
from zeroinit.build.data import load
from zeroinit.build.identity import identity_of
from zeroinit.build.loss import make_loss
from zeroinit.build.model import build
from zeroinit.build.optimizer import make_optimizer, make_scheduler
from zeroinit.build.recipe import batch_size_of, recipe_of, steps_per_epoch_of
from zeroinit.build.torch_settings import set_up_torch
from zeroinit.build.tracker import open_cached, open_tracker
from zeroinit.build.user_metrics import make_user_metrics

__all__ = [
    "batch_size_of",
    "build",
    "check",
    "identity_of",
    "layers_of",
    "load",
    "make_loss",
    "make_optimizer",
    "make_scheduler",
    "make_user_metrics",
    "open_cached",
    "open_tracker",
    "recipe_of",
    "set_up_torch",
    "steps_per_epoch_of",
]
