"""A composed config before anything is built from it: what it must satisfy, its identity, and its params."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit.errors import BadInput

STREAMS = ("init", "order", "forward", "split")
NO_NUMBER = ("tracker", "sweep", "save", "seed")  # cannot change a number; `seed` acts through `seeds` alone

Values = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run to be made: its resolved config, its params, and the hashes of config and cell."""

    values: Values
    params: dict[str, str]
    config_hash: str
    cell_hash: str


def resolve(cfg: DictConfig) -> Values:
    """The config as plain values, without Hydra's own node. Raises BadInput where one is missing or out of range."""
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    try:
        values: Values = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    check(values)
    return values


def check(values: Values) -> None:
    """Raise BadInput at the first value that is out of range, with its key and what is accepted."""
    if values["epochs"] is not None and values["steps"] is not None:
        raise BadInput(
            f"epochs={values['epochs']} and steps={values['steps']}: give one of them and set the other to null"
        )
    if values["epochs"] is None and values["steps"] is None:
        raise BadInput("epochs=null and steps=null: give one of them, a whole number from 1")
    for key in ("epochs", "steps", "threads"):
        if values[key] is not None or key == "threads":
            whole(key, values[key], 1)
    if values["dataset"]["batch_size"] != "all":
        whole("dataset.batch_size", values["dataset"]["batch_size"], 1, " or all")
    whole("seed", values["seed"], 0)
    for stream in STREAMS:
        whole(f"seeds.{stream}", values["seeds"][stream], 0)
    for key in ("deterministic", "save", "dataset.shuffle"):
        value = values["dataset"]["shuffle"] if key == "dataset.shuffle" else values[key]
        if not isinstance(value, bool):
            raise BadInput(f"{key}={value}: give true or false")
    for group, key in (("bias_scale", "value"), ("optimizer", "lr")):
        if key in values[group]:  # a function of the user's own may do without
            number(f"{group}.{key}", values[group][key])
    device(values["device"])
    sweep = values["sweep"]
    if sweep is not None and not (isinstance(sweep, str) and sweep.strip()):
        raise BadInput(f"sweep={sweep}: give a name, or null")


def whole(key: str, value: Any, least: int, accepted_too: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{key}={value}: give a whole number from {least}{accepted_too}")


def number(key: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise BadInput(f"{key}={value}: give a finite number, 0 or greater")


def device(name: Any) -> torch.device:
    """The torch device that `device=` names. Raises BadInput for another name, or one that this machine lacks."""
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise BadInput(f"device={name}: give auto, cpu, cuda or cuda:N")
    found = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if found else "cpu")
    wanted = torch.device(name)
    if wanted.type == "cuda" and (wanted.index or 0) >= found:
        raise BadInput(
            f"device={name}: torch finds {found or 'no'} CUDA device(s) here; give device=cpu or device=auto"
        )
    return wanted


def hashes(values: Values) -> tuple[str, str]:
    """(of all that can change a number, of the same less the seeds): two runs of one cell differ in the first alone."""
    kept = {key: value for key, value in values.items() if key not in NO_NUMBER}
    kept["dataset"] = {key: value for key, value in kept["dataset"].items() if key != "root"}
    kept["device"] = device(values["device"]).type
    cell = {key: value for key, value in kept.items() if key != "seeds"}
    return digest(kept), digest(cell)


def digest(values: Values) -> str:
    return hashlib.sha256(json.dumps(plain(values), sort_keys=True).encode()).hexdigest()[:16]


def plain(value: Any) -> Any:
    """The value with every whole float as an int, so that `1` and `1.0` are one value."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole else value


def options(choices: Mapping[str, Any], overrides: list[str]) -> dict[str, str]:
    """The option of each group; where an override puts a function of the user's in its place, that function's name."""
    chosen = {group: str(option) for group, option in choices.items() if not group.startswith("hydra/")}
    for override in overrides:
        key, _, target = override.partition("=")
        group, _, rest = key.lstrip("+").partition(".")
        if rest == "_target_":
            chosen[group] = target
        elif rest.endswith("._target_"):
            chosen[group] += f" {rest.removesuffix('._target_')}={target}"
    return chosen


def params(values: Values, options: Mapping[str, str]) -> dict[str, str]:
    """What identifies a run to a person, under the keys that one types; nothing of the tracker but its option."""
    found = dict(options)

    def walk(node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key != "_target_" and (path or key != "tracker"):
                    walk(value, f"{path}.{key}" if path else key)
        else:
            found[path] = node if isinstance(node, str) else json.dumps(node)

    walk(plain(values), "")
    return found
