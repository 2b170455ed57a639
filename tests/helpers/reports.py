"""Records, cells and histograms for the tests of the report, and what its page contains."""

import base64
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from zeroinit.report.cells import Cell, group_cells
from zeroinit.report.cli import main
from zeroinit.report.histories import (
    GradientHistograms,
    sum_histograms,
)
from zeroinit.tracker import Record


def record(init: str, seed: int, accuracy: float, status: str = "FINISHED", **tags: str) -> Record:
    params = {"arch": "fnn", "init": init, "bias_scale.value": "1", "seeds.init": str(seed)}
    tags = {"config_hash": f"{init}{seed}", "cell_hash": init, "steps_per_epoch": "10"} | tags
    if status == "FINISHED":
        tags.setdefault("outcome", "learns")
    metrics = [("test/accuracy", 0.1, 0), ("test/accuracy", accuracy, 20), ("test/loss", 1 - accuracy, 20)]
    return Record(f"{init} {seed}", params, tags, status, metrics)


def plan_of(*records: Record) -> list[tuple[str, str, dict[str, str]]]:
    return [(run.tags["config_hash"], run.tags["cell_hash"], run.params) for run in records]


def fake_histograms(zero_steps: int) -> dict[str, np.ndarray]:
    counts = np.zeros((4, 2, 255), dtype=np.int64)
    counts[zero_steps:, :, 120] = 5
    zeros = np.where(np.arange(4) < zero_steps, 10, 0)
    return {"steps": np.arange(1, 5), "hidden1/counts": counts, "hidden1/zeros": zeros}


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def sum_runs(*runs: dict[str, np.ndarray]) -> GradientHistograms:
    histograms = sum_histograms([pack(run) for run in runs])
    assert histograms
    return histograms


def unpack(page: bytes) -> dict[str, Any]:
    """The data of a page, as the browser unpacks them."""
    [packed] = re.findall(r'<script id="data"[^>]*>([^<]*)</script>', page.decode())
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return data


def grid(inits: int, scales: int, seeds: int) -> list[Record]:
    made = []
    for init in range(inits):
        for scale in range(scales):
            for seed in range(seeds):
                run = record(f"init{init}", seed, 0.5 + 0.01 * seed)
                run.params |= {"bias_scale.value": str(10.0**-scale), "dataset": "digits"}
                run.tags |= {
                    "config_hash": f"{init} {scale} {seed}",
                    "cell_hash": f"{init} {scale}",
                    "outcome_reason": "so",
                }
                run.metrics += [("first_gradient/hidden1", 2 + seed, 2), ("first_gradient_predicted/hidden1", 2, 0)]
                run.metrics += [("symmetry/hidden1/distinct", 4.0, step) for step in range(30)]
                made.append(run)
    return made


# ---- the command


def report(*words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["zeroinit-report", *words])
    main()


def make_cells(keys: Mapping[str, Sequence[str]], seeds: int = 2, **more: str) -> list[Cell]:
    """Cells of a product of values, filled with runs."""
    made: list[dict[str, str]] = [{}]
    for key, values in keys.items():
        made = [params | {key: value} for params in made for value in values]
    runs = []
    for params in made:
        for seed in range(seeds):
            run = record(params["init"], seed, 0.5)
            run.params |= params
            run.tags |= {"cell_hash": str(params), "config_hash": f"{params} {seed}"} | more
            runs.append(run)
    return group_cells(plan_of(*runs), runs)


def column_of(content: dict[str, Any], index: int) -> list[Any]:
    """A column of a page, as its scripts read it."""
    column = content["columns"][index]
    return column if isinstance(column, list) else [column["texts"][position] for position in column["indices"]]


def table_of(content: dict[str, Any], rows: str) -> list[dict[str, str]]:
    """The rows of the table of `cells` or of `runs` of a page."""
    table = content["table"][rows]
    columns = table if rows == "cells" else table["columns"]
    texts = {column["name"]: column_of(content, column["texts"]) for column in columns}
    return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
