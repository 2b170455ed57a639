"""Checks of overrides, on the command line or as axes in a sweep file, before Hydra composes them."""

import json
import math
import os
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString, RangeSweep, Sweep
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit import CONF
from zeroinit.config.nearest import nearest
from zeroinit.config.read import check_uri
from zeroinit.errors import BadInput
from zeroinit.tracker import mask_word

MAX_AXIS_VALUES = 1_000_000  # beyond it, reading the axis alone takes seconds
MAX_CHARACTERS = 10_000  # of an override; Hydra needs seconds for a list of numbers of this length
MAX_DEPTH = 50  # levels of brackets in an override; Hydra reads them by recursion


def check_extent(lines: Iterable[str]) -> None:
    """Raise BadInput for an override that is longer, or has deeper lists and keys, than Hydra can read in seconds."""
    for line in lines:
        if len(line) > MAX_CHARACTERS:
            raise BadInput(
                f"{mask_word(line)[:60]}...: it has {len(line):,} characters; give at most {MAX_CHARACTERS:,}, or put "
                "the value into a file that -cd finds"
            )
        depth = deepest = 0
        for character in line:
            depth += (character in "[{(") - (character in ")}]")
            deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            raise BadInput(f"{mask_word(line)}: it has {deepest} levels of brackets; give at most {MAX_DEPTH}")


def check_overrides(overrides: Sequence[Override]) -> None:
    """Raise BadInput for overrides that Hydra would explain badly, or that must not be written to a file.

    These are a value in place of an option of a group (bias_scale=0.1 for bias_scale.value=0.1), an axis without values
    or with too many, and a password.
    """
    for override in overrides:
        key, line = override.key_or_group, mask_word(str(override.input_line))
        if override.is_delete():
            continue
        if "${" in line:
            _check_interpolation(line)
        if override.is_sweep_override() and not override.is_discrete_sweep():
            continue  # an interval, which only an optimising sweeper accepts
        count = count_values(override, line) if override.is_sweep_override() else 1
        is_group = bool(key) and any((CONF / key).glob("*.yaml"))
        if override.is_range_sweep() and count and not is_group:
            continue  # numbers, which need not be read here
        values = axis_values(override, line) if override.is_sweep_override() else [override.value()]
        if any(isinstance(value, Sweep) for value in values):
            raise BadInput(f"{line}: a value is an axis itself, as range(3) is; give an axis with the values alone")
        if not values or (is_group and values == [""]):
            raise BadInput(f"{line}: the axis has no values; give at least one")
        for value in values if is_group else ():
            _check_option(key, str(override.input_line).partition("=")[0].lstrip("+"), value)
        if key == "tracker.uri":
            for value in values:
                check_uri(value)
        if key == "hydra.job.env_copy":
            _check_env_copy(line, values)


def _check_interpolation(line: str) -> None:
    """Raise BadInput for an override with an interpolation that OmegaConf cannot read."""
    try:
        OmegaConf.create({"line": line})
    except OmegaConfBaseException as error:
        raise BadInput(f"{line}: an interpolation cannot be read: {str(error).splitlines()[0]}") from error


def _check_env_copy(line: str, values: Iterable[Any]) -> None:
    """Raise BadInput for a variable that Hydra should copy to the jobs and that the environment lacks."""
    for names in values:
        absent = [str(name) for name in names if str(name) not in os.environ] if isinstance(names, list) else []
        if absent:
            raise BadInput(f"{line}: there is no environment variable {absent[0]}; set it, or leave it out")


def find_repeated(values: Sequence[Any]) -> Any:
    """Return the first value that occurs for the second time; None if there is none."""
    hashed = [value for value in values if isinstance(value, Hashable)]
    others = [value for value in values if not isinstance(value, Hashable)]
    earlier: set[Hashable] = set()
    for value in hashed:
        if value in earlier:
            return value
        earlier.add(value)
    return next((value for index, value in enumerate(others) if value in others[:index]), None)


