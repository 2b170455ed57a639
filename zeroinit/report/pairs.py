"""Which cells of a sweep a claim is about, and which are compared with which."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from zeroinit.report.cells import Cell, columns, undecided

Claim = Mapping[str, Any]
Pair = tuple[Cell, Cell | None]


def chosen(selector: Mapping[str, Any], params: Mapping[str, str]) -> bool:
    """Whether a cell has one of the values that are selected, of each key."""
    return all(key in params and means(value, params[key]) for key, value in selector.items())


def means(value: Any, param: str) -> bool:
    """Whether a value, or one of a list of them, is this param: `0.01` and `[500]` are numbers and lists, as typed."""
    return read(param) in [read(one) for one in [value, *(value if isinstance(value, list) else [])]]


def read(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def pairs(claim: Claim, cells: Sequence[Cell]) -> list[Pair]:
    """The cells that the claim is about, each with those that it is compared with, where it is."""
    own = [cell for cell in cells if chosen(claim["cell"], cell.params)]
    if not isinstance(claim.get("other"), Mapping):
        return [(cell, None) for cell in own]
    others = [cell for cell in cells if chosen(claim["other"], cell.params)]
    kept = [key for key in columns(cells) if not free(claim, key)]
    return [
        (cell, other)
        for cell in own
        for other in others
        if cell is not other and all(cell.params.get(key) == other.params.get(key) for key in kept)
    ]


def free(claim: Claim, key: str) -> bool:
    """Whether the two cells of a pair may differ in the key: it is selected, or it is of an option that is."""
    return any(key == name or key.startswith(f"{name}.") for side in selectors(claim) for name in side)


def selectors(claim: Claim) -> list[Mapping[str, Any]]:
    return [claim[side] for side in ("cell", "other") if isinstance(claim.get(side), Mapping)]


def labels(claim: Claim, matched: Sequence[Pair]) -> list[str]:
    """What is compared in each pair, with what tells it from the others."""
    own, others = [cell for cell, _ in matched], [other for _, other in matched if other]
    keys = columns([*own, *others])
    its = [key for key in keys if free(claim, key)]
    both = undecided([cell.params for cell in own], [key for key in keys if key not in its])
    sides = [named(selector, side, its) for selector, side in zip(selectors(claim), (own, others), strict=False)]
    shared = ["".join(f", {cell.label([key])}" for key in both) for cell in own]
    return [against(names, claim) + more for *names, more in zip(*sides, shared, strict=True)]


def named(selector: Mapping[str, Any], side: Sequence[Cell], keys: Sequence[str]) -> list[str]:
    """Each of the cells by the keys that select it, and by others that tell it from the rest."""
    told = undecided([cell.params for cell in side], [*selector, *keys])
    return [cell.label(dict.fromkeys([*selector, *told])) for cell in side]


def against(sides: Sequence[str], claim: Claim) -> str:
    number = [] if isinstance(claim.get("other", {}), Mapping) else [f"{claim['other']:g}%"]
    return " against ".join([*sides, *number])


def asked(claim: Claim) -> str:
    """What was to be compared."""
    sides = [", ".join(f"{key}={typed(value)}" for key, value in side.items()) for side in selectors(claim)]
    return against(sides, claim)


def absent(claim: Claim, cells: Sequence[Cell]) -> list[Claim]:
    """The claim of each value in a list of its `cell` that no cell has."""
    lists = [
        (key, value)
        for key, value in claim["cell"].items()
        if isinstance(value, list)
        and not any(read(cell.params.get(key)) == value for cell in cells)  # as of arch.hidden
    ]
    alone = [dict(claim) | {"cell": claim["cell"] | {key: one}} for key, value in lists for one in value]
    return [one for one in alone if not any(chosen(one["cell"], cell.params) for cell in cells)]


def missing(claim: Claim, cells: Sequence[Cell]) -> str:
    """What is not in the sweep, as where an axis was narrowed."""
    there = all(any(chosen(side, cell.params) for cell in cells) for side in selectors(claim))
    return f"no {'two such cells, alike in all else,' if there else 'such cell'} in this sweep"


def typed(value: Any) -> str:
    return "|".join(map(typed, value)) if isinstance(value, list) else value if isinstance(value, str) else str(value)
