"""From a resolved config and its data to the initialised model and its optimizer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import nn

from zeroinit.arch.named import suggest_option
from zeroinit.build.loss import make_loss
from zeroinit.build.optimizer import make_optimizer
from zeroinit.call_order import record_call_order
from zeroinit.config.schema import RunConfig
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.init import Filled, Observe, initialize, observe_nothing
from zeroinit.rng import stream
from zeroinit.training.quotient import quotient
from zeroinit.training.ties import preserves_column_offsets
from zeroinit.user_code import explain_errors


def build(
    config: RunConfig, data: Data, observe: Observe = observe_nothing
) -> tuple[nn.Module, list[Filled], torch.optim.Optimizer]:
    """Build the initialised model, or its quotient, and its optimizer, on the data's device.

    All is drawn in float32, and converted to the data's dtype afterwards.

    Args:
        config: the config of the run.
        data: its data.
        observe: returns a context for each fill, such as to record its draws; see `initialize`.

    Returns:
        The model, what filled each parameter, and the optimizer.
    """
    init, generator = config.init, stream("init", config.seeds.init)
    with _drawing_from(generator) if init.keeps_draws else nullcontext():
        model = make_model(config, data)
    filled = initialize(
        model,
        generator,
        init.rules.resolve(),
        config.bias_scale.resolve(),
        layers=init.layers,
        rest=init.rest.resolve() if init.rest else None,
        observe=observe,
    )
    model.to(data.train[0].device, data.dtype)
    if config.arithmetic == "quotient":
        is_softmax = make_loss(config, data).slopes_sum_to_zero
        model = quotient(model, is_softmax and preserves_column_offsets(make_optimizer(config, model)))
    return model, filled, make_optimizer(config, model)  # after the init, with the parameters that train


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let what draws from torch's global generator in the block draw from this one, which moves on."""
    with torch.random.fork_rng([]):
        torch.set_rng_state(generator.get_state())
        yield
        generator.set_state(torch.get_rng_state())


def make_model(config: RunConfig, data: Data) -> nn.Module:
    """Return the model with the values of its constructor, on the CPU.

    Raises:
        BadInput: The arch does not fit the data.
    """
    arch, shape, outputs = config.arch, data.input_shape, make_loss(config, data).outputs
    if option := suggest_option(arch.name, arch.arguments):
        raise BadInput(
            f"{arch}: zeroinit calls a network as NAME(input_shape, num_classes); for this one give {option}"
        )
    wanted = f"{data.num_classes} classes" if outputs == data.num_classes else f"{outputs} output(s)"
    model = arch.instantiate(shape, outputs, subject=f"{arch} does not fit data of shape {shape} with {wanted}")
    if not isinstance(model, nn.Module):
        raise BadInput(f"{arch}: it returned a {type(model).__name__}; return a torch.nn.Module")
    inputs = replace(data, dtype=None).to_inputs(data.train[0][:2])
    # the shapes decide the structure of an arch of ours; an arch of the user may draw its structure
    key = json.dumps([arch.node, shape, outputs]) if arch.is_shipped else ""
    with explain_errors(f"{arch} cannot be evaluated on data of shape {shape}"):
        record_call_order(model, inputs.to(next(model.parameters(), inputs).device), key)
    return model


def make_on_device(config: RunConfig, data: Data) -> nn.Module:
    """Return the model with the values of its constructor, on the device and in the dtype of its training."""
    return make_model(config, data).to(data.train[0].device, data.dtype)
