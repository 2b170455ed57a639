"""The config that a sweep saves in the folder `.hydra` of a job, and how such a folder is read again."""

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from zeroinit.config.choices import infer_choices
from zeroinit.config.identity import ADDED_KEYS, LIMIT_KEYS, SWEEP_ONLY_KEYS
from zeroinit.config.read import Values
from zeroinit.config.unknown import FUNCTION_NODES, shipped_defaults
from zeroinit.config.yaml_limits import check_yaml
from zeroinit.environment import ENV_SET, is_secret
from zeroinit.errors import BadInput
from zeroinit.tracker import mask_uri, mask_word
from zeroinit.tracker.renamed import translate_config

# interpolations that have another value, or none, in another command
COMMAND_REFERENCE = re.compile(r"\$\{(hydra|now):")


@dataclass(frozen=True)
class Saved:
    """A config as it was composed, with its interpolations, and the part of Hydra's node that belongs to it.

    Attributes:
        values: the config.
        choices: {group: option}.
        variables: hydra.job.env_set.
        sweep: the name of the job's sweep; None for a single run.
    """

    values: Values
    choices: dict[str, Any]
    variables: dict[str, str]
    sweep: str | None

    @property
    def hydra_yaml(self) -> Values:
        """The content of hydra.yaml: the part of Hydra's file that is read again."""
        job = {"config_name": self.sweep, "env_set": self.variables}
        return {"hydra": {"mode": "MULTIRUN", "job": job, "runtime": {"choices": self.choices}}}


def to_save(cfg: DictConfig, hydra_node: Any, resolved: Values, sweep: str) -> Saved:
    """Return what to save of a sweep's job, with resolved values in place of references to the command.

    Secret variables are left out, and so are keys to which only the axes of the sweep refer.
    """
    values = {}
    for key, node in cfg.items_ex(resolve=False):
        if key != "hydra":
            raw = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
            values[str(key)] = _lasting(raw, resolved.get(str(key), raw))
    env_set = OmegaConf.to_container(hydra_node.job.env_set)
    assert isinstance(env_set, dict)
    variables = {str(name): value for name, value in env_set.items() if not _holds_secret(str(name), value)}
    saved = values | {ENV_SET: variables}
    unused = {key for key in values if key not in resolved and not _is_referred_to(key, saved)}
    choices = _task_choices(hydra_node.runtime.choices)
    if not _is_referred_to("size", saved):
        choices.pop("size", None)
    return Saved({key: value for key, value in values.items() if key not in unused}, choices, variables, sweep)


def has_secrets(hydra_node: Any) -> bool:
    """Return whether Hydra's node has a secret variable, or an override that sets one."""
    variables: Any = OmegaConf.to_container(hydra_node.job.env_set)
    lines: Any = OmegaConf.to_container(hydra_node.overrides.hydra)
    return any(_holds_secret(str(name), value) for name, value in variables.items()) or any(map(_sets_secret, lines))


def without_secrets(cfg: DictConfig) -> DictConfig:
    """Return a copy of a config with Hydra's node that has no secret variables, and no overrides that set them."""
    copied: DictConfig = deepcopy(cfg)
    node = copied.hydra
    if not has_secrets(node):
        return copied
    with read_write(node), open_dict(node):
        variables: Any = OmegaConf.to_container(node.job.env_set)
        for name, value in variables.items():
            if _holds_secret(str(name), value):
                del node.job.env_set[name]
        lines: Any = OmegaConf.to_container(node.overrides.hydra)
        node.overrides.hydra = [line for line in lines if not _sets_secret(line)]
    return copied


def _sets_secret(line: str) -> bool:
    """Return whether an override of Hydra's node sets a secret variable."""
    return ENV_SET in line and mask_word(line) != line


def _holds_secret(name: str, value: Any) -> bool:
    """Return whether a variable has a secret: its name says so, or it is a uri with a password."""
    return is_secret(name) or mask_uri(str(value)) != str(value)


def read_saved(path: Path) -> Saved | None:
    """Return a saved config, with the hydra.yaml in its folder if there is one; None for one with a defaults list.

    Raises:
        BadInput: No run has saved this file.
    """
    values = translate_config(_load(path))
    if "defaults" in values:
        return None
    shipped = shipped_defaults()
    # an older version had not all keys of the report, nor those that are not hashed at their default; its other keys
    # decide numbers, and are never filled in
    values |= {
        key: shipped[key]
        for key in (*SWEEP_ONLY_KEYS, *LIMIT_KEYS, "metrics", "resume")
        if key in shipped and key not in values
    }
    for key, default in ADDED_KEYS.items():
        if key.rpartition(".")[0] not in FUNCTION_NODES:  # a function has its own defaults
            _add(values, key.split("."), default)
    if "hydra" in values:
        raise BadInput(
            f"{path}: it has a node hydra and no defaults list, like the file that Hydra writes for a sweep; give the "
            "folder .hydra of one of its runs, or the sweep's command"
        )
    hydra_path = path.with_name("hydra.yaml")
    hydra_node = _load(hydra_path).get("hydra") if hydra_path.is_file() else None
    hydra_node = hydra_node if isinstance(hydra_node, dict) else {}
    job, runtime = hydra_node.get("job") or {}, hydra_node.get("runtime") or {}
    sweep = job.get("config_name") if hydra_node.get("mode") == "MULTIRUN" else None
    choices = infer_choices(values) | _task_choices(runtime.get("choices") or {})
    return Saved(values, choices, job.get("env_set") or {}, "sweep" if sweep == "config" else sweep)


def _add(values: Values, path: Sequence[str], default: Any) -> None:
    """Set the key to its default if its node is there and lacks it."""
    *nodes, name = path
    node: Any = values
    for part in nodes:
        node = node.get(part) if isinstance(node, dict) else None
    if isinstance(node, dict):
        node.setdefault(name, deepcopy(default))


def _task_choices(choices: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(key): option for key, option in choices.items() if not str(key).startswith("hydra/")}


def _is_referred_to(key: str, values: Values) -> bool:
    """Return whether the value of another key refers to this key."""
    others = json.dumps({other: value for other, value in values.items() if other != key})
    return bool(re.search(rf"\$\{{{re.escape(key)}[}}.\[]", others))


def _lasting(raw: Any, resolved: Any) -> Any:
    """Return the raw value, with resolved ones in place of references to the command."""
    if isinstance(raw, dict) and isinstance(resolved, dict):
        return {key: _lasting(value, resolved.get(key, value)) for key, value in raw.items()}
    if isinstance(raw, list) and isinstance(resolved, list) and len(raw) == len(resolved):
        return [_lasting(*pair) for pair in zip(raw, resolved, strict=True)]
    return resolved if isinstance(raw, str) and COMMAND_REFERENCE.search(raw) else raw


def _load(path: Path) -> Values:
    check_yaml(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        values = OmegaConf.to_container(OmegaConf.load(path)) if content else {}
    except (yaml.YAMLError, OSError) as error:
        raise BadInput(f"{path}: it cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path}: it holds no keys; give the config.yaml of a run's folder .hydra")
    return {str(key): value for key, value in values.items()}
