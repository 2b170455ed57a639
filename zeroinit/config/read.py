"""Reads and checks single values of a composed config. A message names the key, the value and what is accepted."""

import json
import re
from collections.abc import Sequence
from typing import Any

import torch

from zeroinit.config.arguments import MAX_INT, is_finite
from zeroinit.errors import BadInput
from zeroinit.tracker import mask_uri

Values = dict[str, Any]


def read(values: Values, key: str) -> Any:
    """Return the value under a dotted key. Raise BadInput if there is none."""
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


def read_int(values: Values, key: str, least: int, accepted_too: str = "", most: int = MAX_INT) -> int:
    """Return a whole number from `least` to `most`; `accepted_too` says what the caller also accepts."""
    value = read(values, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{key}={value}: give a whole number from {least}{accepted_too}")
    if value > most:
        raise BadInput(f"{key}={value}: give a whole number from {least} to {most}{accepted_too}")
    return value


def read_bool(values: Values, key: str) -> bool:
    """Return a truth value."""
    value = read(values, key)
    if not isinstance(value, bool):
        raise BadInput(f"{key}={value}: give true or false")
    return value


def read_choice(values: Values, key: str, choices: Sequence[str]) -> Any:
    """Return one of the choices."""
    value = read(values, key)
    if value not in choices:
        raise BadInput(f"{key}={value}: give {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def read_name(values: Values, key: str, accepted_too: str = "") -> str:
    """Return a text that is not blank; `accepted_too` says what the caller also accepts."""
    value = read(values, key)
    if not (isinstance(value, str) and value.strip()):
        raise BadInput(f"{key}={value}: give a name{accepted_too}")
    return value


def require_nonnegative(key: str, value: Any) -> None:
    """Raise BadInput unless the value is a finite number, 0 or greater."""
    if not is_finite(value) or value < 0:
        raise BadInput(f"{key}={value}: give a finite number, 0 or greater")


def check_uri(uri: Any) -> None:
    """Raise BadInput for a tracker.uri that is no text, or that has a password, which would be written to files."""
    if uri is not None and not isinstance(uri, str):
        raise BadInput(f"tracker.uri={uri}: give sqlite:///FILE.db, another database or http(s)://SERVER, or null")
    if uri is not None and mask_uri(uri) != uri:
        raise BadInput(
            f"tracker.uri={mask_uri(uri)}: a password here would be written to files; "
            "name the server by the environment variable MLFLOW_TRACKING_URI"
        )


def resolve_device(name: Any) -> torch.device:
    """Return the torch device that `device=` names. Raise BadInput for another name, or if this machine lacks it."""
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:\d{1,2})?", name):
        raise BadInput(f"device={name}: give auto, cpu, cuda or cuda:N")
    available = torch.cuda.device_count() if name != "cpu" and torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= available:
        raise BadInput(
            f"device={name}: torch finds {available or 'no'} CUDA device(s) here; give device=cpu or device=auto"
        )
    return device
