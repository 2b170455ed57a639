"""From a resolved config and its data to the initialised model and its optimizer."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from zeroinit.call_order import record_call_order
from zeroinit.config.check import Values, has_warmup
from zeroinit.config.target import instantiate, resolve_target
from zeroinit.dataset.data import Data
from zeroinit.errors import BadInput
from zeroinit.init import Filled, Rule, initialize
from zeroinit.rng import stream
from zeroinit.training.quotient import quotient
from zeroinit.training.ties import preserves_column_offsets
from zeroinit.training.warmup import set_warmup
from zeroinit.user_code import explain_errors


def identity(rule: Rule) -> Rule:
    """Return the rule as it is."""
    return rule


def build(
    values: Values, data: Data, wrap_rule: Callable[[Rule], Rule] = identity
) -> tuple[nn.Module, list[Filled], torch.optim.Optimizer]:
    """Build the initialised model, or its quotient, and its optimizer, on the data's device.

    All is drawn in float32, and converted to the data's dtype afterwards.

    Args:
        values: the resolved config.
        data: its data.
        wrap_rule: applied to each rule of the init, such as to record its draws.

    Returns:
        The model, what filled each parameter, and the optimizer.
    """
    model = make_model(values, data)
    layers = values["init"]["layers"]
    weight, bias = map(wrap_rule, init_rules("init", values["init"]))
    rest = init_rules("init.rest", values["init"]["rest"]) if layers else None
    filled = initialize(
        model,
        stream("init", values["seeds"]["init"]),
        weight,
        bias,
        bias_scale=resolve_target("bias_scale", values["bias_scale"]),
        layers=[layers] if isinstance(layers, str) else layers,
        rest=rest and (wrap_rule(rest[0]), wrap_rule(rest[1])),
    )
    model.to(data.train[0].device, data.dtype)
    if values["arithmetic"] == "quotient":
        model = quotient(model, preserves_column_offsets(make_optimizer(values, model)))
    return model, filled, make_optimizer(values, model)  # after the init, with the parameters that train


def make_model(values: Values, data: Data) -> nn.Module:
    """Return the model with the values of its constructor, on the CPU.

    Raises:
        BadInput: The arch does not fit the data.
    """
    name, shape, classes = f"arch._target_={values['arch']['_target_']}", data.input_shape, data.num_classes
    subject = f"{name} does not fit data of shape {shape} with {classes} classes"
    model = instantiate("arch", values["arch"], shape, classes, subject=subject)
    if not isinstance(model, nn.Module):
        raise BadInput(f"{name}: it returned a {type(model).__name__}; return a torch.nn.Module")
    inputs = replace(data, dtype=None).to_inputs(data.train[0][:2])
    # the shapes decide the structure of an arch of ours; an arch of the user may draw its structure
    key = json.dumps([values["arch"], shape, classes]) if values["arch"]["_target_"].startswith("zeroinit.") else ""
    with explain_errors(f"{name} cannot be evaluated on data of shape {shape}"):
        record_call_order(model, inputs.to(next(model.parameters(), inputs).device), key)
    return model


def make_on_device(values: Values, data: Data) -> nn.Module:
    """Return the model with the values of its constructor, on the device and in the dtype of its training."""
    return make_model(values, data).to(data.train[0].device, data.dtype)


def make_optimizer(values: Values, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of the model's parameters.

    Raises:
        BadInput: The function returns no optimizer, or one without a learning rate for the warm-up.
    """
    optimizer = instantiate("optimizer", values["optimizer"], model.parameters(), subject="optimizer")
    if not isinstance(optimizer, torch.optim.Optimizer):
        target, made = values["optimizer"]["_target_"], type(optimizer).__name__
        raise BadInput(f"optimizer._target_={target}: it returned a {made}; return a torch.optim.Optimizer")
    if has_warmup(values):
        if any("lr" not in group for group in optimizer.param_groups):
            steps, made = values["ramp"]["steps"], type(optimizer).__name__
            raise BadInput(f"ramp.steps={steps}: {made} has no learning rate lr to change; give ramp.steps=0")
        set_warmup(optimizer, **values["ramp"])
    return optimizer


def init_rules(key: str, node: Values) -> tuple[partial[Any], partial[Any]]:
    """Return the (weight, bias) rules of a node."""
    return resolve_target(f"{key}.weight", node["weight"]), resolve_target(f"{key}.bias", node["bias"])
