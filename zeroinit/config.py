"""A composed config before anything is built from it: what it must satisfy, its identity, and its params."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit import CONF
from zeroinit.dataset.folder import state
from zeroinit.errors import BadInput
from zeroinit.tracker import without_password

STREAMS = ("init", "order", "augment", "forward", "split")
NO_NUMBER = ("tracker", "sweep", "save", "seed")  # cannot change a number; `seed` acts through `seeds` alone
PLACES = ("root", "cache")  # of a data set: where files lie, which cannot either

Values = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One run to be made: its name for a person, its resolved config, its params, and the hashes of config and cell."""

    name: str
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
    """Raise BadInput at the first value that is missing or out of range, with its key and what is accepted."""
    rules = ("init.weight", "init.bias", "init.rest.weight", "init.rest.bias")
    for key in ("dataset", "arch", *rules, "bias_scale", "optimizer", "tracker"):
        node = at(values, key)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise BadInput(f"{key}={node}: give the keys of a function, its name under _target_")
    epochs, steps = at(values, "epochs"), at(values, "steps")
    if epochs is not None and steps is not None:
        raise BadInput(f"epochs={epochs} and steps={steps}: give one of them and set the other to null")
    if epochs is None and steps is None:
        raise BadInput("epochs=null and steps=null: give one of them, a whole number from 1")
    whole("epochs" if steps is None else "steps", epochs if steps is None else steps, 1)
    whole("threads", at(values, "threads"), 1)
    if at(values, "dataset.batch_size") != "all":
        whole("dataset.batch_size", at(values, "dataset.batch_size"), 1, " or all")
    for key in ("seed", *(f"seeds.{stream}" for stream in STREAMS)):
        whole(key, at(values, key), 0)
    check_dataset(values)
    layers = at(values, "init.layers")
    for pattern in layers if isinstance(layers, list) and layers else [layers]:
        if layers is not None and not (isinstance(pattern, str) and pattern):
            raise BadInput(
                f"init.layers={layers}: give a pattern of layer names such as conv*, a list of them, or null"
            )
    if at(values, "loss.reduction") not in ("mean", "sum"):
        raise BadInput(f"loss.reduction={at(values, 'loss.reduction')}: give mean or sum")
    for key in ("deterministic", "save", "dataset.shuffle", "dataset.augment.flip"):
        if not isinstance(at(values, key), bool):
            raise BadInput(f"{key}={at(values, key)}: give true or false")
    for group, key in (("bias_scale", "value"), ("optimizer", "lr")):
        if key in values[group]:  # a function of the user's own may do without
            number(f"{group}.{key}", values[group][key])
    device(at(values, "device"))
    check_uri(values["tracker"].get("uri"))
    sweep = at(values, "sweep")
    if sweep is not None and not (isinstance(sweep, str) and sweep.strip()):
        raise BadInput(f"sweep={sweep}: give a name, or null")


def check_dataset(values: Values) -> None:
    """Raise BadInput for a value of what all data sets have in common: size, channels, normalisation, augmentation."""
    for node, keys in (("augment", ("crop", "flip")), ("normalize", ("mean", "std"))):
        for key in keys:
            at(values, f"dataset.{node}.{key}")
        for key in values["dataset"][node]:
            if key not in keys:
                raise BadInput(f"dataset.{node}.{key}: there is no such key; {' and '.join(keys)} are all")
    whole("dataset.augment.crop", at(values, "dataset.augment.crop"), 0)
    resize = at(values, "dataset.resize")
    for side in resize if isinstance(resize, list) and len(resize) == 2 else [resize]:
        if resize is not None and (not isinstance(side, int) or isinstance(side, bool) or side < 1):
            raise BadInput(f"dataset.resize={resize}: give the side of a square in pixels, [HEIGHT,WIDTH], or null")
    channels = at(values, "dataset.channels")
    if not (channels is None or (type(channels) is int and channels in (1, 3))):
        raise BadInput(f"dataset.channels={at(values, 'dataset.channels')}: give 1 (grey), 3 (colour) or null")
    for key in ("mean", "std"):
        constants = at(values, f"dataset.normalize.{key}")
        for constant in constants if isinstance(constants, list) and constants else [constants]:
            if not finite(constant):
                raise BadInput(f"dataset.normalize.{key}={constants}: give a finite number, or a list of them")
            if key == "std" and not torch.tensor(constant, dtype=torch.float32) > 0:  # 1e-50 is 0 there
                raise BadInput(f"dataset.normalize.std={constants}: give what is greater than 0, as it divides")
    held_out = values["dataset"].get("held_out")
    if "held_out" in values["dataset"] and not (finite(held_out) and 0 < held_out < 1):
        raise BadInput(f"dataset.held_out={held_out}: give a number between 0 and 1")


def at(values: Values, key: str) -> Any:
    """The value under a dotted key. Raises BadInput where there is none."""
    node: Any = values
    for part in key.split("."):
        if not isinstance(node, dict):
            parent = key.partition(f".{part}")[0]
            hint = f"; say init@init.rest={node}" if parent == "init.rest" else ""
            raise BadInput(f"{parent}={json.dumps(node)}: it holds keys, such as {key}; give those{hint}")
        if part not in node:
            raise BadInput(f"{key}: there is no such key in the config; it is needed")
        node = node[part]
    return node


def check_uri(uri: Any) -> None:
    """Raise BadInput for a tracker.uri that is none, or that would carry a password into the files of every run."""
    if uri is not None and not isinstance(uri, str):
        raise BadInput(f"tracker.uri={uri}: give sqlite:///FILE.db, another database or http(s)://SERVER, or null")
    if uri is not None and without_password(uri) != uri:
        raise BadInput(
            f"tracker.uri={without_password(uri)}: a password here would be written to files; "
            "name the server by the environment variable MLFLOW_TRACKING_URI"
        )


def whole(key: str, value: Any, least: int, accepted_too: str = "") -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{key}={value}: give a whole number from {least}{accepted_too}")


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(key: str, value: Any) -> None:
    if not finite(value) or value < 0:
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
    kept["device"] = device(values["device"]).type
    cell = {key: value for key, value in kept.items() if key != "seeds"}
    return digest(kept), digest(cell)


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
        if one.partition("=")[0] not in said and not one.startswith("tracker") and "_target_" not in one
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
        if isinstance(node, dict):
            for key, value in node.items():
                if key != "_target_" and (path or key != "tracker"):
                    walk(value, f"{path}.{key}" if path else key)
        else:
            found[path] = node if isinstance(node, str) else json.dumps(node)

    walk(plain(values), "")
    return found
