"""Checks of the values of a composed config, before anything is built from it."""

import json
import re
from typing import Any

import torch

from zeroinit.config.arguments import MAX_INT, is_finite
from zeroinit.errors import BadInput
from zeroinit.probes.metrics import all_probes
from zeroinit.tracker import without_password
from zeroinit.tracker.renamed import RENAMED_PROBES

ARITHMETICS = ("native", "tied", "quotient")
DTYPES = ("float32", "float64")
STREAMS = ("init", "order", "augment", "forward", "split")
MAX_SEED = 2**64 - 1
MAX_STEPS = 10**8  # the losses of one run are then 0.8 GB
MAX_THREADS = 1024
MODES = ("train", "lint", "audit", "plan")

Values = dict[str, Any]


def check(values: Values) -> None:
    """Raise BadInput for the first value that is missing or out of range; the message says what is accepted."""
    rules = ("init.weight", "init.bias", "init.rest.weight", "init.rest.bias")
    for key in ("dataset", "arch", *rules, "bias_scale", "optimizer", "tracker"):
        node = lookup(values, key)
        if not isinstance(node, dict) or not isinstance(node.get("_target_"), str):
            raise BadInput(f"{key}={node}: give the keys of a function, its name under _target_")
    epochs, steps = lookup(values, "epochs"), lookup(values, "steps")
    if epochs is not None and steps is not None:
        raise BadInput(f"epochs={epochs} and steps={steps}: give one of them and set the other to null")
    if epochs is None and steps is None:
        raise BadInput("epochs=null and steps=null: give one of them, a whole number from 1")
    require_int("epochs" if steps is None else "steps", epochs if steps is None else steps, 1, most=MAX_STEPS)
    require_int("threads", lookup(values, "threads"), 1, most=MAX_THREADS)
    if lookup(values, "dataset.batch_size") != "all":
        require_int("dataset.batch_size", lookup(values, "dataset.batch_size"), 1, " or all")
    for key in ("seed", *(f"seeds.{stream}" for stream in STREAMS)):
        require_int(key, lookup(values, key), 0, most=MAX_SEED)
    check_dataset(values)
    layers = lookup(values, "init.layers")
    for pattern in layers if isinstance(layers, list) and layers else [layers]:
        if layers is not None and not (isinstance(pattern, str) and pattern):
            raise BadInput(
                f"init.layers={layers}: give a pattern of layer names such as conv*, a list of them, or null"
            )
    if lookup(values, "loss.reduction") not in ("mean", "sum"):
        raise BadInput(f"loss.reduction={lookup(values, 'loss.reduction')}: give mean or sum")
    if lookup(values, "mode") not in MODES:
        raise BadInput(f"mode={lookup(values, 'mode')}: give {', '.join(MODES[:-1])} or {MODES[-1]}")
    if lookup(values, "arithmetic") not in ARITHMETICS:
        raise BadInput(
            f"arithmetic={lookup(values, 'arithmetic')}: give {', '.join(ARITHMETICS[:-1])} or {ARITHMETICS[-1]}"
        )
    if lookup(values, "dtype") not in DTYPES:
        raise BadInput(f"dtype={lookup(values, 'dtype')}: give {' or '.join(DTYPES)}")
    for key in ("deterministic", "save", "rerun", "early_stop", "dataset.shuffle", "dataset.augment.flip"):
        if not isinstance(lookup(values, key), bool):
            raise BadInput(f"{key}={lookup(values, key)}: give true or false")
    for group, key in (("bias_scale", "value"), ("optimizer", "lr")):
        if key in values[group]:  # a function of the user may lack it
            require_nonnegative(f"{group}.{key}", values[group][key])
    check_ramp(values)
    resolve_device(lookup(values, "device"))
    check_uri(values["tracker"].get("uri"))
    check_probes(values)
    sweep = lookup(values, "sweep")
    if sweep is not None and not (isinstance(sweep, str) and sweep.strip()):
        raise BadInput(f"sweep={sweep}: give a name, or null")


def check_ramp(values: Values) -> None:
    """Raise BadInput for values that describe no warm-up of the learning rate."""
    require_int("ramp.steps", lookup(values, "ramp.steps"), 0)
    factor = lookup(values, "ramp.factor")
    if not is_finite(factor) or factor <= 0:
        raise BadInput(f"ramp.factor={factor}: give a finite number above 0")


def has_warmup(values: Values) -> bool:
    """Return whether the learning rate of the first steps differs from the others."""
    return bool(values["ramp"]["steps"] and values["ramp"]["factor"] != 1)


