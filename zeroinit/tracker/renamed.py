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
USER_KEY = "dataset.held_out"  # a user's own data set function may have an argument of this name, which stays
MODES = {"start": "train", "only": "lint", "audit": "audit"}  # {value of `check` before 0.2.0: mode}


def translate_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the params of a stored run under today's keys."""
    renamed = _renamed_keys(params.get("dataset") == "image_folder")
    translated = {renamed.get(key, key): value for key, value in params.items() if key not in ("check", "plan")}
    if "check" in params:
        translated["mode"] = "train"  # only a run that trains is stored
    return translated


def translate_command(command: str) -> str:
    """Return a command that was typed before 0.2.0 as one types it today. `check` and `plan` train nothing."""
    for old, new in _renamed_keys("dataset=image_folder" in command).items():
        if "." in old:
            command = re.sub(rf"(?<![\w.]){re.escape(old)}=", f"{new}=", command)
    return command


def translate_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a stored run, with its command as one types it today."""
    return {key: translate_command(value) if key == "command" else value for key, value in tags.items()}


def translate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config under today's keys."""
    dataset = values.get("dataset")
    is_image_folder = isinstance(dataset, Mapping) and dataset.get("_target_") == "zeroinit.dataset.image_folder"
    translated = _translate_node(values, "", _renamed_keys(is_image_folder))
    if "check" in values or "plan" in values:
        mode = "plan" if values.get("plan") is True else MODES.get(values.get("check", "start"), "train")
        translated["mode"] = mode
    return translated


def _renamed_keys(is_image_folder: bool) -> dict[str, str]:
    return {old: new for old, new in RENAMED_KEYS.items() if old != USER_KEY or is_image_folder}


def _translate_node(node: Mapping[str, Any], path: str, renamed: Mapping[str, str]) -> dict[str, Any]:
    translated: dict[str, Any] = {}
    for key, value in node.items():
        full = f"{path}.{key}" if path else key
        if full in ("check", "plan"):
            continue
        name = renamed.get(full, full).rpartition(".")[2]
        translated[name] = _translate_node(value, full, renamed) if isinstance(value, Mapping) else value
    return translated
