"""Whether inits that a sweep compares differ in more than the shape of what they draw."""

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

SIGNIFICANT = 4  # standard errors
SHAPES = {"default_": "uniform", "row_constant_": "normal"}  # rules whose name does not say what they draw

Lines = Sequence[Mapping[str, str]]  # of an init.csv


def confounded(cells: Iterable[tuple[Mapping[str, str], Lines]], keys: Sequence[str]) -> list[str]:
    """Where inits that are alike in all other `keys` draw a parameter from different shapes with different moments.

    `cells` are (params, lines of an init.csv) each. A sentence for weights and one for biases, of the largest such
    parameter; what only scales a shape, as a bias scale does, is no finding. Published: N(0, 1) against U[0, 1) biases,
    told as normal against uniform.
    """
    others = [key for key in keys if not key.startswith("init")]
    compared: dict[tuple[str, ...], dict[str, Lines]] = defaultdict(dict)
    for params, lines in cells:
        compared[tuple(params.get(key, "") for key in others)].setdefault(params["init"], lines)
    found: dict[str, str] = {}
    for values, inits in compared.items():
        drawn: dict[str, dict[str, Mapping[str, str]]] = defaultdict(dict)
        for init, lines in inits.items():
            for line in lines:
                if float(line["std"]) > 0 and line["rule"] != "torch's own":
                    drawn[line["parameter"]][init] = line
        for parameter, by_init in sorted(drawn.items(), key=lambda one: -entries(next(iter(one[1].values())))):
            kind = parameter.rpartition(".")[2]
            if kind not in found and any(differ(*pair) for pair in combinations(by_init.values(), 2)):
                where = " ".join(f"{key}={value}" for key, value in zip(others, values, strict=True) if value)
                said = ", ".join(f"{init} {numbers(line)}" for init, line in by_init.items())
                found[kind] = (
                    f"Not only the shape differs: {parameter} is drawn with mean ± deviation {said} ({where}); "
                    "what one init does better may be the scale's doing"
                )
    return list(found.values())


def differ(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
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


def entries(line: Mapping[str, str]) -> int:
    return math.prod(int(size) for size in line["shape"].split("x") if size)


def numbers(line: Mapping[str, str]) -> str:
    return f"{float(line['mean']):.2g} ± {float(line['std']):.2g}"


def lines(content: bytes) -> Lines:
    """The lines of an init.csv."""
    return list(csv.DictReader(io.StringIO(content.decode())))
