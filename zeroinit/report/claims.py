"""What a sweep claims, which cells a claim is about, and which cells it compares."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zeroinit.config.claims import Claim, Selector
from zeroinit.report.cells import Cell, independent_keys, naming_keys

Pair = tuple[Cell, Cell | None]


def matches(selector: Selector, params: Mapping[str, str]) -> bool:
    """Return whether the params have one of the selected values of each key."""
    return all(key in params and _has_value(value, params[key]) for key, value in selector.items())


def _has_value(value: Any, param: str) -> bool:
    """Return whether a param is this value, or one of this list of values, by value and not by spelling."""
    options = [value, *(value if isinstance(value, list) else [])]
    return parse_value(param) in [parse_value(option) for option in options]


def parse_value(value: Any) -> Any:
    """Return the number or list that a text is; other texts and values as they are."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def match_cells(claim: Claim, cells: Sequence[Cell]) -> list[Pair]:
    """Return the cells that the claim is about, each with every cell to compare it with, or with None.

    The two cells of a pair agree in all keys that the claim does not select.
    """
    subjects = [cell for cell in cells if matches(claim.cells, cell.params)]
    if not isinstance(claim.reference, Mapping):
        return [(cell, None) for cell in subjects]
    references = [cell for cell in cells if matches(claim.reference, cell.params)]
    equal = [key for key in naming_keys(cells) if not _may_differ(claim, key)]
    return [
        (cell, other)
        for cell in subjects
        for other in references
        if cell is not other and all(cell.params.get(key) == other.params.get(key) for key in equal)
    ]


def _may_differ(claim: Claim, key: str) -> bool:
    """Return whether the cells of a pair may differ in the key: the claim selects it, or the option that has it."""
    return any(key == name or key.startswith(f"{name}.") for side in claim.selectors.values() for name in side)


def label_pairs(claim: Claim, pairs: Sequence[Pair]) -> list[str]:
    """Return what each pair compares, with the keys that distinguish it from the other pairs."""
    subjects, references = [cell for cell, _ in pairs], [other for _, other in pairs if other]
    keys = naming_keys([*subjects, *references])
    differing = [key for key in keys if _may_differ(claim, key)]
    equal = independent_keys([cell.params for cell in subjects], [key for key in keys if key not in differing])
    labels = [
        _label_side(selector, side, differing)
        for selector, side in zip(claim.selectors.values(), (subjects, references), strict=False)
    ]
    shared = ["".join(f", {cell.label([key])}" for key in equal) for cell in subjects]
    return [_join_sides(sides, claim) + more for *sides, more in zip(*labels, shared, strict=True)]


def _label_side(selector: Selector, side: Sequence[Cell], keys: Sequence[str]) -> list[str]:
    """Return a label for each cell: the keys that select it, and others that distinguish it from the rest."""
    distinguishing = independent_keys([cell.params for cell in side], [*selector, *keys])
    return [cell.label(dict.fromkeys([*selector, *distinguishing])) for cell in side]


def _join_sides(sides: Sequence[str], claim: Claim) -> str:
    """Return `side against side`, or `side against 97.5%` if the reference is a number."""
    number = [] if claim.reference is None or isinstance(claim.reference, Mapping) else [f"{claim.reference:g}%"]
    return " against ".join([*sides, *number])


def describe_claim(claim: Claim) -> str:
    """Return what the claim compares, by its selectors alone."""
    return _join_sides([*map(format_selector, claim.selectors.values())], claim)


def format_selector(selector: Selector) -> str:
    """Return `key=value, ...`, the values of a list with bars between them."""
    return ", ".join(f"{key}={_format_value(value)}" for key, value in selector.items())


def claims_without_cells(claim: Claim, cells: Sequence[Cell]) -> list[Claim]:
    """Return the claim with one value of a list in its `cells`, for each value that no cell has."""
    lists = [
        (key, value)
        for key, value in claim.cells.items()
        if isinstance(value, list)
        and not any(parse_value(cell.params.get(key)) == value for cell in cells)  # the value is a list, as arch.hidden
    ]
    single = [replace(claim, cells={**claim.cells, key: value}) for key, values in lists for value in values]
    return [lacking for lacking in single if not any(matches(lacking.cells, cell.params) for cell in cells)]


def explain_missing(claim: Claim, cells: Sequence[Cell]) -> str:
    """Return which cells the sweep lacks, for example because one of its axes was narrowed."""
    has_both_sides = all(any(matches(side, cell.params) for cell in cells) for side in claim.selectors.values())
    return f"no {'two such cells that agree in all other keys' if has_both_sides else 'such cell'} in this sweep"


def _format_value(value: Any) -> str:
    """Return a value of a selector as it is typed, the values of a list with bars between them."""
    if isinstance(value, list):
        return "|".join(map(_format_value, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
