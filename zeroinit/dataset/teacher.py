"""Targets of a random teacher network, which a student with its hidden layer can reach exactly."""

import json
import math

import torch
from torch import Tensor

from zeroinit.arch.parts import ACTIVATIONS, activation_module
from zeroinit.dataset.data import Data, Split
from zeroinit.dataset.images import physical_memory
from zeroinit.errors import BadInput


def teacher_student(
    generator: torch.Generator,
    inputs: int,
    hidden: int,
    activation: str,
    outputs: int,
    examples: int,
    noise: float,
) -> Data:
    """Inputs N(0, 1) and the outputs of a random network with one hidden layer: `examples` of them in each split.

    After Saad and Solla, "Exact solution for on-line learning in multilayer neural networks", 1995. Their teacher has
    output weights of 1; this one draws them, so that it may have several outputs. A student `arch=fnn` with the
    teacher's weights and no biases has R² 1. With noise N(0, noise^2) on all targets, its R² is the highest that can be
    expected.

    Args:
        generator: Draws the teacher, then the splits.
        inputs: The number of inputs.
        hidden: The number of hidden units of the teacher.
        activation: The activation of its hidden units, as in `arch.activation`.
        outputs: The number of targets.
        examples: The number of examples of each split.
        noise: The standard deviation of the noise on the targets.
    """
    counts = {"inputs": inputs, "hidden": hidden, "outputs": outputs, "examples": examples}
    for key, count in counts.items():
        if type(count) is not int or count < 1:
            raise BadInput(f"dataset.{key}={json.dumps(count)}: give a whole number from 1")
    if activation not in ACTIVATIONS:
        raise BadInput(f"dataset.activation={activation}: choose one of {', '.join(ACTIVATIONS)}")
    if isinstance(noise, bool) or not isinstance(noise, int | float) or not 0 <= noise < math.inf:
        raise BadInput(f"dataset.noise={json.dumps(noise)}: give a finite number, 0 or greater")
    _check_memory(**counts)
    first, second = draw_teacher(generator, inputs, hidden, outputs)
    activate = activation_module(activation)

    def draw_split() -> Split:
        points = torch.randn(examples, inputs, generator=generator)
        errors = noise * torch.randn(examples, outputs, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            targets = activate(points.double() @ first.double().T) @ second.double().T
        return points, (targets + errors).float()

    return Data(draw_split(), draw_split(), draw_split(), num_classes=None)


def _check_memory(inputs: int, hidden: int, outputs: int, examples: int) -> None:
    """Raise BadInput if the three splits, with the float64 numbers of one of them, exceed the machine's memory."""
    kept = 3 * examples * (inputs + outputs) * 4
    needed = kept + 8 * (examples * (inputs + hidden + 3 * outputs) + hidden * (inputs + outputs))
    if needed > (available := physical_memory()):
        raise BadInput(
            f"dataset.examples={examples}: with {inputs} inputs, {hidden} hidden units and {outputs} outputs they need "
            f"{needed / 2**30:,.0f} GiB, and this machine has {available / 2**30:.0f}; give fewer"
        )


def draw_teacher(generator: torch.Generator, inputs: int, hidden: int, outputs: int) -> tuple[Tensor, Tensor]:
    """Return the weights (hidden, inputs) and (outputs, hidden) of a teacher: N(0, 1 / the number of inputs)."""
    first = torch.randn(hidden, inputs, generator=generator) / math.sqrt(inputs)
    second = torch.randn(outputs, hidden, generator=generator) / math.sqrt(hidden)
    return first, second
