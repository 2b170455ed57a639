"""Names that were others before 0.2.0: an old key is refused when it is typed, and translated when it is read."""

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

from zeroinit.tracker.tags import Tag

RENAMED_KEYS = {  # {before 0.2.0: now}
    "dataset.limit": "dataset.max_examples",
    "dataset.held_out": "dataset.val_fraction",
    "dataset.augment.crop": "dataset.augment.padding",
    "probe.dense": "probe.first_steps",
    "probe.a_decade": "probe.per_decade",
    "ramp.steps": "schedule.steps",  # with schedule=ramp
    "ramp.factor": "schedule.factor",
    "check": "mode",
    "plan": "mode",
}
RENAMED_PROBES = {"arrival": "first_gradient"}
RENAMED_METRICS = {  # by the part of the name before the first slash
    "arrival": "first_gradient",
    "predicted_arrival": "first_gradient_predicted",
}
RENAMED_TAGS = {
    "verdict": Tag.OUTCOME,
    "reason": Tag.OUTCOME_REASON,
    "seconds": Tag.TRAIN_SECONDS,
    "stack": Tag.STACK_SIZE,
    "plan": Tag.STACK_REASON,
    "lint": Tag.LINT_FINDINGS,
    "left_out": Tag.SKIPPED_PROBES,
    "test_counts": Tag.TEST_CLASS_COUNTS,
}
RENAMED_CLAIM_KEYS = {"says": "statement", "is": "test", "cell": "cells", "other": "reference", "points": "margin"}
RENAMED_CLAIM_TESTS = {  # {value of `is` before 0.2.0: value of `test`}
    "better_than": "superior",
    "as_good_as": "non_inferior",
    "at_the_prior": "predicts_one_class",
    "arrives_in_order": "wakes_in_order",
}
METRIC_POINTS = "metric_points"  # the column of docs/results.csv with points [metric, value, step], as JSON
METRIC_POINTS_BEFORE = "watched"  # its name before 0.2.0
# a key of image_folder alone; an argument of this name of a user's own data set function stays
USER_KEY = "dataset.held_out"
IMAGE_FOLDER = "zeroinit.dataset.image_folder"
CONSTANT, RAMP = "zeroinit.schedule.constant", "zeroinit.schedule.ramp"
MODES = {"start": "train", "only": "lint", "audit": "audit"}  # {value of `check` before 0.2.0: mode}
OVERRIDE = re.compile(r"([+~]*)([\w.]+)(?:=(.*))?", re.DOTALL)  # of a command line: prefix, key and value


def translate_params(params: Mapping[str, str]) -> dict[str, str]:
    """Return the params of a stored run under today's keys."""
    translated = dict(params)
    if not params.keys().isdisjoint(RENAMED_KEYS):
        renamed = renamed_keys(params.get("dataset") == "image_folder")
        translated = {renamed.get(key, key): value for key, value in params.items() if key not in ("check", "plan")}
    if "check" in params:
        translated["mode"] = "train"  # only a run that trains is stored
    if measure := translated.get("probe.measure"):
        translated["probe.measure"] = _translate_probes(measure)
    if steps := params.get("ramp.steps"):  # it is empty in a table if the run is older than the key
        if steps == "0":
            translated = {key: value for key, value in translated.items() if not key.startswith("schedule.")}
        translated["schedule"] = "constant" if steps == "0" else "ramp"
    return translated


@cache
def translate_command(command: str) -> str:
    """Return a command that was typed before 0.2.0 as one types it today."""
    try:
        words = shlex.split(command)
    except ValueError:  # it was cut
        return command
    renamed = renamed_keys("dataset=image_folder" in words)
    translated = [_translate_override(word, renamed) for word in words]
    if any(word.startswith("ramp.steps=") for word in words):
        translated.append("schedule=ramp")
    return command if translated == words else shlex.join(word for word in translated if word)


def _translate_override(word: str, renamed: Mapping[str, str]) -> str:
    """Return a word of a command under today's keys; an empty text for a word that says nothing today."""
    match = OVERRIDE.fullmatch(word)
    if not match:
        return word
    prefix, key, value = match.groups()
    if value is None:
        return prefix + renamed[key] if prefix and key in renamed else word
    if key == "check":
        return f"mode={MODES.get(value, value)}"
    if key == "plan":
        return "mode=plan" if value.lower() == "true" else ""
    value = _translate_references(value, renamed)
    if key == "probe.measure":
        value = _translate_probes(value)
    for old, new in renamed.items():  # dataset.augment={crop:4}
        node, _, name = old.rpartition(".")
        if node == key:
            value = re.sub(rf"\b{name}(?=\s*:)", new.rpartition(".")[2], value)
    return f"{prefix}{renamed.get(key, key)}={value}"