def check_repeated(override: Override) -> None:
    """Raise BadInput for an axis with a value twice, which would be two equal runs."""
    values = override._value.list if isinstance(override._value, ChoiceSweep) else []
    if (twice := find_repeated(values)) is not None:
        line = mask_word(str(override.input_line))
        raise BadInput(f"{line}: the axis has the value {twice} twice; give each value once")


def axis_values(override: Override, line: str) -> list[Any]:
    """Return the values of an axis. Raise BadInput if there are too many, or if the axis cannot be read."""
    count_values(override, line)
    return list(override.sweep_iterator())


def count_values(override: Override, line: str) -> int:
    """Return the number of values of an axis. Raise BadInput if there are too many, or if the axis cannot be read."""
    try:
        count = _count_range(override._value) if isinstance(override._value, RangeSweep) else None
        count = len([*override.sweep_iterator()]) if count is None else count
    except (ValueError, TypeError, ArithmeticError) as error:
        raise BadInput(f"{line}: the axis cannot be read: {error}") from error
    if count > MAX_AXIS_VALUES:
        raise BadInput(f"{line}: the axis has more than {MAX_AXIS_VALUES:,} values; give fewer")
    return count


def _count_range(sweep: RangeSweep) -> int:
    """Return the number of values of a range, without making them."""
    if sweep.step == 0:
        raise ValueError("its step is 0")
    values = sweep.range()
    if isinstance(values, range):
        return max(0, -((values.start - values.stop) // values.step))
    return max(0, math.ceil((Decimal(values.stop) - Decimal(values.start)) / Decimal(values.step)))


def _check_option(group: str, key: str, value: Any) -> None:
    """Raise BadInput for a value of a config group that is not the name of an option."""
    if isinstance(value, str | QuotedString | dict) and value not in ("", {}):
        return  # Hydra lists the options; keys in braces change those of the option
    number_keys = {"bias_scale": "bias_scale.value", "optimizer": "optimizer.lr"}
    accepted = ", ".join(sorted(path.stem for path in (CONF / group).glob("*.yaml")))
    typed = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    if group in number_keys and isinstance(value, int | float) and not isinstance(value, bool):
        raise BadInput(f"{key}={typed}: give {number_keys[group]}={typed}; {key} itself is one of {accepted}")
    others = "such as" if group.startswith("hydra/") else "one of"  # Hydra has more than conf/ has
    raise BadInput(f"{key}={typed}: give the name of one option, {others} {accepted}")


def keys_of(lines: Iterable[str]) -> set[str]:
    """Return the keys that overrides change, such as `init.rest` for `init@init.rest=zero`."""
    names = (line.lstrip("+~").partition("=")[0].partition("@") for line in lines)
    return {package or key for key, _, package in names}


def check_hydra_keys(path: str, node: Any, groups: Collection[str] = ()) -> None:
    """Raise BadInput for a key that Hydra would ignore: neither its schema nor `groups` has it."""
    schema = OmegaConf.get_type(node)
    if not is_dataclass(schema) or schema.__module__ != "hydra.conf":
        return  # a node of a plugin, whose constructor checks its keys
    known = {field.name for field in fields(schema)} | {*groups}
    for key in node:
        if key not in known:
            nearest_key = f"{path}.{nearest(str(key), known)}"
            raise BadInput(f"{path}.{key}: Hydra has no such key; the nearest key is {nearest_key}")
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            check_hydra_keys(f"{path}.{key}", child)


def check_plugins(hydra_node: Any) -> None:
    """Raise BadInput if Hydra cannot use the launcher, the sweeper or the axes of a sweep."""
    check_hydra_keys("hydra", hydra_node, {group.partition("/")[2] for group in hydra_node.runtime.choices})
    for plugin in ("launcher", "sweeper"):
        node = hydra_node.get(plugin)
        if not (isinstance(node, DictConfig) and isinstance(node.get("_target_"), str)):
            raise BadInput(f"hydra.{plugin}={node}: choose one by hydra/{plugin}=NAME, and change only its keys")
    axes = hydra_node.sweeper.get("params")
    if axes is not None and not isinstance(axes, DictConfig):
        raise BadInput(
            f"hydra.sweeper.params={axes}: give keys, each with the values of an axis, such as {{seed: range(3)}}"
        )
