"""The values at step 0: a rule for weights and a rule for biases fill every layer in place.

A rule is a function that fills a tensor in place, like those of torch.nn.init. It gets the arguments that its signature
names: `generator` (the run's stream of random numbers), `fan_in` (inputs of a unit) and `depth` (1 for the layer that
the forward pass calls first). Layers are filled in the order in which the model declares them.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zeroinit.config.target import check_arguments, parameters_of
from zeroinit.errors import BadInput
from zeroinit.layers import declared_layers, weight_layers
from zeroinit.user_code import explain_errors

Rule = partial[Tensor]

NORMALISATION = (
    nn.modules.batchnorm._NormBase,  # BatchNorm and InstanceNorm
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Filled:
    """One parameter after the init: a line of init.csv.

    Attributes:
        parameter: its name.
        shape: such as 10x500.
        rule: the name of the rule with its arguments, and the factor on biases.
        mean: over all entries.
        std: standard deviation over all entries.
        zeros: share of entries that are 0.
    """

    parameter: str
    shape: str
    rule: str
    mean: float
    std: float
    zeros: float


class Assignment(NamedTuple):
    """A parameter and the rule that fills it.

    Attributes:
        name: of the parameter.
        tensor: the parameter.
        key: of the rule in the config.
        rule: the function that fills the tensor.
        scale: the factor on the values of the rule.
        facts: arguments that the rule may name: fan_in and depth.
    """

    name: str
    tensor: Tensor
    key: str
    rule: Rule
    scale: float
    facts: Mapping[str, int]


def assign_rules(
    model: nn.Module,
    weight: Rule,
    bias: Rule,
    bias_scale: Callable[[int], float],
    layers: Sequence[str] | None = None,
    rest: tuple[Rule, Rule] | None = None,
) -> Iterator[Assignment]:
    """Yield the rule of each weight and bias, in the order in which they are filled; see `initialize`."""
    depths = {name: depth for depth, (name, _) in enumerate(weight_layers(model), start=1)}
    for name, layer in declared_layers(model):
        fan_in = layer.weight[0].numel()
        facts = {"fan_in": fan_in, "depth": depths[name]}
        if rest is None or layers is None or any(fnmatchcase(name, pattern) for pattern in layers):
            key, weight_rule, bias_rule, scale = "init", weight, bias, _call_bias_scale(bias_scale, fan_in)
        else:
            key, (weight_rule, bias_rule), scale = "init.rest", rest, 1.0
        yield Assignment(f"{name}.weight", layer.weight, f"{key}.weight", weight_rule, 1.0, facts)
        if layer.bias is not None:
            yield Assignment(f"{name}.bias", layer.bias, f"{key}.bias", bias_rule, scale, facts)


@torch.no_grad()
def initialize(
    model: nn.Module,
    generator: torch.Generator,
    weight: Rule,
    bias: Rule,
    bias_scale: Callable[[int], float],
    layers: Sequence[str] | None = None,
    rest: tuple[Rule, Rule] | None = None,
) -> list[Filled]:
    """Fill every linear and convolution layer of `model` in place; normalisation layers keep torch's values.

    Args:
        model: the model.
        generator: the stream of random numbers that rules draw from.
        weight: the rule for weights.
        bias: the rule for biases.
        bias_scale: maps a layer's fan_in to the factor on its biases.
        layers: patterns of names, as in a shell; `weight`, `bias` and `bias_scale` are only for layers that match one.
        rest: the (weight, bias) rules of the other layers.

    Returns:
        What filled each parameter.

    Raises:
        BadInput: A rule cannot fill a parameter, no rule covers a parameter, or a pattern matches no layer.
    """
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise BadInput(f"init: {name} of {type(model).__name__} has no shape yet; give a lazy module its sizes")
    if layers is not None and rest is None:
        raise BadInput(f"init.layers={list(layers)}: give `rest`, the rules of the other layers, too")
    _check_patterns(layers or [], [name for name, _ in declared_layers(model)])
    rules: dict[Tensor, str] = {}
    for assignment in assign_rules(model, weight, bias, bias_scale, layers, rest):
        name, tensor, scale = assignment.name, assignment.tensor, assignment.scale
        rule = _fill(assignment.key, assignment.rule, tensor, name, {"generator": generator, **assignment.facts})
        is_weight = name.endswith(".weight")
        rules[tensor] = rule if is_weight else f"{rule} * {scale:.6g}"
        if not is_weight:
            tensor.mul_(scale)
    for module in model.modules():
        if isinstance(module, NORMALISATION):
            rules.update(dict.fromkeys(module.parameters(recurse=False), "torch's own"))
    for name, parameter in model.named_parameters():
        if parameter not in rules:
            raise BadInput(
                f"init: no rule covers the parameter {name} {tuple(parameter.shape)} of {type(model).__name__}; "
                "rules fill the weight and bias of linear and convolution layers, and leave normalisation layers alone"
            )
    return [
        Filled(
            parameter=name,
            shape="x".join(str(size) for size in parameter.shape),
            rule=rules[parameter],
            mean=parameter.mean().item(),
            std=parameter.std(correction=0).item(),
            zeros=1 - parameter.count_nonzero().item() / parameter.numel(),
        )
        for name, parameter in model.named_parameters()
    ]


def state_hash(model: nn.Module) -> str:
    """Return a hash of the parameters and buffers. Runs with equal hashes start from equal numbers."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _check_patterns(patterns: Sequence[str], names: Sequence[str]) -> None:
    """Raise BadInput for a pattern that matches none of the layers' names."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            some = ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-3:]])
            raise BadInput(f"init.layers={pattern}: no layer has such a name; the layers are {some}")


def _fill(key: str, rule: Rule, tensor: Tensor, name: str, given: dict[str, Any]) -> str:
    """Fill a parameter by a rule, and return the rule's name and arguments.

    Args:
        key: of the rule in the config.
        rule: the function that fills the tensor.
        tensor: the parameter.
        name: of the parameter.
        given: the arguments that the rule gets if its signature names them.

    Raises:
        BadInput: The rule raises, or does not fill the tensor.
    """
    subject, shape, dtype = f"{key}._target_={_dotted_name(rule.func)}", tensor.shape, tensor.dtype
    parameters = parameters_of(rule.func)
    arguments = {argument: value for argument, value in given.items() if argument in parameters}
    check_arguments(key, subject, rule, tensor, **arguments)
    if dtype.is_floating_point or dtype.is_complex:
        tensor.fill_(math.nan)  # marks the entries that the rule does not fill, and draws no number
    with explain_errors(f"{subject} cannot fill {name} {tuple(shape)}"):
        returned = rule(tensor, **arguments)
    if (tensor.shape, tensor.dtype) != (shape, dtype):
        changed = f"{tuple(tensor.shape)} of {tensor.dtype}"
        raise BadInput(f"{subject}: it makes {name} {tuple(shape)} of {dtype} {changed}; fill it as it is")
    if tensor.isnan().any():
        raise BadInput(f"{subject}: {_describe_unfilled(tensor, returned, name)}")
    keywords = ", ".join(
        f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}" for key, value in rule.keywords.items()
    )
    return f"{_dotted_name(rule.func).rpartition('.')[2]}({keywords})"


def _describe_unfilled(tensor: Tensor, returned: object, name: str) -> str:
    """Return why entries of a parameter are still NaN after a rule."""
    missing, entries = int(tensor.isnan().sum()), tensor.numel()
    is_new = isinstance(returned, Tensor) and returned.data_ptr() != tensor.data_ptr()
    if is_new and missing == entries:
        return f"it returns a new tensor and leaves {name} as it was; fill it in place, as tensor.copy_(...) does"
    return (
        f"it leaves {missing} of {entries} entries of {name} NaN, as all are before it: it does not fill them, or "
        "computes them from what was there; fill every entry with a number that does not depend on that"
    )


def _call_bias_scale(bias_scale: Callable[[int], float], fan_in: int) -> float:
    """Return the factor on the biases of a layer with this fan_in. Raise BadInput if it is no finite number."""
    function = bias_scale if isinstance(bias_scale, partial) else partial(bias_scale)
    subject = f"bias_scale._target_={_dotted_name(function.func)}"
    check_arguments("bias_scale", subject, function, fan_in)
    with explain_errors(f"{subject} fails for a layer with fan_in {fan_in}"):
        scale = function(fan_in)
    if isinstance(scale, bool) or not isinstance(scale, Real) or not math.isfinite(scale):
        shown = " ".join(repr(scale).split())[:60]
        raise BadInput(f"{subject}: it returns {shown} for a layer with fan_in {fan_in}; return a finite number")
    return float(scale)


def _dotted_name(function: Any) -> str:
    """Return `module.name` of a function; for another callable, that of its class."""
    owner = function if hasattr(function, "__qualname__") else type(function)
    return f"{owner.__module__}.{owner.__qualname__}"


def default_(tensor: Tensor, fan_in: int, generator: torch.Generator) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what torch.nn.Linear and Conv2d give their weights and biases."""
    bound = 1 / math.sqrt(fan_in)
    return nn.init.uniform_(tensor, -bound, bound, generator=generator)


