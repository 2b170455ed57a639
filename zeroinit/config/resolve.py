"""From a composed config to plain values, the options of its groups, its params and its name."""

import json
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from zeroinit import CONF
from zeroinit.config.choices import targets_in
from zeroinit.config.identity import KEYS_WITHOUT_EFFECT, LIMIT_KEYS, SWEEP_ONLY_KEYS, canonical
from zeroinit.config.read import Values, read
from zeroinit.config.schema import RunConfig
from zeroinit.config.unknown import check_keys
from zeroinit.errors import BadInput
from zeroinit.tracker import is_known_secret, mask_uri, mask_word

# nodes whose functions are part of an option's name: the option itself, and the rules of an init
NAMED_WITH_OPTION = ("", "weight", "bias")


def resolve(cfg: DictConfig, hydra_node: Any) -> Values:
    """Return the config as plain values, without Hydra's own node and without helper keys.

    Raises:
        BadInput: A key is unknown, or a value is missing or out of range.
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
    except MissingMandatoryValue as error:
        raise BadInput(f"{error.full_key}: it has no value; give {error.full_key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise BadInput(f"{error.full_key}: {str(error).splitlines()[0]}") from error
    _check_key_types(values)
    RunConfig.parse(values)  # only a check, of 0.1 ms: Job.config parses the values that a job has when it is used
    return values


def _check_key_types(node: Any, path: str = "") -> None:
    """Raise BadInput for a node whose keys are of several types: they have no order, which the hash needs."""
    if isinstance(node, list):
        for item in node:
            _check_key_types(item, path)
    if not isinstance(node, dict):
        return
    if len({type(key) for key in node}) > 1:
        key = next(key for key in node if not isinstance(key, str))
        raise BadInput(f"{path}.{key}: its node has keys that are text; quote this one, as '{key}'")
    for key, value in node.items():
        _check_key_types(value, f"{path}.{key}" if path else str(key))


def find_options(choices: Mapping[str, Any], values: Values) -> dict[str, str]:
    """Return the option of each group; if a config replaces the option's function, the function's name.

    The function of a node below a group, such as `dataset.train` or `init.other`, has a name under its own key.
    """
    names = {}
    for choice, option in choices.items():
        group, _, package = choice.partition("@")  # init@init.rest: an option of init, under another key
        if group.startswith("hydra/") or group in SWEEP_ONLY_KEYS:
            continue
        if package == "init.rest" and values["init"]["layers"] is None:
            if option != "default":
                raise BadInput(
                    f"init@init.rest={option}: init.layers=null leaves it no layer; give a pattern there too"
                )
            continue
        node = package or group
        names[node] = str(option)
        path, chosen = CONF / group / f"{option}.yaml", read(values, node)
        shipped = targets_in(path, group)
        for key, inner in [("", chosen), *chosen.items()]:
            target = inner.get("_target_") if isinstance(inner, dict) else None
            if target is None or target == shipped.get(key):
                continue
            if key not in NAMED_WITH_OPTION:
                names[f"{node}.{key}"] = target
            elif path.is_file():  # the name of an option of the user stands for its functions
                names[node] = f"{names[node]} {key}={target}" if key else target
    return names


def make_name(params: Mapping[str, str], overrides: list[str]) -> str:
    """Return arch, init, bias scale, seed, and the other overrides that can distinguish runs of a sweep."""
    skipped = ("arch", "init", "bias_scale.value", "seed", "seeds.init", *KEYS_WITHOUT_EFFECT)
    typed = [
        line
        for line in overrides
        if line.partition("=")[0] not in skipped
        and not line.lstrip("+").startswith(("tracker", "probe", "metrics", *LIMIT_KEYS))
        and ("_target_" not in line or _names_param(line, params))
    ]
    scale = [f"x{params['bias_scale.value']}"] if "bias_scale.value" in params else []
    words = [params["arch"], params["init"], *scale, f"seed {params['seeds.init']}", *map(mask_word, typed)]
    return " ".join(words)[:250]


def _names_param(line: str, params: Mapping[str, str]) -> bool:
    """Return whether an override gives the function of a node below a group, which is a param."""
    key = line.lstrip("+").partition("=")[0].removesuffix("._target_")
    return "." in key and key in params


def make_params(values: Values, options: Mapping[str, str]) -> dict[str, str]:
    """Return what identifies a run for the user, under the keys that they type; of the tracker only its option."""
    flat = dict(options)

    def walk(node: Any, path: str) -> None:
        if path == "dataset.cache" or path in (*SWEEP_ONLY_KEYS, *LIMIT_KEYS):
            return  # a path; keys that only other keys refer to; and limits
        if path == "metrics":
            flat[path] = json.dumps(node, sort_keys=True)  # whole, because its functions count, too
            return
        if path == "init.rest" and values["init"]["layers"] is None:
            return  # it fills nothing
        if isinstance(node, dict):
            for key, value in node.items():
                if key != "_target_" and (path or key not in ("tracker", "claims")):
                    walk(value, f"{path}.{key}" if path else key)
        else:
            flat[path] = _hide_secret(node) if isinstance(node, str) else json.dumps(node)

    walk(canonical(values), "")
    return flat


def _hide_secret(value: str) -> str:
    """Return the value of a param; without a password, and `***` for a secret that the config reads by `oc.env`."""
    return "***" if is_known_secret(value) else mask_uri(value) if "://" in value else value
