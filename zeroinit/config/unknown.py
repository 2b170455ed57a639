"""Keys that no part of the program reads are refused, and the message names the nearest known key."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zeroinit import CONF
from zeroinit.config.identity import SWEEP_ONLY_KEYS
from zeroinit.config.nearest import nearest, similarity
from zeroinit.errors import BadInput
from zeroinit.tracker.renamed import MODES, RENAMED_KEYS, USER_KEY

INIT_RULES = ("weight", "bias", "embedding", "recurrent", "scale", "shift", "other")
RULES = tuple(f"{init}.{rule}" for init in ("init", "init.rest") for rule in INIT_RULES)
# nodes with the arguments of a function, whose signature decides which keys they may have
FUNCTION_NODES = (
    *("dataset", "arch", "bias_scale", "optimizer", "schedule", "metrics", "loss.function", "tracker"),
    *(f"dataset.{split}" for split in ("train", "val", "test")),
    *RULES,
)
CLOSED_NODES = ("dataset.normalize", "dataset.augment", "clip", "time_limit")  # nodes that may not have helper keys
AXIS_NODES = ("size", "published")  # nodes that only the axes and the other keys of a sweep's file refer to
MIN_SIMILARITY = 0.6  # from which on a key is likely the intended one
OLD_MODES = {"check": MODES, "plan": {"true": "plan", "false": "train"}}  # {key before 0.2.0: {its value: mode}}
SYNONYMS = {  # names of keys in other tools
    "learning_rate": "optimizer.lr",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "warmup": "schedule=ramp",
    "ramp": "schedule=ramp",
    "width": "arch.hidden",
    "hidden": "arch.hidden",
    "activation": "arch.activation",
    "criterion": "loss.reduction",
}


def check_keys(cfg: DictConfig, hydra_node: Any) -> set[str]:
    """Raise BadInput for a key of the config that nothing reads. Return the helper keys at the top level.

    A helper key is one that only other keys refer to, as `${key}`. A config file may have a node with several helper
    keys, and some of them may be unused. A key that was typed must be used itself.
    """
    lines: Any = OmegaConf.to_container(hydra_node.overrides.task)
    typed = {line.lstrip("+~").partition("=")[0].partition("@")[0] for line in lines}
    rest = next((key for key in typed if key.startswith("init.rest.")), None)
    if rest and _is_known(rest) and OmegaConf.select(cfg, "init.layers") is None:
        raise BadInput(f"{_format_key(rest, cfg)}: init.layers=null leaves it no layer; give a pattern there too")
    paths = list(_key_paths(cfg))
    for path in paths:
        is_ours = path != USER_KEY or str(OmegaConf.select(cfg, "dataset._target_")).startswith("zeroinit.")
        if path in RENAMED_KEYS and is_ours:
            raise BadInput(f"{_format_key(path, cfg)}: there is no such key; {suggest_key(path, _value_at(path, cfg))}")
    unknown = [path for path in paths if not _is_known(path)]
    sweep_keys = [key for key in (*typed, *{"size"} & {*hydra_node.runtime.choices}) if _is_sweep_key(key, cfg)]
    if not unknown and not sweep_keys:
        return set()
    used = _find_used_keys([*_references(cfg), *_references(hydra_node, ("hydra",))])
    for path in sweep_keys:
        if not _is_used(path, used):
            raise BadInput(
                f"{_format_key(path, cfg)}: no key refers to ${{{path}}}, so it changes nothing; leave it out"
            )
    for path in unknown:
        is_typed = any(_is_within(path, key) or _is_within(key, path) for key in typed)
        block = path if is_typed else _first_unknown_node(path)
        if path.startswith(tuple(f"{node}." for node in CLOSED_NODES)) or not _is_used(block, used):
            hint = "" if is_typed else f", and no key refers to ${{{block}}}"
            raise BadInput(
                f"{_format_key(path, cfg)}: there is no such key{hint}; {suggest_key(path, _value_at(path, cfg))}"
            )
    return {path for path in map(_first_unknown_node, unknown) if "." not in path}


def _is_sweep_key(key: str, cfg: DictConfig) -> bool:
    """Return whether the config has the key, in a node that only the axes and keys of a sweep refer to."""
    node = key.partition(".")[0]
    return node in AXIS_NODES and node in cfg


def _is_used(path: str, used: Iterable[str]) -> bool:
    """Return whether one of the used keys is the path, a key in it, or a node that has it."""
    return any(_is_within(key, path) or _is_within(path, key) for key in used)


def _format_key(path: str, cfg: DictConfig) -> str:
    """Return KEY=VALUE, or only the key if the value is null or a node."""
    value = _value_at(path, cfg)
    return path if value is None or OmegaConf.is_config(value) else f"{path}={value}"


def _value_at(path: str, cfg: DictConfig) -> Any:
    return OmegaConf.select(cfg, path, throw_on_resolution_failure=False)


def _is_within(key: str, block: str) -> bool:
    """Return whether the key is the block, or a key in it."""
    return key == block or key.startswith(f"{block}.")


def _key_paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of each value; a list and an empty node are values."""
    for key in node:
        path = f"{prefix}{key!s}"
        if path == "hydra":
            continue
        child = node._get_node(key)
        if isinstance(child, DictConfig) and len(child) and not child._is_interpolation() and not child._is_missing():
            yield from _key_paths(child, f"{path}.")
        else:
            yield path