def check_probes(values: Values) -> None:
    """Raise BadInput for an unknown probe, or for a schedule without a step."""
    measure, first_steps, per_decade = (
        lookup(values, f"probe.{key}") for key in ("measure", "first_steps", "per_decade")
    )
    accepted = f"give a list of {', '.join(all_probes())}, or probe=default, all or none"
    if not isinstance(measure, list):
        raise BadInput(f"probe.measure={measure}: {accepted}")
    unknown = [probe for probe in measure if probe not in all_probes()]
    if unknown:
        typed = ",".join(map(str, measure))
        if new_name := RENAMED_PROBES.get(unknown[0]):
            raise BadInput(f"probe.measure=[{typed}]: the probe {unknown[0]} is now named {new_name}")
        raise BadInput(f"probe.measure=[{typed}]: there is no probe {unknown[0]}; {accepted}")
    require_int("probe.first_steps", first_steps, 0)
    require_int("probe.per_decade", per_decade, 0)
    if lookup(values, "mode") == "audit":
        require_int("probe.first_steps", first_steps, 1, ", the number of steps that mode=audit replays")
    curvature_steps = lookup(values, "probe.curvature")
    if not isinstance(curvature_steps, list) or not all(
        type(step) is int and 0 <= step <= MAX_INT for step in curvature_steps
    ):
        raise BadInput(f"probe.curvature={curvature_steps}: give a list of whole numbers from 0 (numbers of updates)")
    require_int("probe.examples", lookup(values, "probe.examples"), 1)
    if set(measure) - {"curvature"} and not first_steps and not per_decade:
        raise BadInput(
            "probe.first_steps=0 and probe.per_decade=0: no step would be observed; give one from 1, or probe=none"
        )
    if "curvature" in measure and not curvature_steps:
        raise BadInput("probe.curvature=[]: no step would be observed; give one from 0, or leave curvature out")


def check_dataset(values: Values) -> None:
    """Raise BadInput for a value of a key that all data sets have: size, channels, normalisation, augmentation."""
    for node, keys in (("augment", ("padding", "flip")), ("normalize", ("mean", "std"))):
        for key in keys:
            lookup(values, f"dataset.{node}.{key}")
    require_int("dataset.augment.padding", lookup(values, "dataset.augment.padding"), 0)
    if lookup(values, "dataset.max_examples") is not None:
        require_int("dataset.max_examples", values["dataset"]["max_examples"], 1, ", or null")
    resize = lookup(values, "dataset.resize")
    for side in resize if isinstance(resize, list) and len(resize) == 2 else [resize]:
        if resize is not None and (not isinstance(side, int) or isinstance(side, bool) or side < 1):
            raise BadInput(f"dataset.resize={resize}: give the side of a square in pixels, [HEIGHT,WIDTH], or null")
    channels = lookup(values, "dataset.channels")
    if not (channels is None or (type(channels) is int and channels in (1, 3))):
        raise BadInput(f"dataset.channels={lookup(values, 'dataset.channels')}: give 1 (grey), 3 (colour) or null")
    for key in ("mean", "std"):
        constants = lookup(values, f"dataset.normalize.{key}")
        for constant in constants if isinstance(constants, list) and constants else [constants]:
            if not is_finite(constant):
                raise BadInput(f"dataset.normalize.{key}={constants}: give a finite number, or a list of them")
            if not torch.tensor(constant, dtype=torch.float32).isfinite():
                raise BadInput(f"dataset.normalize.{key}={constants}: give numbers that float32 has, up to 3e38")
            if key == "std" and not torch.tensor(constant, dtype=torch.float32) > 0:  # 1e-50 is 0 there
                raise BadInput(
                    f"dataset.normalize.std={constants}: give numbers greater than 0, as inputs are divided by them"
                )
    val_fraction = values["dataset"].get("val_fraction")
    if "val_fraction" in values["dataset"] and not (is_finite(val_fraction) and 0 < val_fraction < 1):
        raise BadInput(f"dataset.val_fraction={val_fraction}: give a number between 0 and 1")


def lookup(values: Values, key: str) -> Any:
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


def check_uri(uri: Any) -> None:
    """Raise BadInput for a tracker.uri that is no text, or that has a password, which would be written to files."""
    if uri is not None and not isinstance(uri, str):
        raise BadInput(f"tracker.uri={uri}: give sqlite:///FILE.db, another database or http(s)://SERVER, or null")
    if uri is not None and without_password(uri) != uri:
        raise BadInput(
            f"tracker.uri={without_password(uri)}: a password here would be written to files; "
            "name the server by the environment variable MLFLOW_TRACKING_URI"
        )


def require_int(key: str, value: Any, least: int, accepted_too: str = "", most: int = MAX_INT) -> None:
    """Raise BadInput unless the value is a whole number from `least` to `most`.

    Args:
        key: for the message.
        value: the value.
        least: the smallest accepted number.
        accepted_too: for the message, what the caller also accepts.
        most: the largest accepted number.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{key}={value}: give a whole number from {least}{accepted_too}")
    if value > most:
        raise BadInput(f"{key}={value}: give a whole number from {least} to {most}{accepted_too}")


def require_nonnegative(key: str, value: Any) -> None:
    """Raise BadInput unless the value is a finite number, 0 or greater."""
    if not is_finite(value) or value < 0:
        raise BadInput(f"{key}={value}: give a finite number, 0 or greater")


def resolve_device(name: Any) -> torch.device:
    """Return the torch device that `device=` names. Raise BadInput for another name, or if this machine lacks it."""
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
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
