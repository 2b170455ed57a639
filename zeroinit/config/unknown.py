"""Keys that no part of the program reads: refused with the nearest key that means something."""

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zeroinit import CONF
from zeroinit.config.keys import OF_SWEEPS
from zeroinit.errors import BadInput

# nodes that hold the arguments of a function, whose signature decides what they may hold
FUNCTIONS = (
    *("dataset", "arch", "bias_scale", "optimizer", "tracker"),
    *(f"{init}.{rule}" for init in ("init", "init.rest") for rule in ("weight", "bias")),
)
CLOSED = ("dataset.normalize", "dataset.augment", "ramp")  # nodes that hold no helper keys either
ALIKE = 0.6  # likeness from which on a key is likely the one that was meant
OTHER_NAMES = {  # what other tools call it
    "learning_rate": "optimizer.lr",
    "scheduler": "ramp.steps",
    "warmup": "ramp.steps",
    "width": "arch.hidden",
    "criterion": "loss.reduction",
}


def check_keys(cfg: DictConfig, hydra_node: Any) -> set[str]:
    """Raise BadInput for a key of the config that nothing reads; return the helper keys at its top.

    A helper key is a key that only other keys refer to, as `${key}`. A config file may keep several helper keys
    together, of which some are not used. A key that was typed must be used itself.
    """
    lines: Any = OmegaConf.to_container(hydra_node.overrides.task)
    typed = {line.lstrip("+~").partition("=")[0].partition("@")[0] for line in lines}
    rest = next((key for key in typed if key.startswith("init.rest.")), None)
    if rest and is_known(rest) and OmegaConf.select(cfg, "init.layers") is None:
        raise BadInput(f"{shown(rest, cfg)}: init.layers=null leaves it no layer; give a pattern there too")
    unknown = [path for path in key_paths(cfg) if not is_known(path)]
    of_sweeps = [key for key in (*typed, *{"size"} & {*hydra_node.runtime.choices}) if is_of_sweeps(key, cfg)]
    if not unknown and not of_sweeps:
        return set()
    used = used_keys([*references(cfg), *references(hydra_node, ("hydra",))])
    for path in of_sweeps:
        if not is_used(path, used):
            raise BadInput(f"{shown(path, cfg)}: no key refers to ${{{path}}}, so it changes nothing; leave it out")
    for path in unknown:
        is_typed = any(is_within(path, key) or is_within(key, path) for key in typed)
        block = path if is_typed else top_unknown(path)
        if path.startswith(tuple(f"{node}." for node in CLOSED)) or not is_used(block, used):
            hint = "" if is_typed else f", and no key refers to ${{{block}}}"
            raise BadInput(f"{shown(path, cfg)}: there is no such key{hint}; {advice(path)}")
    return {path for path in map(top_unknown, unknown) if "." not in path}


def is_of_sweeps(key: str, cfg: DictConfig) -> bool:
    """Whether the config has the key, in a node that only the axes and keys of a sweep refer to."""
    node = key.partition(".")[0]
    return node in ("size", "published") and node in cfg


def is_used(path: str, used: Iterable[str]) -> bool:
    """Whether one of the keys in use is the path, a key in it, or a node that holds it."""
    return any(is_within(key, path) or is_within(path, key) for key in used)


def shown(path: str, cfg: DictConfig) -> str:
    """KEY=VALUE, or the key alone where the value is not a plain one."""
    value = OmegaConf.select(cfg, path, throw_on_resolution_failure=False)
    return path if value is None or OmegaConf.is_config(value) else f"{path}={value}"


def is_within(key: str, block: str) -> bool:
    """Whether the key is the block, or a key in it."""
    return key == block or key.startswith(f"{block}.")


def key_paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """The dotted path of each value, as a list or an empty node is."""
    for key in node:
        path = f"{prefix}{key!s}"
        if path == "hydra":
            continue
        child = node._get_node(key)
        if isinstance(child, DictConfig) and len(child) and not child._is_interpolation() and not child._is_missing():
            yield from key_paths(child, f"{path}.")
        else:
            yield path


def is_known(path: str) -> bool:
    """Whether some part of the program reads the key, or hands it to the function that its node names."""
    parts = path.split(".")
    if parts[0] in OF_SWEEPS:
        return True
    node: Any = schema()
    for depth, part in enumerate(parts):
        if not isinstance(node, dict):
            return True  # the check of the value says that it is no node
        if part not in node:
            return ".".join(parts[:depth]) in FUNCTIONS
        node = node[part]
    return True


