"""Config keys that had another name before 0.2.0. They are refused when typed, and translated when they are read."""

import re
from collections.abc import Mapping
from typing import Any

RENAMED_KEYS = {  # {before 0.2.0: now}
    "dataset.limit": "dataset.max_examples",
    "dataset.held_out": "dataset.val_fraction",
    "dataset.augment.crop": "dataset.augment.padding",
    "probe.dense": "probe.first_steps",
    "probe.a_decade": "probe.per_decade",
    "check": "mode",
    "plan": "mode",
}
MODES = {"start": "train", "only": "lint", "audit": "audit"}  # {value of `check` before 0.2.0: mode}


def translate_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the params of a stored run under today's keys."""
    translated = {RENAMED_KEYS.get(key, key): value for key, value in params.items() if key not in ("check", "plan")}
    if "check" in params:
        translated["mode"] = "train"  # only a run that trains is stored
    return translated


def translate_command(command: str) -> str:
    """Return a command that was typed before 0.2.0 as one types it today. `check` and `plan` train nothing."""
    for old, new in RENAMED_KEYS.items():
        if "." in old:
            command = re.sub(rf"(?<![\w.]){re.escape(old)}=", f"{new}=", command)
    return command


def translate_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a stored run, with its command as one types it today."""
    return {key: translate_command(value) if key == "command" else value for key, value in tags.items()}


def translate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config under today's keys."""
    translated = _translate_node(values, "")
    if "check" in values or "plan" in values:
        mode = "plan" if values.get("plan") is True else MODES.get(values.get("check", "start"), "train")
        translated["mode"] = mode
    return translated


def _translate_node(node: Mapping[str, Any], path: str) -> dict[str, Any]:
    translated: dict[str, Any] = {}
    for key, value in node.items():
        full = f"{path}.{key}" if path else key
        if full in ("check", "plan"):
            continue
        name = RENAMED_KEYS.get(full, full).rpartition(".")[2]
        translated[name] = _translate_node(value, full) if isinstance(value, Mapping) else value
    return translated
