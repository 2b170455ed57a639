"""The role of each parameter of a model, which follows from the module that holds it.

A rule of an init fills a block at a time: a parameter, or the rows of it that belong together, such as the query's part
of an attention's `in_proj_weight`, or the part of one gate of a recurrent layer.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from typing import get_args

from torch import Tensor, nn
from torch.nn.modules.rnn import RNNCellBase
from torch.nn.utils.parametrize import ParametrizationList

NORMALISATION = (
    nn.modules.batchnorm._NormBase,  # BatchNorm and InstanceNorm
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)
NORMALISATION_NAME = re.compile(r"norm([123]d)?\Z", re.IGNORECASE)  # the end of the name of a class
WeightLayer = nn.Linear | nn.modules.conv._ConvNd
RECURRENT = (nn.RNNBase, RNNCellBase)
LAYERS = (*get_args(WeightLayer), nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.MultiheadAttention, *RECURRENT)
GATES = {4: ("input", "forget", "cell", "output"), 3: ("reset", "update", "new"), 1: ("",)}  # in torch's order
PROJECTIONS = ("query", "key", "value")
ATTENTION = ("in_proj_weight", "in_proj_bias", "bias_k", "bias_v", *(f"{part}_proj_weight" for part in "qkv"))
RECURRENT_NAME = re.compile(r"(?P<kind>weight|bias)_(?P<source>ih|hh|hr)(?P<end>(_l(?P<stage>\d+)(_reverse)?)?)")
ITERATIONS = 15  # of a parametrisation that iterates, as torch's spectral_norm does when it is made


class Role(StrEnum):
    """What a parameter is for. Each role has a key of its own in the group `init`."""

    WEIGHT = "weight"
    BIAS = "bias"
    EMBEDDING = "embedding"
    RECURRENT = "recurrent"
    SCALE = "scale"
    SHIFT = "shift"
    OTHER = "other"


LAYER_ROLES = (Role.WEIGHT, Role.EMBEDDING, Role.RECURRENT)  # a module with a parameter of these is a layer of weights


@dataclass(frozen=True, eq=False)
class Block:
    """What one call of a rule fills.

    Attributes:
        layer: the name of the module; for a parameter of the model itself, the name of the parameter.
        module: the module that holds the parameter.
        attribute: its name in the module.
        role: its role.
        fan_in: inputs of a unit. An embedding has 1, because a token reads one row.
        fan_out: units that an input reaches.
        part: the name of the rows, such as `query` or `forget`; empty for a whole parameter.
        rows: the rows of the block; all for a whole parameter.
        stage: 0, or the index of the layer in a recurrent module with several layers.
    """

    layer: str
    module: nn.Module
    attribute: str
    role: Role
    fan_in: int
    fan_out: int
    part: str = ""
    rows: slice = field(default_factory=partial(slice, None))
    stage: int = 0

    @property
    def is_parametrised(self) -> bool:
        """Whether the value is computed from other parameters, as by weight_norm."""
        return _is_parametrised(self.module, self.attribute)

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that hold the value."""
        return find_parameters(self.module, self.attribute)


def find_parameters(module: nn.Module, attribute: str) -> tuple[nn.Parameter, ...]:
    """Return the parameters that hold a value: more than one if it is parametrised, as by weight_norm."""
    if _is_parametrised(module, attribute):
        return tuple(_parametrisations(module, attribute).parameters(recurse=False))
    parameter = module._parameters[attribute]
    assert parameter is not None
    return (parameter,)


def value_of(module: nn.Module, attribute: str) -> Tensor:
    """Return the value of a parameter. To read a parametrised one changes none of its buffers."""
    if not _is_parametrised(module, attribute):
        value: Tensor = getattr(module, attribute)
        return value
    parametrisations = _parametrisations(module, attribute)
    modes = [(part, part.training) for part in parametrisations.modules()]
    parametrisations.eval()
    try:
        value = getattr(module, attribute)
    finally:
        for part, training in modes:
            part.training = training
    return value


def set_parametrised(module: nn.Module, attribute: str, value: Tensor) -> None:
    """Set a parametrised value by the parametrisation's right inverse, and let it iterate until it is exact."""
    setattr(module, attribute, value)
    for _ in range(ITERATIONS):
        getattr(module, attribute)


def parametrisation_names(module: nn.Module, attribute: str) -> str:
    """Return the names of the classes that parametrise the value, such as `WeightNorm`."""
    return " and ".join(type(part).__name__.lstrip("_") for part in _parametrisations(module, attribute))


def _is_parametrised(module: nn.Module, attribute: str) -> bool:
    parametrised = module._modules.get("parametrizations")  # torch's own function takes longer
    return parametrised is not None and attribute in parametrised._modules


def _parametrisations(module: nn.Module, attribute: str) -> ParametrizationList:
    parametrisations = module.get_submodule(f"parametrizations.{attribute}")
    assert isinstance(parametrisations, ParametrizationList)
    return parametrisations


