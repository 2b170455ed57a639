"""The snapshots of nets with two inputs, as the page stores them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroinit.report.cells import Cell
from zeroinit.report.histories import space_evenly
from zeroinit.report.page.metrics import DetailLevel
from zeroinit.report.page.snapshots import Snapshots
from zeroinit.report.views.plane import make_plane

MAX_NUMBERS = 3000  # of the weights of a cell at all steps
DIGITS = 4


def describe_planes(snapshots: Sequence[Snapshots | None]) -> dict[str, Any] | None:
    """Return the view of all planes, without rows; None if no cell has snapshots of two inputs."""
    known = [of_cell for of_cell in snapshots if of_cell]
    if not known:
        return None
    points, labels = ([*map(tuple, known[0]["points"].tolist())], known[0]["labels"].tolist())
    view = make_plane(points, labels).to_data()
    return {"view": view | {"frame": {}}, "points": _round(known[0]["points"]), "labels": list(map(str, labels))}


def describe_plane(cell: Cell, snapshots: Snapshots | None, level: DetailLevel) -> dict[str, Any] | None:
    """Return the weights of a cell's net at some steps; None without snapshots.

    `activation` is the name of the function behind each hidden layer; layers are in the order of the forward pass.
    """
    if snapshots is None or not level.steps:
        return None
    layers = [name.removesuffix("/weight") for name in snapshots if name.endswith("/weight")]
    size = sum(snapshots[name][0].size for name in snapshots if "/" in name)
    steps = snapshots["steps"]
    chosen = space_evenly(len(steps), max(2, min(level.steps, MAX_NUMBERS // size)))
    return {
        "seed": str(snapshots["seed"]),
        "activation": cell.params.get("arch.activation", ""),
        "steps": steps[chosen].tolist(),
        "layers": [
            {
                "name": layer,
                "weight": _round(snapshots[f"{layer}/weight"][chosen]),
                "bias": _round(snapshots[f"{layer}/bias"][chosen]) if f"{layer}/bias" in snapshots else None,
            }
            for layer in layers
        ],
    }


def _round(array: NDArray[Any]) -> Any:
    """Return nested lists of numbers with DIGITS significant digits; 0 for what is not finite."""
    rounded = [float(f"{value:.{DIGITS}g}") for value in np.nan_to_num(array, posinf=0, neginf=0).flatten().tolist()]
    return np.array(rounded).reshape(array.shape).tolist()
