"""Which cells a claim is about, and which cells it compares."""

import pytest
from helpers.claims import PRIOR, WORSE, Claim, judge_all, judge_claim, of, runs

# ---- which cells


@pytest.mark.parametrize(
    ("selector", "inits"),
    [
        ({"init": "zero"}, ["zero"]),
        ({"init": ["zero", "ones"]}, ["zero", "ones"]),
        ({"bias_scale.value": 100}, ["zero"]),
        ({"bias_scale.value": 0.01}, ["ones"]),
        ({"bias_scale.value": "1e-2"}, ["ones"]),
        ({"bias_scale.value": 100.0}, ["zero"]),
        ({"arch.hidden": [500]}, ["zero"]),
        ({"arch.hidden": [[500], [8, 8]]}, ["zero", "ones"]),
        ({"arch.hidden": "[8,8]"}, ["ones"]),
        ({"init": "zero", "arch.hidden": [[8, 8]]}, []),
        ({"arch.width": 8}, []),
    ],
)
def test_a_selector_is_what_one_types(selector: Claim, inits: list[str]) -> None:
    records = [*runs("zero", 0.5, value="100", hidden="[500]"), *runs("ones", 0.5, value="0.01", hidden="[8, 8]")]
    rows = judge_all([PRIOR | {"cells": selector}], of(records))
    labels = [init for row in rows for init in ("zero", "ones") if f"init={init}" in row["compared"]]
    missing = [row for row in rows if row["needed"] == "no such cell in this sweep"]
    assert len(rows) == max(1, len(inits))
    assert len(missing) == (not inits)
    assert labels == inits or len(inits) < 2


def test_a_pair_is_alike_in_all_that_neither_selects() -> None:
    records = [
        record
        for scale in ("0.01", "1")
        for arch, hidden in (("fnn", "[8]"), ("deep", "[8, 8]"))
        for init in ("default", "zero_normal", "zero_uniform")
        for record in runs(init, 0.5, 0.6, value=scale, arch=arch, hidden=hidden)
    ]
    both = WORSE | {"margin": 1, "cells": {"init": ["zero_normal", "zero_uniform"]}}
    compared = [row["compared"] for row in judge_all([both], of(records))]
    assert len(compared) == len(set(compared)) == 8
    assert compared[0] == "init=zero_normal against init=default, arch=fnn, bias_scale.value=0.01"
    # an arch frees its widths, too
    archs = WORSE | {"margin": 1, "cells": {"arch": "deep"}, "reference": {"arch": "fnn"}}
    rows = judge_all([archs], of(records))
    assert len(rows) == 6
    assert rows[0]["compared"] == "arch=deep against arch=fnn, init=default, bias_scale.value=0.01"
    widths = archs | {"cells": {"arch.hidden": [[8, 8]]}, "reference": {"arch.hidden": [[8]]}}  # which frees no arch
    [row] = judge_all([widths], of(records))
    assert (row["verdict"], row["n"]) == ("undetermined", 0)
    assert row["needed"] == "no two such cells that agree in all other keys in this sweep"


def test_no_cell_is_compared_with_itself_and_a_missing_cell_is_reported() -> None:
    records = [*runs("zero", 0.5, 0.5, value="1"), *runs("zero", 0.5, 0.5, value="2")]
    claim = WORSE | {"cells": {"bias_scale.value": 1}, "reference": {"bias_scale.value": [1, 2]}, "margin": 1}
    row = judge_claim(claim, records)
    assert row["compared"] == "bias_scale.value=1 against bias_scale.value=2"
    row = judge_claim(WORSE | {"margin": 1, "source": "a book"}, records)
    assert (row["verdict"], row["needed"]) == ("undetermined", "no such cell in this sweep")
    assert (row["compared"], row["source"]) == ("init=zero_normal against init=default", "a book")
    assert (
        judge_claim(WORSE | {"margin": 1, "reference": 97.5}, records)["compared"] == "init=zero_normal against 97.5%"
    )