def top_unknown(path: str) -> str:
    """The first part of the path that is not known, such as `mine` of `mine.widths.small`."""
    parts = path.split(".")
    starts = (".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return next((start for start in starts if not is_known(start)), path)


@cache
def schema() -> dict[str, Any]:
    """The keys of config.yaml and of the options of all groups, as nested dicts."""
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    del node["defaults"], node["hydra"]
    for option in sorted(CONF.glob("*/*.yaml")):
        if option.parent.name not in OF_SWEEPS:
            merge(node.setdefault(option.parent.name, {}), OmegaConf.to_container(OmegaConf.load(option)))
    node["init"]["rest"] = {rule: node["init"][rule] for rule in ("weight", "bias")}
    schema_node: dict[str, Any] = node
    return schema_node


def merge(node: dict[str, Any], more: Any) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            merge(node.setdefault(key, {}), value)
        else:
            node[key] = value


# ---- the nearest key


def advice(path: str) -> str:
    """What to type instead of an unknown key: the nearest key, and what else its node holds."""
    node, _, name = path.rpartition(".")
    if name in OTHER_NAMES:
        return f"use {OTHER_NAMES[name]}"
    keys = [key for key in all_keys() if not is_within(path, key)]
    siblings = [key for key in keys if node and key.rpartition(".")[0] == node]
    close = max(keys, key=lambda key: likeness(path, key, siblings))
    if siblings and likeness(path, close, siblings) < ALIKE:
        close = max(siblings, key=lambda key: likeness(path, key, siblings))
    verb = "use" if likeness(path, close, siblings) >= ALIKE else "the nearest key is"
    if close not in siblings or len(siblings) == 1:
        return f"{verb} {close}"
    return f"{verb} {close}; {node} has {', '.join(key.rpartition('.')[2] for key in siblings)}"


def likeness(path: str, key: str, siblings: Sequence[str]) -> float:
    """How much an unknown path is like a known key, from 0 to 1: by its last part, or as a whole.

    The whole of it says nothing where its node is known, as then it is the last part that is wrong.
    """
    of_name = ratio(path.rpartition(".")[2], key.rpartition(".")[2])
    if siblings:
        return of_name if key in siblings else 0.9 * of_name
    return max(ratio(path, key), 0.9 * of_name if of_name >= ALIKE else 0)


def ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


@cache
def all_keys() -> tuple[str, ...]:
    """The dotted path of each known key, nodes included."""

    def walk(node: dict[str, Any], prefix: str) -> Iterator[str]:
        for key, value in node.items():
            if key != "_target_":
                yield f"{prefix}{key}"
                if isinstance(value, dict):
                    yield from walk(value, f"{prefix}{key}.")

    return tuple(key for key in walk(schema(), "") if key.partition(".")[0] not in ("size", "published"))


# ---- what refers to what


def used_keys(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """The keys to which a key that something reads refers, itself or by way of helper keys.

    `pairs` has (key, key to which it refers).
    """
    used = {target for source, target in pairs if is_known(source) or source.startswith("hydra.")}
    while more := {target for source, target in pairs if target not in used and is_used(source, used)}:
        used |= more
    return used


def references(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """The dotted path of each key in the node with an interpolation, and of each key to which that refers."""
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node)
    parts: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in parts:
        if isinstance(value, dict | list):
            yield from references(value, (*path, str(key)))
        elif isinstance(value, str) and "${" in value:
            yield from ((".".join([*path, str(key)]), target) for target in references_of(value, path))


def references_of(text: str, path: Sequence[str]) -> Iterator[str]:
    """The keys in the interpolations of one value, which stands in the node `path`; the innermost come first.

    Of `${a.${b}}`, where the key depends on a value, that is `b` and the node `a`.
    """
    while match := re.search(r"\$\{([^{}]*)\}", text):
        inner = match[1].replace("[", ".").replace("]", "")
        for word in re.split(r"[:,\s'\"]+", inner):
            dots = len(word) - len(word.lstrip("."))
            start = path[: len(path) - dots + 1] if dots else ()
            name = word.lstrip(".").partition("*")[0].rstrip(".")
            if name:
                yield ".".join([*start, name])
        text = f"{text[: match.start()]}*{text[match.end() :]}"
