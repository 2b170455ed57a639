"""Warnings about inits that differ in scale as well as in the shape of their distribution."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

SIGNIFICANT = 5  # standard errors: a smaller difference may be chance
RELEVANT = 0.02  # of the standard deviation: a smaller difference changes nothing
MIN_ENTRIES = 100  # of a parameter whose moments stand for those of its rule, if the latter were not kept
SHAPES = {"default_": "uniform", "row_constant_": "normal"}  # rules whose name does not tell their distribution

Line = Mapping[str, str]  # of an init.csv


class Moments(NamedTuple):
    """The mean and standard deviation of a rule's distribution, and their standard errors."""

    mean: float
    std: float
    mean_error: float
    std_error: float


def warn_of_scale(cells: Iterable[tuple[Mapping[str, str], Sequence[Line]]], keys: Sequence[str]) -> list[str]:
    """Return warnings about inits whose weights alone, or biases alone, differ in both shape and moments.

    There is at most one warning for weights and one for biases, about the largest such parameter. Scaling a shape, as a
    bias scale does, is no reason for a warning. The published example: N(0, 1) against U[0, 1) biases, called normal
    against uniform.

    Args:
        cells: (params, lines of an init.csv) of each cell.
        keys: The keys that name a cell. Cells are compared that agree in all but those of the init.
    """
    others = [key for key in keys if not key.startswith("init")]
    compared: dict[tuple[str, ...], dict[str, Sequence[Line]]] = defaultdict(dict)
    for params, lines in cells:
        compared[tuple(params.get(key, "") for key in others)].setdefault(params["init"], lines)
    largest: dict[str, tuple[int, str]] = {}  # by kind: entries of the largest parameter so far, and its warning
    for values, inits in compared.items():
        different: dict[str, dict[str, Line]] = defaultdict(dict)  # by parameter, then init
        for (name, lines), (other_name, other_lines) in combinations(inits.items(), 2):
            pair = _largest_difference(lines, other_lines)
            if pair and _has_other_scale(*pair):
                different[pair[0]["parameter"]] |= {name: pair[0], other_name: pair[1]}
        where = " ".join(f"{key}={value}" for key, value in zip(others, values, strict=True) if value)
        for parameter, by_init in different.items():
            size, kind = _count_entries(next(iter(by_init.values()))), parameter.rpartition(".")[2]
            if size > largest.get(kind, (0, ""))[0]:
                largest[kind] = size, _format_warning(parameter, by_init, where)
    return [warning for _, warning in largest.values()]


def _format_warning(parameter: str, by_init: Mapping[str, Line], where: str) -> str:
    """Return the sentence on how the inits differ in scale."""
    numbers = "; ".join(f"{init}: {_describe_moments(line)}" for init, line in by_init.items())
    return (
        "Warning: these inits also differ in scale, so a difference may be due to that. "
        f"Rules of {parameter} ({where}): {numbers}."
    )


def _largest_difference(lines: Sequence[Line], other_lines: Sequence[Line]) -> tuple[Line, Line] | None:
    """Return the largest parameter that both inits draw by different rules.

    None if there is none, or if the inits have different rules for weights and for biases.
    """
    differing = [pair for pair in zip(lines, other_lines, strict=False) if pair[0]["rule"] != pair[1]["rule"]]
    kinds = {line["parameter"].rpartition(".")[2] for line, _ in differing}
    drawn = [pair for pair in differing if all((moments := _rule_moments(line)) and moments.std > 0 for line in pair)]
    return max(drawn, key=lambda pair: _count_entries(pair[0]), default=None) if len(kinds) == 1 else None


def _has_other_scale(line: Line, other_line: Line) -> bool:
    """Return whether two rules of a parameter differ in shape, and in the mean or the standard deviation."""
    a, b = _rule_moments(line), _rule_moments(other_line)
    if not a or not b or _shape_of(line["rule"]) == _shape_of(other_line["rule"]):
        return False
    least = RELEVANT * max(a.std, b.std)
    means = abs(a.mean - b.mean) > max(SIGNIFICANT * math.hypot(a.mean_error, b.mean_error), least)
    return means or abs(a.std - b.std) > max(SIGNIFICANT * math.hypot(a.std_error, b.std_error), least)


def _rule_moments(line: Line) -> Moments | None:
    """Return the moments of the rule.

    Runs from before they were kept have those of the parameter, if it has MIN_ENTRIES entries.
    """
    if line.get("rule_mean"):
        return Moments(*(float(line[f"rule_{name}"]) for name in Moments._fields))
    count = _count_entries(line)
    if count < MIN_ENTRIES:
        return None
    error = float(line["std"]) / math.sqrt(count)
    return Moments(float(line["mean"]), float(line["std"]), error, error)


def _shape_of(rule: str) -> str:
    """Return normal, uniform, or the name of the rule: `kaiming_normal_(nonlinearity=relu)` is normal."""
    name = rule.partition("(")[0]
    return next((kind for kind in ("normal", "uniform") if kind in name), SHAPES.get(name, name))


def _count_entries(line: Line) -> int:
    """Return the number of entries of the parameter."""
    return math.prod(int(size) for size in line["shape"].split("x") if size)


def _describe_moments(line: Line) -> str:
    """Return `mean 0.50, standard deviation 0.29`, without digits that may be chance."""
    moments = _rule_moments(line)
    assert moments
    mean = round_to_error(moments.mean, moments.mean_error)
    std = round_to_error(moments.std, moments.std_error)
    return f"mean {mean}, standard deviation {std}"


def round_to_error(value: float, error: float) -> str:
    """Return a number with two digits, or fewer if two standard errors are more than a unit of the last digit."""
    if error == 0:
        return f"{value:.2g}"
    if abs(value) < SIGNIFICANT * error:
        return "0"
    power = max(math.ceil(math.log10(2 * error)), math.floor(math.log10(abs(value))) - 1)
    return f"{round(value, -power):.{max(0, -power)}f}"


def read_init_csv(content: bytes) -> Sequence[Line]:
    """Return the lines of an init.csv."""
    return list(csv.DictReader(io.StringIO(content.decode())))
