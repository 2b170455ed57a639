"""The values at step 0: a rule for each role fills the parameters of that role in place.

A rule is a function that fills a tensor in place, like those of torch.nn.init. It gets the arguments that its signature
names:

- `generator`: the run's stream of random numbers.
- `fan_in`, `fan_out`: inputs of a unit, and units that an input reaches.
- `depth`, `num_layers`: 1 for the layer that the forward pass calls first, and the number of layers.
- `name`: of the parameter; with the part that is filled, such as `attention.in_proj_weight.query`.
- `role`: such as `weight`; see `zeroinit.roles`.
- `residual`: whether it is the last weight of a residual branch, or belongs to its layer, or is a normalisation behind.

Modules are filled in the order in which the model declares them.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from zeroinit.assignment import Assignment, assign_rules, check_patterns, dotted_name, select_facts
from zeroinit.config.init import Rules
from zeroinit.config.target import check_arguments
from zeroinit.errors import BadInput
from zeroinit.roles import (
    NORMALISATION,
    Role,
    parametrisation_names,
    set_parametrised,
    value_of,
)
from zeroinit.user_code import explain_errors

TORCH_VALUES, CONSTRUCTOR_VALUES = "torch's own", "the constructor's own"  # in place of the name of a rule
Observe = Callable[[Sequence[nn.Parameter], bool], AbstractContextManager[None]]


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
        role: of the parameter.
        assignment: its rule; of a parameter that is filled in parts, that of the last one.
    """

    parameter: str
    shape: str
    rule: str
    mean: float
    std: float
    zeros: float
    role: str
    assignment: Assignment = field(repr=False, compare=False)

    @property
    def has_constructor_values(self) -> bool:
        """Whether it has the value of the model's constructor."""
        return self.rule in (TORCH_VALUES, CONSTRUCTOR_VALUES)


def observe_nothing(parameters: Sequence[nn.Parameter], is_first: bool) -> AbstractContextManager[None]:
    """Return a context that does nothing; see `initialize`."""
    return nullcontext()


@torch.no_grad()
def initialize(
    model: nn.Module,
    generator: torch.Generator,
    rules: Rules,
    bias_scale: Callable[[int], float],
    layers: Sequence[str] | None = None,
    rest: Rules | None = None,
    observe: Observe = observe_nothing,
) -> list[Filled]:
    """Fill the parameters of `model` in place, each by the rule of its role.

    Args:
        model: the model.
        generator: the stream of random numbers that rules draw from.
        rules: the rule of each role.
        bias_scale: maps a layer's fan_in to the factor on its biases.
        layers: patterns of names, as in a shell; `rules` and `bias_scale` are only for layers that match one.
        rest: the rules of the other layers.
        observe: returns the context in which a block of these parameters is filled; and whether it is the first one.

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
    check_patterns(model, rules, layers or ())
    texts: dict[int, str] = {}
    assignments: dict[int, list[Assignment]] = {}
    for assignment in assign_rules(model, rules, bias_scale, layers, rest):
        block = assignment.block
        for parameter in block.parameters:
            assignments.setdefault(id(parameter), []).append(assignment)
        is_first = block.rows.start in (None, 0)
        if assignment.rule is None:
            text = TORCH_VALUES if isinstance(block.module, NORMALISATION) else CONSTRUCTOR_VALUES
        else:
            with observe(block.parameters, is_first):
                text = _fill(assignment, generator)
        texts |= {id(parameter): text for parameter in block.parameters}
    return [
        Filled(
            parameter=name,
            shape="x".join(str(size) for size in parameter.shape),
            rule=_with_parts(texts[id(parameter)], assignments[id(parameter)]),
            mean=parameter.mean().item(),
            std=parameter.std(correction=0).item(),
            zeros=1 - parameter.count_nonzero().item() / parameter.numel(),
            role=str(assignments[id(parameter)][-1].block.role),
            assignment=assignments[id(parameter)][-1],
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


def _with_parts(rule: str, assignments: Sequence[Assignment]) -> str:
    """Return the name of a rule that fills a parameter part by part."""
    parts = [assignment.block.part for assignment in assignments]
    has_rules = len(parts) > 1 and parts[0] and rule != CONSTRUCTOR_VALUES
    return f"{rule} for each of {', '.join(parts)}" if has_rules else rule


def _fill(assignment: Assignment, generator: torch.Generator) -> str:
    """Fill a block by its rule, times the scale, and return the rule's name and arguments.

    Raises:
        BadInput: The rule raises, or does not fill the block.
    """
    block, scale = assignment.block, assignment.scale
    value = value_of(block.module, block.attribute)
    whole = value.clone() if block.is_parametrised else value
    part = whole[block.rows] if block.part else whole
    rule = _call_rule(assignment, part, generator)
    if block.role == Role.BIAS:
        part.mul_(scale)
        rule = f"{rule} * {scale:.6g}"
    padding = getattr(block.module, "padding_idx", None)
    if block.role == Role.EMBEDDING and padding is not None:
        part[padding].zero_()
    if block.is_parametrised:
        rule = f"{rule} through {_set_parametrised(assignment, whole)}"
    return rule


def _set_parametrised(assignment: Assignment, value: Tensor) -> str:
    """Set a parametrised value, and return the names of its parametrisations. Raise BadInput if it is not finite."""
    block = assignment.block
    names = parametrisation_names(block.module, block.attribute)
    with explain_errors(f"{assignment.key}: {names} cannot take the values of {assignment.name}"):
        set_parametrised(block.module, block.attribute, value)
    if not value_of(block.module, block.attribute).isfinite().all():
        raise BadInput(
            f"{assignment.key}: {assignment.name} is not finite, because {names} divides by a norm that is 0; "
            f"give {assignment.key} a rule that does not fill it with zeros"
        )
    return names


def _call_rule(assignment: Assignment, tensor: Tensor, generator: torch.Generator) -> str:
    """Fill a tensor by the rule, and return the rule's name and arguments. Raise BadInput if it is not filled."""
    key, rule, name = assignment.key, assignment.rule, assignment.name
    assert rule is not None
    subject, shape, dtype = f"{key}._target_={dotted_name(rule.func)}", tensor.shape, tensor.dtype
    arguments = select_facts(rule, {"generator": generator, **assignment.facts})
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
    return f"{dotted_name(rule.func).rpartition('.')[2]}({keywords})"


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