def lecun_normal_(tensor: Tensor, fan_in: int, generator: torch.Generator) -> Tensor:
    """N(0, 1/fan_in). LeCun, Bottou, Orr and Müller, Efficient BackProp (1998), section 4.6."""
    return nn.init.normal_(tensor, std=1 / math.sqrt(fan_in), generator=generator)


def lecun_uniform_(tensor: Tensor, fan_in: int, generator: torch.Generator) -> Tensor:
    """U(-sqrt(3/fan_in), sqrt(3/fan_in)), of variance 1/fan_in. LeCun et al. (1998), section 4.6."""
    bound = math.sqrt(3 / fan_in)
    return nn.init.uniform_(tensor, -bound, bound, generator=generator)


def layer_constant_(tensor: Tensor, depth: int, value: float) -> Tensor:
    """The value times the depth: constant within a layer, and different in each layer."""
    return nn.init.constant_(tensor, value * depth)


def row_constant_(tensor: Tensor, fan_in: int, generator: torch.Generator) -> Tensor:
    """w_ij = v_j with v_j from N(0, 1/fan_in): every unit of the layer has the same incoming weights."""
    return tensor.copy_(lecun_normal_(torch.empty_like(tensor[0]), fan_in, generator).expand_as(tensor))


def log_uniform_(tensor: Tensor, least: float, most: float, generator: torch.Generator) -> Tensor:
    """A random sign, and a size between `least` and `most`, both above 0, whose logarithm is uniform."""
    if not 0 < least <= most:
        raise ValueError(f"least={least} and most={most} are no range above 0")
    signs = torch.randint_like(tensor, 2, generator=generator) * 2 - 1
    exponents = torch.empty_like(tensor, dtype=torch.float64).uniform_(
        math.log(least), math.log(most), generator=generator
    )
    return tensor.copy_(exponents.exp() * signs)
