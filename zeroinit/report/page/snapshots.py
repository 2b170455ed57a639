"""The snapshots of nets with two inputs, read from the store."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroinit.probes.snapshot import SNAPSHOTS_FILE
from zeroinit.report.cells import Cell
from zeroinit.tracker import Tracker

Snapshots = Mapping[str, NDArray[Any]]


def read_snapshots(cells: Sequence[Cell], tracker: Tracker) -> list[Snapshots | None]:
    """Return the snapshots of each cell's finished run with the smallest seed; None if it has none of two inputs."""
    return [_read_cell(cell, tracker) for cell in cells]


def _read_cell(cell: Cell, tracker: Tracker) -> Snapshots | None:
    for record in sorted(cell.finished, key=lambda record: int(record.params["seeds.init"])):
        if "snapshot" in record.params.get("probe.measure", ""):
            content = tracker.read_file(record, SNAPSHOTS_FILE)
            arrays = parse_snapshots(content) if content else {}
            return arrays | {"seed": np.array(record.params["seeds.init"])} if "points" in arrays else None
    return None


def parse_snapshots(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a snapshots.npz."""
    with np.load(io.BytesIO(content)) as arrays:
        return {name: arrays[name] for name in arrays.files}
