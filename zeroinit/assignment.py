"""Which rule fills which parameter of a model, and with which arguments."""

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

from torch import nn

from zeroinit.config.init import KEEP, Choice, Rule, Rules
from zeroinit.config.target import check_arguments, parameters_of
from zeroinit.errors import BadInput
from zeroinit.layers import declared_layers, positions
from zeroinit.roles import Block, Role, declared_blocks, value_of
from zeroinit.user_code import explain_errors

RESERVED = ("generator", "fan_in", "depth")  # a config may give a rule its own values of the other arguments


class Assignment(NamedTuple):
    """A block of a parameter and the rule that fills it.

    Attributes:
        parameter: the name of the parameter; of a parametrised one, the first of those that hold the value.
        name: the name of the block, which rules may request.
        block: the block.
        key: of the rule in the config.
        rule: the function that fills the block; None if it keeps its values.
        scale: the factor on the values of the rule.
        facts: arguments that the rule may name.
    """

    parameter: str
    name: str
    block: Block
    key: str
    rule: Rule | None
    scale: float
    facts: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the block."""
        return tuple(value_of(self.block.module, self.block.attribute)[self.block.rows].shape)


def select_facts(rule: Rule, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that the rule's signature names. The config may give it a value of its own for some."""
    parameters = parameters_of(rule.func)
    return {
        name: value
        for name, value in facts.items()
        if name in parameters and (name in RESERVED or name not in rule.keywords)
    }


def assign_rules(
    model: nn.Module,
    rules: Rules,
    bias_scale: Callable[[int], float],
    layers: Sequence[str] | None = None,
    rest: Rules | None = None,
) -> list[Assignment]:
    """Return the rule of each block of the model, in the order in which they are filled; see `initialize`.

    Raises:
        BadInput: A parameter has no rule.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    blocks = declared_blocks(model)
    where, num_layers = positions(model, blocks)
    assignments = []
    for block, position in zip(blocks, where, strict=True):
        is_rest = rest is not None and layers is not None and not _matches(block.layer, layers)
        parameter = names[id(block.parameters[0])]
        name = (
            parameter
            if not block.is_parametrised
            else f"{parameter.partition('parametrizations.')[0]}{block.attribute}"
        )
        key, choice = _choose(block.role, rules, rest if is_rest else None)
        if choice is None:
            shape = tuple(value_of(block.module, block.attribute).shape)
            raise BadInput(
                f"init: the parameter {name} {shape} of {type(model).__name__} has no rule: its role is {block.role}; "
                f"set {key}=keep, or give {key} a rule"
            )
        facts = {
            "fan_in": block.fan_in,
            "fan_out": block.fan_out,
            "depth": position.depth,
            "num_layers": num_layers,
            "name": f"{name}.{block.part}" if block.part else name,
            "role": str(block.role),
            "residual": position.residual,
        }
        is_drawn = block.role == Role.BIAS and choice != KEEP and not is_rest
        scale = _call_bias_scale(bias_scale, block.fan_in) if is_drawn else 1.0
        rule = None if choice == KEEP else choice
        assignments.append(Assignment(parameter, name, block, key, rule, scale, facts))
    return assignments


def _choose(role: Role, rules: Rules, rest: Rules | None) -> tuple[str, Choice]:
    """Return the key and the rule of a role. Without one, recurrent weights have that of weights."""
    node, key = (rules, "init") if rest is None else (rest, "init.rest")
    choice: Choice = getattr(node, role)
    if choice is None and role == Role.RECURRENT:
        return f"{key}.{Role.WEIGHT}", node.weight
    if choice is None and rest is not None:
        return f"init.{role}", getattr(rules, role)
    return f"{key}.{role}", choice


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _layer_names(model: nn.Module, rules: Rules) -> list[str]:
    """Return the names that init.layers may give: of the layers with a parameter that a rule may fill."""
    names = [block.layer for block in declared_blocks(model) if _choose(block.role, rules, None)[1] != KEEP]
    return list(dict.fromkeys([*(name for name, _ in declared_layers(model)), *names]))


def check_patterns(model: nn.Module, rules: Rules, patterns: Sequence[str]) -> None:
    """Raise BadInput for a pattern of `init.layers` that matches none of the layers' names."""
    names = _layer_names(model, rules) if patterns else []
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-3:]])
            raise BadInput(f"init.layers={pattern}: no layer has such a name; the layers are {some}")


def _call_bias_scale(bias_scale: Callable[[int], float], fan_in: int) -> float:
    """Return the factor on the biases of a layer with this fan_in. Raise BadInput if it is no finite number."""
    function = bias_scale if isinstance(bias_scale, partial) else partial(bias_scale)
    subject = f"bias_scale._target_={dotted_name(function.func)}"
    check_arguments("bias_scale", subject, function, fan_in)
    with explain_errors(f"{subject} fails for a layer with fan_in {fan_in}"):
        scale = function(fan_in)
    if isinstance(scale, bool) or not isinstance(scale, Real) or not math.isfinite(scale):
        shown = " ".join(repr(scale).split())[:60]
        raise BadInput(f"{subject}: it returns {shown} for a layer with fan_in {fan_in}; return a finite number")
    return float(scale)


def dotted_name(function: Any) -> str:
    """Return `module.name` of a function; for another callable, that of its class."""
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{owner.__module__}.{owner.__qualname__}"