def _is_known(path: str) -> bool:
    """Return whether some part of the program reads the key, or gives it to the function that its node names."""
    parts = path.split(".")
    if parts[0] in SWEEP_ONLY_KEYS:
        return True
    node: Any = shipped_defaults()
    for depth, part in enumerate(parts):
        if not isinstance(node, dict):
            return True  # the check of the value refuses a node here
        if part not in node:
            return ".".join(parts[:depth]) in FUNCTION_NODES
        node = node[part]
    return True


def _first_unknown_node(path: str) -> str:
    """Return the shortest start of the path that is not known, such as `mine` for `mine.widths.small`."""
    parts = path.split(".")
    starts = (".".join(parts[: depth + 1]) for depth in range(len(parts)))
    return next((start for start in starts if not _is_known(start)), path)


@cache
def shipped_defaults() -> dict[str, Any]:
    """Return the keys of config.yaml and of the options of all groups, as nested dicts."""
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    del node["defaults"], node["hydra"]
    for option in sorted(CONF.glob("*/*.yaml")):
        if option.parent.name not in SWEEP_ONLY_KEYS:
            _merge(node.setdefault(option.parent.name, {}), OmegaConf.to_container(OmegaConf.load(option)))
    node["init"]["rest"] = {rule: node["init"][rule] for rule in INIT_RULES}
    defaults: dict[str, Any] = node
    return defaults


def _merge(node: dict[str, Any], more: Any) -> None:
    """Add the keys of `more` to the node, in place. A node of keys stays one."""
    for key, value in more.items():
        if not isinstance(value, dict):
            node[key] = node[key] if isinstance(node.get(key), dict) else value
        elif isinstance(node.get(key), dict):
            _merge(node[key], value)
        else:
            _merge(node.setdefault(key, {}), value)


# ---- the nearest key


def suggest_key(path: str, value: Any = None) -> str:
    """Return what to type instead of an unknown key: the nearest key, and the other keys of its node.

    Args:
        path: The unknown key.
        value: Its value. It decides the new value if a key of before 0.2.0 has another name and other values now.
    """
    node, _, name = path.rpartition(".")
    if path in RENAMED_KEYS:
        mode = OLD_MODES.get(path, {}).get(str(value).lower())
        option = ", with schedule=ramp" if path.startswith("ramp.") else ""
        return f"its name is now {RENAMED_KEYS[path]}{f'={mode}' if mode else ''}{option}"
    if name in SYNONYMS:
        return f"use {SYNONYMS[name]}"
    near = nearest(node, FUNCTION_NODES)
    if name == "_target_" and similarity(node, near) >= MIN_SIMILARITY:
        return f"use {near}._target_"
    keys = [key for key in known_keys() if not _is_within(path, key)]
    siblings = [key for key in keys if node and key.rpartition(".")[0] == node]
    close = max(keys, key=lambda key: _path_similarity(path, key, siblings))
    if siblings and _path_similarity(path, close, siblings) <= MIN_SIMILARITY:
        close = max(siblings, key=lambda key: _path_similarity(path, key, siblings))
    verb = "use" if _path_similarity(path, close, siblings) >= MIN_SIMILARITY else "the nearest key is"
    if close not in siblings or len(siblings) == 1:
        return f"{verb} {close}"
    return f"{verb} {close}; {node} has {', '.join(key.rpartition('.')[2] for key in siblings)}"


def _path_similarity(path: str, key: str, siblings: Sequence[str]) -> float:
    """Return how similar an unknown path and a known key are, from 0 to 1: by the last part, or as a whole.

    If the node is known, the last part is wrong, and the whole path says nothing.
    """
    by_name = similarity(path.rpartition(".")[2], key.rpartition(".")[2])
    if siblings:
        return by_name if key in siblings else 0.9 * by_name
    return max(similarity(path, key), 0.9 * by_name if by_name >= MIN_SIMILARITY else 0)


@cache
def known_keys() -> tuple[str, ...]:
    """Return the dotted path of each known key, nodes included."""

    def walk(node: dict[str, Any], prefix: str) -> Iterator[str]:
        for key, value in node.items():
            if not key.startswith("_"):
                yield f"{prefix}{key}"
                if isinstance(value, dict):
                    yield from walk(value, f"{prefix}{key}.")

    return tuple(key for key in walk(shipped_defaults(), "") if key.partition(".")[0] not in AXIS_NODES)


# ---- what refers to what


def _find_used_keys(pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the keys to which a known key refers, directly or through helper keys.

    Args:
        pairs: (key, key to which it refers).
    """
    used = {target for source, target in pairs if _is_known(source) or source.startswith("hydra.")}
    while more := {target for source, target in pairs if target not in used and _is_used(source, used)}:
        used |= more
    return used


def _references(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield (path of a key with an interpolation, path of a key to which it refers) for each key in the node."""
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node)
    parts: Iterable[tuple[Any, Any]] = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in parts:
        if isinstance(value, dict | list):
            yield from _references(value, (*path, str(key)))
        elif isinstance(value, str) and "${" in value:
            yield from ((".".join([*path, str(key)]), target) for target in references_of(value, path))


def references_of(text: str, path: Sequence[str]) -> Iterator[str]:
    """Yield the keys in the interpolations of one value in the node `path`; the innermost come first.

    For `${a.${b}}`, where the key depends on a value, these are `b` and the node `a`.
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
