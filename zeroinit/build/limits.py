"""What a machine cannot train: nets larger than its memory, and runs of more steps than it can keep the losses of."""

import torch
from torch import nn

from zeroinit.config.check import MAX_STEPS, Values
from zeroinit.config.target import call
from zeroinit.dataset.data import Data
from zeroinit.dataset.images import physical_memory
from zeroinit.errors import BadInput

COPIES = 4  # of each parameter while Adam trains: value, gradient and two moments


def check_steps(values: Values, steps_per_epoch: int) -> None:
    """Raise BadInput where the epochs are more steps than a run may have."""
    epochs = values["epochs"]
    if epochs is not None and epochs * steps_per_epoch > MAX_STEPS:
        steps = f"{epochs * steps_per_epoch:,} steps"
        raise BadInput(f"epochs={epochs}: that is {steps}; give at most {MAX_STEPS // steps_per_epoch}")


def check_examples(values: Values, data: Data) -> None:
    """Raise BadInput where a probe is to see more examples than there are; the default means all that there are."""
    from zeroinit.config.unknown import schema  # only here: jobs that are resolved already train without OmegaConf

    examples, there = values["probe"]["examples"], len(data.train[0])
    if examples > there and examples != schema()["probe"]["examples"]:
        raise BadInput(f"probe.examples={examples}: the training set has {there} examples; give 1 to {there}")


def check_memory(values: Values, data: Data, arch: str) -> None:
    """Raise BadInput where a net of zeroinit has more parameters than this machine's memory can train.

    The net is built on torch's meta device, which takes no memory. A user's arch may not support that device.
    """
    if not values["arch"]["_target_"].startswith("zeroinit."):
        return
    with torch.device("meta"):
        model = call("arch", values["arch"], data.input_shape, data.num_classes, subject=f"arch={arch}")
    assert isinstance(model, nn.Module)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    needed, there = COPIES * parameters * torch.finfo(torch.float32).bits // 8, physical_memory()
    if needed > there:
        raise BadInput(
            f"arch={arch}: {parameters:,} parameters with their gradients and moments are {needed / 2**30:.0f} GiB, "
            f"and this machine has {there / 2**30:.0f}; give fewer units by arch.hidden, or smaller inputs"
        )
