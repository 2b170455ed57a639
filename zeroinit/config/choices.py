"""The shipped options of config groups: the functions that they name, and the options that a config has."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zeroinit import CONF
from zeroinit.config.read import Values


@cache
def targets_in(path: Path, group: str) -> dict[str, str]:
    """Return {key of a node: its `_target_`} of an option of a group; without the file, of the group's keys alone."""
    shared = OmegaConf.select(OmegaConf.load(CONF / "config.yaml"), group) or {}
    option = OmegaConf.merge(shared, OmegaConf.load(path) if path.is_file() else {})
    assert isinstance(option, DictConfig)
    targets = {}
    for key, node in [("", option), *option.items_ex(resolve=False)]:
        if isinstance(node, DictConfig) and "_target_" in node:
            targets[str(key)] = str(node["_target_"])
    return targets


def options_with(key: str) -> list[str]:
    """Return `group=option` for each shipped option that has the key, such as `schedule=ramp` for `schedule.steps`."""
    group, *names = key.split(".")
    files = sorted((CONF / group).glob("*.yaml"))
    return [f"{group}={file.stem}" for file in files if _has_key(OmegaConf.load(file), names)]


def _has_key(node: Any, names: Sequence[str]) -> bool:
    """Return whether the node has the key whose path has these names."""
    for name in names:
        node = node._get_node(name) if isinstance(node, DictConfig) else None
        if node is None:
            return False
    return True


def infer_choices(values: Values) -> dict[str, Any]:
    """Return the shipped option of each group that is most similar to the values, for folders that do not name it."""
    choices, config = {}, OmegaConf.create(values)
    for entry in OmegaConf.load(CONF / "config.yaml").defaults:
        if isinstance(entry, DictConfig):
            [(key, usual)] = entry.items()
            group, _, package = str(key).partition("@")
            if not group.startswith("override "):
                node = OmegaConf.select(config, package or group)
                choices[str(key)] = _closest_option(group, str(usual), node)
    return choices


def _closest_option(group: str, usual: str, node: Any) -> str:
    """Return the option with the most keys in common with the node, minus the others; a function counts twice."""
    if not isinstance(node, DictConfig):
        return usual
    paths = sorted((CONF / group).glob("*.yaml"), key=lambda path: (path.stem != usual, path.stem))
    return max(paths, key=lambda path: _keys_in_common(OmegaConf.load(path), node)).stem


def _keys_in_common(option: Any, node: Any) -> int:
    total = 0
    for key, value in option.items_ex(resolve=False):
        other = node.get(key)
        if isinstance(value, DictConfig):
            total += _keys_in_common(value, other if isinstance(other, DictConfig) else {})
        else:
            total += (1 if value == other else -1) * (2 if key == "_target_" else 1)
    return total
