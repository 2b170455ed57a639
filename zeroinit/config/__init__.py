"""A composed config before anything is built from it: its plain values, its identity, and its params."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit import CONF
from zeroinit.config.check import Values, at, check, device
from zeroinit.dataset.folder import state
from zeroinit.errors import BadInput
from zeroinit.keys import NO_NUMBER, PLACES


@dataclass(frozen=True)
class Job:
    """One run to be made: its name for a person, what was typed for it, its folder (of Hydra), its resolved config, its
    params, and the hashes of config and cell.
    """

    name: str
    overrides: list[str]
    folder: str
    values: Values
    params: dict[str, str]
    config_hash: str
    cell_hash: str


def resolve(cfg: DictConfig) -> Values:
    """The config as plain values, without Hydra's own node. Raises BadInput where one is missing or out of range."""
    values: Values = {}
    try:
        for key in cfg:
            if key != "hydra":
                node = cfg[key]
                is_node = OmegaConf.is_config(node)
                values[str(key)] = (
                    OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_node else node
                )
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    check(values)
    return values


def hashes(values: Values) -> tuple[str, str]:
    """(of all that can change a number, of the same less the seeds): two runs of one cell differ in the first alone."""
    kept = {key: value for key, value in values.items() if key not in NO_NUMBER}
    data = {key: value for key, value in kept["dataset"].items() if key not in PLACES}
    if data["_target_"] == "zeroinit.dataset.image_folder":
        data["folder"] = state(data["folder"])
    if isinstance(data["resize"], int):
        data["resize"] = [data["resize"]] * 2
    data["normalize"] = {key: one_for_all(constants) for key, constants in data["normalize"].items()}
    kept["dataset"] = data
    if kept["init"]["layers"] is None:
        kept["init"] = {key: value for key, value in kept["init"].items() if key != "rest"}
    elif isinstance(kept["init"]["layers"], str):
        kept["init"] = kept["init"] | {"layers": [kept["init"]["layers"]]}
    if not any(data["augment"].values()):
        kept["seeds"] = {key: value for key, value in kept["seeds"].items() if key != "augment"}
    if not ramped(values):
        del kept["ramp"]
    kept["device"] = device(values["device"]).type
    cell = {key: value for key, value in kept.items() if key != "seeds"}
    return digest(kept), digest(cell)


def ramped(values: Values) -> bool:
    """Whether the first steps have a learning rate of their own."""
    return bool(values["ramp"]["steps"] and values["ramp"]["factor"] != 1)


def one_for_all(constants: Any) -> Any:
    """The number, where a list repeats it for every channel."""
    return constants[0] if isinstance(constants, list) and len(set(constants)) == 1 else constants


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


def options(choices: Mapping[str, Any], values: Values) -> dict[str, str]:
    """The option of each group; where a config puts another function in its option's place, that function's name."""
    found = {}
    for choice, option in choices.items():
        group, _, package = choice.partition("@")  # init@init.rest: an option of init, under another key
        if group.startswith("hydra/"):
            continue
        if package == "init.rest" and values["init"]["layers"] is None:
            if option != "default":
                raise BadInput(
                    f"init@init.rest={option}: init.layers=null leaves it no layer; give a pattern there too"
                )
            continue
        node = package or group
        found[node] = str(option)
        for key, target in targets(CONF / group / f"{option}.yaml").items():
            now = at(values, f"{node}.{key}" if key else node)["_target_"]
            if now != target:
                found[node] = f"{found[node]} {key}={now}" if key else now
    return found


def name(params: Mapping[str, str], overrides: list[str]) -> str:
    """Arch, init, bias scale and seed, and whatever else was typed that can tell the run from others of its sweep."""
    said = ("arch", "init", "bias_scale.value", "seed", "seeds.init", *NO_NUMBER)
    typed = [
        one
        for one in overrides
        if one.partition("=")[0] not in said and not one.startswith(("tracker", "probe")) and "_target_" not in one
    ]
    scale = [f"x{params['bias_scale.value']}"] if "bias_scale.value" in params else []
    words = [params["arch"], params["init"], *scale, f"seed {params['seeds.init']}", *typed]
    return " ".join(words)[:250]


@cache
def targets(path: Path) -> dict[str, str]:
    """{key of a node in the option's file: its `_target_`}; none for an option of the user's own."""
    found = {}
    option = OmegaConf.load(path) if path.is_file() else OmegaConf.create()
    assert isinstance(option, DictConfig)
    for key, node in [("", option), *option.items()]:
        if isinstance(node, DictConfig) and "_target_" in node:
            found[str(key)] = str(node["_target_"])
    return found


def params(values: Values, options: Mapping[str, str]) -> dict[str, str]:
    """What identifies a run to a person, under the keys that one types; nothing of the tracker but its option."""
    found = dict(options)

    def walk(node: Any, path: str) -> None:
        if path == "dataset.cache":
            return  # where, not what
        if path == "init.rest" and values["init"]["layers"] is None:
            return  # it fills nothing
        if path == "ramp.factor" and not values["ramp"]["steps"]:
            return  # there is none
        if isinstance(node, dict):
            for key, value in node.items():
                if key != "_target_" and (path or key != "tracker"):
                    walk(value, f"{path}.{key}" if path else key)
        else:
            found[path] = node if isinstance(node, str) else json.dumps(node)

    walk(plain(values), "")
    return found
