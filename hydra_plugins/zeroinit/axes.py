"""The axes of a grid, from a sweep file and the command line, as the overrides of each job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from omegaconf import OmegaConf

if TYPE_CHECKING:  # they import torch, which listing the plugins must not
    from zeroinit.config.combinations import Combinations
    from zeroinit.config.grid_keys import GridKeys


def expand_grid(
    params: Mapping[str, Any], arguments: Sequence[str], keys: GridKeys, loader: ConfigLoader
) -> Combinations:
    """Return the combinations of the axes, which have the overrides of each job.

    Args:
        params: {key: its values} of a sweep file.
        arguments: Overrides of the command line; an axis there replaces that of the file.
        keys: What else the sweeper is given.
        loader: Parses the overrides.

    Raises:
        BadInput: An axis has no values, or cannot be one, or there are too many runs.
    """
    # they import torch, which listing the plugins must not
    from zeroinit.config.combinations import Combinations
    from zeroinit.config.overrides import check_extent, check_overrides
    from zeroinit.errors import BadInput

    axes = [f"{key}={format_values(values)}" for key, values in params.items()]
    empty = next((axis for axis in axes if axis.endswith("=")), None)
    if empty:
        raise BadInput(f"{empty}: the axis has no values; give at least one")
    check_extent(axes)
    overrides = OverridesParser.create(loader).parse_overrides([*axes, *arguments])
    check_overrides(overrides)
    _check_axes([override for override in overrides if override.is_sweep_override()])
    # the seeds change slowest, so that a sweep that is interrupted has runs of every cell
    overrides.sort(key=lambda override: not override.key_or_group.startswith("seed"))
    return Combinations(overrides, keys)


def _check_axes(axes: Sequence[Override]) -> None:
    from zeroinit.errors import BadInput  # it imports torch

    for axis in axes:
        if not axis.is_discrete_sweep():
            raise BadInput(f"{axis.input_line}: an interval is for optimising sweepers; give values, such as 0.1,1,10")
    for axis in axes:
        if axis.key_or_group == "size":
            raise BadInput(f"{axis.input_line}: the axes are made of it, so that it cannot be one; give one size")


def format_values(values: Any) -> str:
    """Return the values of an axis in a sweep file as one types them: `0.01,1,100`, `range(3)`, or a list of them."""
    values = OmegaConf.to_container(values) if OmegaConf.is_config(values) else values
    if isinstance(values, list):
        return ",".join(_format_value(value) for value in values)
    return "" if values is None else str(values)


def _format_value(value: Any) -> str:
    """Return a value in Hydra's grammar for overrides."""
    if isinstance(value, list):
        return f"[{','.join(_format_value(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_format_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and not re.fullmatch(r"[\w.+-]+", value):
        return QuotedString(value, Quote.single).with_quotes()
    return "null" if value is None else str(value)
