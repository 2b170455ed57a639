"""Whether inits that a sweep compares differ in more than the shape of what they draw."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

SIGNIFICANT = 4  # standard errors
SHAPES = {"default_": "uniform", "row_constant_": "normal"}  # rules whose name does not say what they draw

Line = Mapping[str, str]  # of an init.csv


def confounded(cells: Iterable[tuple[Mapping[str, str], Sequence[Line]]], keys: Sequence[str]) -> list[str]:
    """Where inits that differ in their weights or biases alone draw those from other shapes with other moments.

    `cells` are (params, lines of an init.csv) each; those are compared that are alike in all other `keys`. A sentence
    for weights and one for biases, of the largest such parameter; what only scales a shape, as a bias scale does, is no
    finding. Published: N(0, 1) against U[0, 1) biases, told as normal against uniform.
    """
    others = [key for key in keys if not key.startswith("init")]
    compared: dict[tuple[str, ...], dict[str, Sequence[Line]]] = defaultdict(dict)
    for params, lines in cells:
        compared[tuple(params.get(key, "") for key in others)].setdefault(params["init"], lines)
    found: dict[str, tuple[int, str]] = {}  # by kind: entries of the largest yet, and what is said of it
    for values, inits in compared.items():
        drawn: dict[str, dict[str, Line]] = defaultdict(dict)  # by parameter, then init
        for (name, one), (other_name, other) in combinations(inits.items(), 2):
            pair = alone(one, other)
            if pair and differ(*pair):
                drawn[pair[0]["parameter"]] |= {name: pair[0], other_name: pair[1]}
        where = " ".join(f"{key}={value}" for key, value in zip(others, values, strict=True) if value)
        for parameter, by_init in drawn.items():
            size, kind = entries(next(iter(by_init.values()))), parameter.rpartition(".")[2]
            said = ", ".join(f"{init} {numbers(line)}" for init, line in by_init.items())
            sentence = (
                f"Not only the shape differs: {parameter} is drawn with mean ± deviation {said} ({where}); what one "
                "init does better may be the scale's doing"
            )
            if size > found.get(kind, (0, ""))[0]:
                found[kind] = size, sentence
    return [said for _, said in found.values()]


def alone(one: Sequence[Line], other: Sequence[Line]) -> tuple[Line, Line] | None:
    """The largest parameter that both inits draw, where they have other rules for the weights or biases alone."""
    differing = [pair for pair in zip(one, other, strict=False) if pair[0]["rule"] != pair[1]["rule"]]
    kinds = {line["parameter"].rpartition(".")[2] for line, _ in differing}
    drawn = [pair for pair in differing if all(float(line["std"]) > 0 for line in pair)]
    return max(drawn, key=lambda pair: entries(pair[0]), default=None) if len(kinds) == 1 else None


def differ(one: Line, other: Line) -> bool:
    """Whether two inits draw a parameter from different shapes, and with another mean or deviation beyond chance."""
    if shape(one["rule"]) == shape(other["rule"]):
        return False
    (mean, std), (mean2, std2) = ((float(line["mean"]), float(line["std"])) for line in (one, other))
    allowed = SIGNIFICANT / math.sqrt(entries(one))
    return abs(mean - mean2) > allowed * math.hypot(std, std2) or abs(math.log(std / std2)) > allowed


def shape(rule: str) -> str:
    """normal, uniform, or the rule's own name: `kaiming_normal_(nonlinearity=relu)` is normal."""
    name = rule.partition("(")[0]
    return next((kind for kind in ("normal", "uniform") if kind in name), SHAPES.get(name, name))


def entries(line: Line) -> int:
    return math.prod(int(size) for size in line["shape"].split("x") if size)


def numbers(line: Line) -> str:
    return f"{float(line['mean']):.2g} ± {float(line['std']):.2g}"


def lines(content: bytes) -> Sequence[Line]:
    """The lines of an init.csv."""
    return list(csv.DictReader(io.StringIO(content.decode())))
