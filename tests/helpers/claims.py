"""Claims, and the runs that judge them."""

import json
from typing import Any

from zeroinit.config.claims import parse_claims
from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.judgements import judge
from zeroinit.tracker import Record

Claim = dict[str, Any]


WORSE: Claim = {
    "statement": "so",
    "cells": {"init": "zero_normal"},
    "test": "non_inferior",
    "reference": {"init": "default"},
}


BETTER: Claim = WORSE | {"test": "superior"}


PRIOR: Claim = {"statement": "so", "cells": {"init": "zero"}, "test": "predicts_one_class"}


NOTHING: Claim = PRIOR | {"test": "does_not_learn"}


WAVE: Claim = PRIOR | {"test": "wakes_in_order", "order": ["output", "hidden1"]}


def run(init: str, seed: int, accuracy: float, order: int | None = None, **params: str) -> Record:
    """A finished run; `params` by their last words, as `value` for bias_scale.value."""
    order = seed if order is None else order
    keys = {"value": "bias_scale.value", "hidden": "arch.hidden", "activation": "arch.activation", "lr": "optimizer.lr"}
    given = {keys.get(key, key): value for key, value in params.items()}
    named = {"arch": "fnn", "init": init, "bias_scale.value": "1"} | given
    seeds = {"seeds.init": str(seed), "seeds.order": str(order)}
    tags = {"cell_hash": json.dumps(named), "config_hash": json.dumps(named | seeds), "outcome": "learns"}
    tags["test_class_counts"] = "[100,200,700]"
    return Record("", named | seeds, tags, "FINISHED", [("test/accuracy", accuracy, 20)])


def runs(init: str, *accuracies: float, **params: str) -> list[Record]:
    return [run(init, seed, accuracy, **params) for seed, accuracy in enumerate(accuracies)]


def of(records: list[Record], more: list[Record] | None = None) -> list[Cell]:
    """The cells of the records, with planned runs that do not exist."""
    planned = [(run.tags["config_hash"], run.tags["cell_hash"], run.params) for run in [*records, *(more or [])]]
    return group_cells(planned, records[::-1])


def judge_all(claims: list[Claim], cells: list[Cell]) -> list[dict[str, Any]]:
    """The rows of claims.csv."""
    return [judgement.columns() for judgement in judge(parse_claims(claims), cells)]


def judge_claim(claim: Claim, records: list[Record], more: list[Record] | None = None) -> dict[str, Any]:
    [row] = judge_all([claim], of(records, more))
    return row


# three pairs that differ by -0.1, -0.2 and -0.3 points: mean -0.2, deviation 0.1, t 4.303 with 2 degrees of freedom
THREE = [*runs("default", 0.97, 0.96, 0.98), *runs("zero_normal", 0.969, 0.958, 0.977)]