def translate_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a stored run under today's names, with its command as one types it today."""
    translated = {
        RENAMED_TAGS[key]: value for key, value in tags.items() if key in RENAMED_TAGS and RENAMED_TAGS[key] not in tags
    }
    translated |= {key: value for key, value in tags.items() if key not in RENAMED_TAGS}
    if Tag.COMMAND in tags:
        translated[Tag.COMMAND] = translate_command(tags[Tag.COMMAND])
    return translated


def translate_claims(claims: Any) -> Any:
    """Return the claims of a sweep's file or manifest under today's keys. What is no claim stays as it is."""
    if not isinstance(claims, list):
        return claims
    return [_translate_claim(claim) if isinstance(claim, Mapping) else claim for claim in claims]


def _translate_claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    translated = {RENAMED_CLAIM_KEYS.get(key, key): value for key, value in claim.items()}
    for side in ("cells", "reference"):
        if isinstance(selector := translated.get(side), Mapping):
            renamed = renamed_keys(selector.get("dataset") == "image_folder")
            translated[side] = {renamed.get(key, key): value for key, value in selector.items()}
    test = translated.get("test")
    return translated | ({"test": RENAMED_CLAIM_TESTS[test]} if test in [*RENAMED_CLAIM_TESTS] else {})


@cache
def translate_metric(name: str) -> str:
    """Return today's name of a stored metric."""
    group, slash, rest = name.partition("/")
    return f"{RENAMED_METRICS.get(group, group)}/{rest}" if slash else name


def stored_names(metric: str) -> list[str]:
    """Return the names under which a store may have a metric: today's, then those of before."""
    group, _, rest = metric.partition("/")
    return [metric, *(f"{old}/{rest}" for old, new in RENAMED_METRICS.items() if new == group)]


def translate_row(row: Mapping[str, str]) -> dict[str, str]:
    """Return a row of a table of runs under today's columns."""
    translated = translate_params(translate_tags(row))  # in this order: `plan` is a tag before it is a key
    if points := translated.pop(METRIC_POINTS_BEFORE, None):
        named = [[translate_metric(name), *point] for name, *point in json.loads(points)]
        translated[METRIC_POINTS] = json.dumps(named)
    return translated


def translate_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved config under today's keys."""
    dataset = values.get("dataset")
    is_image_folder = isinstance(dataset, Mapping) and dataset.get("_target_") == IMAGE_FOLDER
    translated = _translate_node(values, "", renamed_keys(is_image_folder))
    probe = translated.get("probe")
    if isinstance(probe, dict) and isinstance(probe.get("measure"), list):
        probe["measure"] = [RENAMED_PROBES.get(name, name) for name in probe["measure"]]
    if isinstance(ramp := translated.pop("ramp", None), Mapping) and "schedule" not in translated:
        option = {"_target_": RAMP, **ramp} if ramp.get("steps") else {"_target_": CONSTANT}
        translated["schedule"] = option
    if "claims" in translated:
        translated["claims"] = translate_claims(translated["claims"])
    if "check" in values or "plan" in values:
        mode = "plan" if values.get("plan") is True else MODES.get(values.get("check", "start"), "train")
        translated["mode"] = mode
    return translated


@cache
def _translate_probes(text: str) -> str:
    """Return a list of probes, as text, under today's names."""
    return re.sub(r"\b\w+\b", lambda match: RENAMED_PROBES.get(match[0], match[0]), text)


def renamed_keys(is_image_folder: bool) -> dict[str, str]:
    """Return {key before 0.2.0: key now} for a data set that is image_folder, or for another."""
    return {old: new for old, new in RENAMED_KEYS.items() if old != USER_KEY or is_image_folder}


def _translate_node(node: Mapping[str, Any], path: str, renamed: Mapping[str, str]) -> dict[str, Any]:
    translated: dict[str, Any] = {}
    for key, value in node.items():
        full = f"{path}.{key}" if path else key
        if full in ("check", "plan"):
            continue
        name = renamed.get(full, full).rpartition(".")[2]
        if isinstance(value, Mapping):
            translated[name] = _translate_node(value, full, renamed)
        else:
            translated[name] = _translate_references(value, renamed)
    return translated


def _translate_references(value: Any, renamed: Mapping[str, str]) -> Any:
    """Return a value, or a list of values, with today's keys in references such as `${dataset.limit}`."""
    if isinstance(value, list):
        return [_translate_references(item, renamed) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"(?<=\$\{)[\w.]+(?=\})", lambda match: renamed.get(match[0], match[0]), value)
