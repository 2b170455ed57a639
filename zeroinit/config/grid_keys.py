"""The axes of a grid, and the keys that change their product: hydra.sweeper.skip_if and hydra.sweeper.paired."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import OmegaConf

from zeroinit.config.overrides import axis_values, count_values, keys_of
from zeroinit.errors import BadInput
from zeroinit.tracker import mask_word

SKIP_IF, PAIRED, MAX_JOBS = (f"hydra.sweeper.{key}" for key in ("skip_if", "paired", "max_jobs"))
MAX_SHOWN = 12  # values of an axis, or axes, in a message


@dataclass(frozen=True)
class GridKeys:
    """What the sweeper is given beside its axes.

    Attributes:
        skip_if: Rules, each with values of axes; a combination that has all values of a rule is left out.
        paired: Lists of axes that move together.
        max_jobs: The most combinations that may be left.
        changed_keys: Keys that the command line changes, so that a rule of a file may name values that are gone.
        typed_keys: Those of the keys above that the command line gives.
    """

    skip_if: Any = None
    paired: Any = None
    max_jobs: Any = None
    changed_keys: Collection[str] = ()
    typed_keys: Collection[str] = ()

    def may_have_changed(self, key: str, axes: Iterable[str]) -> bool:
        """Return whether the command line may have changed one of the axes that a key of a sweep's file names."""
        if key in self.typed_keys:
            return False
        return "size" in self.changed_keys or bool(keys_of(axes) & {*self.changed_keys})


class Axis:
    """A key of a grid and its values; a key with one value is an axis, too."""

    def __init__(self, override: Override) -> None:
        self.override, self.line = override, mask_word(str(override.input_line))
        self.is_swept = override.is_sweep_override()
        self.name = override.get_key_element().lstrip("+~")
        self.names = {self.name, *keys_of([self.name])}
        self.length = count_values(override, self.line) if self.is_swept else 1

    @cached_property
    def values(self) -> list[Any]:
        """The values as Hydra parsed them; read once, because a shuffled axis has another order each time."""
        return axis_values(self.override, self.line) if self.is_swept else [self.override._value]

    @cached_property
    def comparable_values(self) -> list[Hashable]:
        """The values by which rules find them."""
        return [comparable(value) for value in self.values]

    @cached_property
    def words(self) -> list[str]:
        """What a job is given for each value."""
        key = self.override.get_key_element()
        return [f"{key}={Override._get_value_element_as_str(value)}" for value in self.values]


@dataclass(frozen=True)
class Rule:
    """Values of axes; a combination that has one of the values of each axis is left out.

    Attributes:
        text: The rule as one types it.
        values: {index of an axis: its values in comparable form}.
        is_strict: Whether each value must be one of its axis.
    """

    text: str
    values: Mapping[int, Collection[Hashable]]
    is_strict: bool


def comparable(value: Any) -> Hashable:
    """Return a form that is equal for `1`, `1.0` and `'1'`, and for equal lists."""
    if isinstance(value, QuotedString):
        value = value.text
    if isinstance(value, Mapping):
        return tuple(sorted((str(key), comparable(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(comparable, value))
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    for number in (int, float):
        try:
            parsed: float = number(value) if isinstance(value, str) else value
        except ValueError:
            continue
        return parsed if parsed == parsed else "nan"  # NaN is not equal to itself
    return value.lower() if value.lower() in ("true", "false", "null") else str(value)


def read_rules(keys: GridKeys, axes: Sequence[Axis]) -> list[Rule]:
    """Return the rules of `skip_if`. Raises BadInput if one is no rule, or names no axis, or no value of an axis."""
    rules = _as_plain(keys.skip_if)
    if not (isinstance(rules or [], list) and all(isinstance(rule, dict) and rule for rule in rules or [])):
        raise BadInput(f"{SKIP_IF}={rules}: give a list of rules, such as [{{arch: logistic, init: zero}}]")
    return [_read_rule(rule, keys, axes) for rule in rules or []]


def _read_rule(rule: Mapping[str, Any], keys: GridKeys, axes: Sequence[Axis]) -> Rule:
    text = f"{{{', '.join(f'{key}: {format_value(value)}' for key, value in rule.items())}}}"
    is_strict = not keys.may_have_changed(SKIP_IF, rule)
    values = {}
    for key, wanted in rule.items():
        index = find_axis(f"{SKIP_IF}={text}", str(key), axes)
        of_axis = {*axes[index].comparable_values}
        is_single = not isinstance(wanted, list) or comparable(wanted) in of_axis
        values[index] = {comparable(value) for value in ([wanted] if is_single else wanted)}
        absent = [value for value in ([wanted] if is_single else wanted) if comparable(value) not in of_axis]
        if not values[index] or (is_strict and absent):
            lacking = f"the axis {key} has no value {format_value(absent[0])}" if absent else f"{key} has no value"
            raise BadInput(f"{SKIP_IF}={text}: {lacking}; give {_join(axes[index].values)}")
    return Rule(text, values, is_strict)


def read_pairs(keys: GridKeys, axes: Sequence[Axis]) -> list[list[int]]:
    """Return the indices of the axes of each list of `paired`. Raises BadInput if one is no list of several axes."""
    pairs = _as_plain(keys.paired)
    if not (isinstance(pairs or [], list) and all(isinstance(names, list) for names in pairs or [])):
        raise BadInput(f"{PAIRED}={pairs}: give lists of axes that move together, such as [[init, bias_scale.value]]")
    earlier: set[int] = set()
    indices = []
    for names in pairs or []:
        text = f"{PAIRED}=[{format_value(names)}]"
        indices.append([find_axis(text, str(name), axes) for name in names])
        if len(names) < 2:
            raise BadInput(f"{text}: a list needs two axes or more, which move together; add one, or leave it out")
        for name, index in zip(names, indices[-1], strict=True):
            if index in earlier:
                raise BadInput(f"{text}: {name} is named twice; an axis moves with one list of others")
            earlier.add(index)
    return indices


def _as_plain(node: Any) -> Any:
    """Return lists and dicts for those of OmegaConf, with what they refer to."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def find_axis(text: str, name: str, axes: Sequence[Axis]) -> int:
    """Return the index of the axis of that name. Raises BadInput, with the text in front, if there is none."""
    index = next((index for index, axis in enumerate(axes) if name.lstrip("+") in axis.names), None)
    if index is None:
        names = [axis.name for axis in axes if axis.is_swept] or [axis.name for axis in axes]
        raise BadInput(f"{text}: the grid has no axis {name}; give {_join(names)}")
    return index


def format_value(value: Any) -> str:
    """Return a value as one types it."""
    if isinstance(value, list):
        return f"[{','.join(map(format_value, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return value.text if isinstance(value, QuotedString) else str(value)


def _join(values: Sequence[Any]) -> str:
    """Return the values with `or` before the last; the first and the last few of many."""
    texts = [format_value(value) for value in values]
    if len(texts) > MAX_SHOWN:
        texts = [*texts[: MAX_SHOWN // 2], "...", *texts[-MAX_SHOWN // 2 :]]
    return " or ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))