def declared_blocks(model: nn.Module) -> list[Block]:
    """Return the blocks of all parameters, in the order in which the model declares their modules.

    A parameter that modules share has one role: a layer of weights decides it, or else the first module. Layers of
    weights that share a parameter have a block each, so that it is filled for each of them.
    """
    blocks = [block for name, module in model.named_modules() for block in _blocks_of(name, module)]
    deciding: dict[int, nn.Module] = {}  # {id of a parameter: the module that decides its role}
    for block in sorted(blocks, key=lambda block: not isinstance(block.module, WeightLayer)):
        for parameter in block.parameters:
            deciding.setdefault(id(parameter), block.module)

    def is_decisive(block: Block) -> bool:
        owner = deciding[id(block.parameters[0])]
        return block.module is owner or (isinstance(block.module, WeightLayer) and isinstance(owner, WeightLayer))

    return [block for block in blocks if is_decisive(block)]


def parameter_names(module: nn.Module) -> list[str]:
    """Return the names of the module's parameters, weights before biases, those that are parametrised included."""
    if isinstance(module, ParametrizationList):
        return []  # the module whose value they are holds them
    parametrised = module._modules.get("parametrizations")
    names = [name for name, parameter in module._parameters.items() if parameter is not None]
    names += [str(name) for name in parametrised] if isinstance(parametrised, nn.ModuleDict) else []
    return sorted(names, key=lambda name: "bias" in name)


def _blocks_of(name: str, module: nn.Module) -> Iterator[Block]:
    """Yield the blocks of a module's own parameters."""
    layer = name or type(module).__name__.lower()  # the model itself has no name
    for attribute in parameter_names(module):
        if isinstance(module, nn.MultiheadAttention) and attribute in ATTENTION:
            yield from _attention_blocks(layer, module, attribute)
        elif isinstance(module, RECURRENT) and (match := RECURRENT_NAME.fullmatch(attribute)):
            yield from _recurrent_blocks(layer, module, match)
        else:
            role = _role_of(module, attribute)
            is_other = role == Role.OTHER
            yield Block(name or attribute if is_other else layer, module, attribute, role, *_fans(module, role))


def _role_of(module: nn.Module, attribute: str) -> Role:
    """Return the role of a parameter that is one block."""
    if isinstance(module, NORMALISATION) or _acts_as_normalisation(module):
        return Role.SHIFT if "bias" in attribute else Role.SCALE
    if isinstance(module, nn.Embedding | nn.EmbeddingBag) and attribute == "weight":
        return Role.EMBEDDING
    if isinstance(module, WeightLayer | nn.Bilinear) and attribute in ("weight", "bias"):
        return Role(attribute)
    return Role.OTHER


def _acts_as_normalisation(module: nn.Module) -> bool:
    """Return whether a module that does not inherit from torch's has the name and the parameters of a normalisation.

    This includes GlobalResponseNorm, whose scale 0 gives the identity.
    """
    names = parameter_names(module)
    return (
        NORMALISATION_NAME.search(type(module).__name__) is not None
        and {"weight", "bias"}.issuperset(names)
        and all(value_of(module, name).dim() == 1 for name in names)
    )


def _fans(module: nn.Module, role: Role) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a layer's weight, for its bias as well; (1, 1) where neither is defined."""
    if role == Role.EMBEDDING:
        return 1, value_of(module, "weight").shape[1]
    if role not in (Role.WEIGHT, Role.BIAS):
        return 1, 1
    shape = value_of(module, "weight").shape
    receptive = math.prod(shape[2:]) if isinstance(module, nn.modules.conv._ConvNd) else 1
    return math.prod(shape[1:]), shape[0] * receptive


def _attention_blocks(layer: str, module: nn.MultiheadAttention, attribute: str) -> Iterator[Block]:
    """Yield the blocks of queries, keys and values. `bias_k` and `bias_v` are biases, too."""
    width, fans = module.embed_dim, (module.embed_dim, module.kdim, module.vdim)
    role = Role.BIAS if "bias" in attribute else Role.WEIGHT
    for index, (part, fan_in) in enumerate(zip(PROJECTIONS, fans, strict=True)):
        if attribute.startswith("in_proj"):
            rows = slice(index * width, (index + 1) * width)
            yield Block(layer, module, attribute, role, fan_in, width, part, rows)
        elif attribute in (f"{part[0]}_proj_weight", f"bias_{part[0]}"):
            yield Block(layer, module, attribute, role, fan_in, width)


def _recurrent_blocks(layer: str, module: nn.Module, name: re.Match[str]) -> Iterator[Block]:
    """Yield a block for each gate; a projection (`weight_hr`) has none. The name is that of the parameter."""
    kind, source = name["kind"], name["source"]
    stage = int(name["stage"] or 0)
    fan_in = value_of(module, f"weight_{source}{name['end']}").shape[1]
    rows, width = len(value_of(module, name[0])), int(module.hidden_size)  # type: ignore[arg-type]
    if source == "hr":
        yield Block(layer, module, name[0], Role.WEIGHT, fan_in, rows, stage=stage)
        return
    role = Role.BIAS if kind == "bias" else Role.RECURRENT if source == "hh" else Role.WEIGHT
    for gate, part in enumerate(GATES[rows // width]):
        span = slice(gate * width, (gate + 1) * width)
        yield Block(layer, module, name[0], role, fan_in, width, part, span, stage)
