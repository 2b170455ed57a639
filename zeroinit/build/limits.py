"""Limits of what a machine can train: the parameters of a net, the steps of a run, and the examples of a probe."""

import torch
from torch import nn

from zeroinit.build.loss import make_loss
from zeroinit.config.schema import MAX_STEPS, RunConfig
from zeroinit.dataset.data import Data
from zeroinit.dataset.images import physical_memory
from zeroinit.errors import BadInput

NUMBERS_PER_PARAMETER = 4  # while Adam trains: value, gradient and two moments


def check_steps(config: RunConfig, steps_per_epoch: int) -> None:
    """Raise BadInput if the epochs have more steps than a run may have."""
    epochs, steps = config.duration.epochs, config.duration.count_steps(steps_per_epoch)
    if epochs is not None and steps > MAX_STEPS:
        raise BadInput(f"epochs={epochs}: that is {steps:,} steps; give at most {MAX_STEPS // steps_per_epoch}")


def check_examples(config: RunConfig, data: Data) -> None:
    """Raise BadInput if a probe needs more examples than the training set has. The default then means all of them."""
    from zeroinit.config.unknown import shipped_defaults  # only here: resolved jobs train without OmegaConf

    examples, available = config.probe.examples, len(data.train[0])
    if examples > available and examples != shipped_defaults()["probe"]["examples"]:
        raise BadInput(f"probe.examples={examples}: the training set has {available} examples; give 1 to {available}")


def check_memory(config: RunConfig, data: Data, arch: str) -> None:
    """Raise BadInput if a net of zeroinit has more parameters than fit this machine's memory during training.

    The net is built on torch's meta device, which takes no memory. A user's arch may not support that device.
    """
    if not config.arch.is_shipped:
        return
    try:
        with torch.device("meta"):
            model = config.arch.instantiate(data.input_shape, make_loss(config, data).outputs, subject=f"arch={arch}")
    except BadInput as error:
        if isinstance(error.__cause__, NotImplementedError):  # a constructor that computes, as torchvision's RegNet
            return
        raise
    assert isinstance(model, nn.Module)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    needed = NUMBERS_PER_PARAMETER * parameters * torch.finfo(torch.float32).bits // 8
    available = physical_memory()
    if needed > available:
        sizes = [f"arch.{name}" for name in ("model", "hidden", "width") if name in config.arch.arguments]
        raise BadInput(
            f"arch={arch}: {parameters:,} parameters with their gradients and moments are {needed / 2**30:.0f} GiB, "
            f"and this machine has {available / 2**30:.0f}; give {' or '.join(['smaller inputs', *sizes])}"
        )
