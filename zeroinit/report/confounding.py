"""Whether inits that a sweep compares differ in scale as well as in the shape of what they draw."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

SIGNIFICANT = 5  # standard errors: what differs by less may be chance
RELEVANT = 0.02  # of the standard deviation: what differs by less changes nothing
FEWEST_ENTRIES = 100  # of a parameter that speaks for its rule, where the rule's moments were not kept
SHAPES = {"default_": "uniform", "row_constant_": "normal"}  # rules whose name does not say what they draw

Line = Mapping[str, str]  # of an init.csv


class Moments(NamedTuple):
    """The mean and the standard deviation of what a rule draws, and their standard errors."""

    mean: float
    std: float
    mean_error: float
    std_error: float


def confounded(cells: Iterable[tuple[Mapping[str, str], Sequence[Line]]], keys: Sequence[str]) -> list[str]:
    """Return a warning for inits that differ in their weights or biases alone, in their shape and in their moments.

    `cells` are (params, lines of an init.csv) each; those are compared that are alike in all other `keys`. A warning
    for weights and one for biases, of the largest such parameter; what only scales a shape, as a bias scale does, is
    none. Published: N(0, 1) against U[0, 1) biases, called normal against uniform.
    """
    others = [key for key in keys if not key.startswith("init")]
    compared: dict[tuple[str, ...], dict[str, Sequence[Line]]] = defaultdict(dict)
    for params, lines in cells:
        compared[tuple(params.get(key, "") for key in others)].setdefault(params["init"], lines)
    found: dict[str, tuple[int, str]] = {}  # by kind: entries of the largest yet, and the warning
    for values, inits in compared.items():
        drawn: dict[str, dict[str, Line]] = defaultdict(dict)  # by parameter, then init
        for (name, lines), (other_name, other_lines) in combinations(inits.items(), 2):
            pair = largest_difference(lines, other_lines)
            if pair and differ(*pair):
                drawn[pair[0]["parameter"]] |= {name: pair[0], other_name: pair[1]}
        where = " ".join(f"{key}={value}" for key, value in zip(others, values, strict=True) if value)
        for parameter, by_init in drawn.items():
            size, kind = entries(next(iter(by_init.values()))), parameter.rpartition(".")[2]
            if size > found.get(kind, (0, ""))[0]:
                found[kind] = size, warning(parameter, by_init, where)
    return [sentence for _, sentence in found.values()]


def warning(parameter: str, by_init: Mapping[str, Line], where: str) -> str:
    """Say how the inits differ in scale."""
    numbers = "; ".join(f"{init}: {describe(line)}" for init, line in by_init.items())
    return (
        "Warning: these inits also differ in scale, so a difference may be due to that. "
        f"Rules of {parameter} ({where}): {numbers}."
    )


def largest_difference(one: Sequence[Line], other: Sequence[Line]) -> tuple[Line, Line] | None:
    """The largest parameter that both inits draw, where they have other rules for the weights or biases alone."""
    differing = [pair for pair in zip(one, other, strict=False) if pair[0]["rule"] != pair[1]["rule"]]
    kinds = {line["parameter"].rpartition(".")[2] for line, _ in differing}
    drawn = [pair for pair in differing if all((known := moments(line)) and known.std > 0 for line in pair)]
    return max(drawn, key=lambda pair: entries(pair[0]), default=None) if len(kinds) == 1 else None


def differ(one: Line, other: Line) -> bool:
    """Whether two inits draw a parameter from different shapes, and with another mean or standard deviation."""
    a, b = moments(one), moments(other)
    if not a or not b or shape(one["rule"]) == shape(other["rule"]):
        return False
    least = RELEVANT * max(a.std, b.std)
    means = abs(a.mean - b.mean) > max(SIGNIFICANT * math.hypot(a.mean_error, b.mean_error), least)
    return means or abs(a.std - b.std) > max(SIGNIFICANT * math.hypot(a.std_error, b.std_error), least)


def moments(line: Line) -> Moments | None:
    """The moments of the rule; of runs from before they were kept, those of the parameter, if it has many entries."""
    if line.get("rule_mean"):
        return Moments(*(float(line[f"rule_{name}"]) for name in Moments._fields))
    count = entries(line)
    if count < FEWEST_ENTRIES:
        return None
    error = float(line["std"]) / math.sqrt(count)
    return Moments(float(line["mean"]), float(line["std"]), error, error)


def shape(rule: str) -> str:
    """normal, uniform, or the rule's own name: `kaiming_normal_(nonlinearity=relu)` is normal."""
    name = rule.partition("(")[0]
    return next((kind for kind in ("normal", "uniform") if kind in name), SHAPES.get(name, name))


def entries(line: Line) -> int:
    return math.prod(int(size) for size in line["shape"].split("x") if size)


def describe(line: Line) -> str:
    """`mean 0.50, standard deviation 0.29`, with the digits that are no chance."""
    known = moments(line)
    assert known
    mean, std = rounded(known.mean, known.mean_error), rounded(known.std, known.std_error)
    return f"mean {mean}, standard deviation {std}"


def rounded(value: float, error: float) -> str:
    """Write a number with two digits, or fewer where two standard errors are more than a unit of the last one."""
    if error == 0:
        return f"{value:.2g}"
    if abs(value) < SIGNIFICANT * error:
        return "0"
    place = max(math.ceil(math.log10(2 * error)), math.floor(math.log10(abs(value))) - 1)
    return f"{round(value, -place):.{max(0, -place)}f}"


def lines(content: bytes) -> Sequence[Line]:
    """The lines of an init.csv."""
    return list(csv.DictReader(io.StringIO(content.decode())))
