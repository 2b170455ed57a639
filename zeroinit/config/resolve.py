"""From a composed config to plain values, the options of its groups, its params and its name."""

import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zeroinit import CONF
from zeroinit.config.check import Values, at, check
from zeroinit.config.choices import targets
from zeroinit.config.claims import check_claims
from zeroinit.config.identity import plain
from zeroinit.config.keys import NO_NUMBER, OF_SWEEPS
from zeroinit.config.unknown import check_keys
from zeroinit.errors import BadInput


def resolve(cfg: DictConfig, hydra_node: Any) -> Values:
    """Return the config as plain values, without Hydra's own node and without helper keys.

    Raises:
        BadInput: a key is unknown, or a value is missing or out of range.
    """
    values: Values = {}
    helpers = check_keys(cfg, hydra_node)
    try:
        for key in cfg:
            if key != "hydra" and key not in helpers:
                node = cfg[key]
                is_node = OmegaConf.is_config(node)
                values[str(key)] = (
                    OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if is_node else node
                )
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    check(values)
    check_claims(at(values, "claims"))
    return values


def options(choices: Mapping[str, Any], values: Values) -> dict[str, str]:
    """The option of each group; where a config puts another function in its option's place, that function's name."""
    found = {}
    for choice, option in choices.items():
        group, _, package = choice.partition("@")  # init@init.rest: an option of init, under another key
        if group.startswith("hydra/") or group in OF_SWEEPS:
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


def params(values: Values, options: Mapping[str, str]) -> dict[str, str]:
    """What identifies a run to a person, under the keys that one types; nothing of the tracker but its option."""
    found = dict(options)

    def walk(node: Any, path: str) -> None:
        if path == "dataset.cache" or path in OF_SWEEPS:
            return  # where, not what; what the other keys were made of
        if path == "init.rest" and values["init"]["layers"] is None:
            return  # it fills nothing
        if path == "ramp.factor" and not values["ramp"]["steps"]:
            return  # there is none
        if isinstance(node, dict):
            for key, value in node.items():
                if key != "_target_" and (path or key not in ("tracker", "claims")):
                    walk(value, f"{path}.{key}" if path else key)
        else:
            found[path] = node if isinstance(node, str) else json.dumps(node)

    walk(plain(values), "")
    return found
