"""The snapshots of nets with two inputs, as the page stores them."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zeroinit.arch import ACTIVATIONS
from zeroinit.report.cells import Cell
from zeroinit.report.histories import space_evenly
from zeroinit.report.page.metrics import DetailLevel
from zeroinit.report.page.snapshots import Snapshots
from zeroinit.report.views.plane import make_plane

MAX_NUMBERS = 3000  # of the weights of a cell at all steps
DIGITS = 4


def describe_planes(snapshots: Sequence[Snapshots | None]) -> dict[str, dict[str, Any]]:
    """Return {name of the examples: the view of their plane, with a row for each example}.

    The page adds the rows of the lines, which follow from the weights at the step that a reader chooses.
    """
    planes: dict[str, dict[str, Any]] = {}
    for of_cell in snapshots:
        if of_cell is None or (name := _name_examples(of_cell)) in planes:
            continue
        points, labels = ([*map(tuple, of_cell["points"].tolist())], of_cell["labels"].tolist())
        planes[name] = make_plane(points, labels).to_data() | {"frame": _list_examples(of_cell["points"], labels)}
    return planes


def _list_examples(points: NDArray[Any], labels: Sequence[int]) -> dict[str, list[Any]]:
    """Return the columns of the examples in the plane."""
    count = len(labels)
    x, y = np.array(_round(points)).T.tolist()
    flags = {"is_point": [True] * count, "is_neuron": [False] * count, "is_boundary": [False] * count}
    tips = [f"class {label}" for label in labels]
    return {"x": x, "y": y, "class": list(map(str, labels)), "group": [""] * count, "tip": tips, **flags}


def _name_examples(snapshots: Snapshots) -> str:
    """Return a name that is equal for equal examples: cells differ in data set, split or normalisation."""
    examples = [_round(snapshots["points"]), snapshots["labels"].tolist()]
    return hashlib.sha256(json.dumps(examples).encode()).hexdigest()[:12]


def _is_drawable(cell: Cell, layers: Sequence[str]) -> bool:
    """Return whether net.js evaluates the net exactly: only the shipped dense nets, with their own layers."""
    arch, hidden = cell.params.get("arch"), [f"hidden{depth}" for depth in range(1, len(layers))]
    if list(layers) != [*hidden, "output"]:
        return False
    if cell.params.get("arch.norm", "null") != "null" or cell.params.get("arch.residual") == "true":
        return False
    return (arch == "logistic" and not hidden) or (arch == "fnn" and cell.params.get("arch.activation") in ACTIVATIONS)


def describe_plane(cell: Cell, label: str, snapshots: Snapshots | None, level: DetailLevel) -> dict[str, Any] | None:
    """Return the weights of a cell's net at some steps; None without snapshots, or if the page cannot evaluate the net.

    `activation` is the name of the function behind each hidden layer; layers are in the order of the forward pass.
    `neurons` are the names of the neurons of the first hidden layer, and `heads` those of the columns of their weights.
    """
    if snapshots is None or not level.steps:
        return None
    layers = [name.removesuffix("/weight") for name in snapshots if name.endswith("/weight")]
    if not _is_drawable(cell, layers):
        return None
    size = sum(snapshots[name][0].size for name in snapshots if "/" in name)
    steps = snapshots["steps"]
    chosen = space_evenly(len(steps), max(2, min(level.steps, MAX_NUMBERS // size)))
    first, second = layers[0], layers[min(1, len(layers) - 1)]
    neurons = len(snapshots[f"{first}/weight"][0]) if first != second else 0
    return {
        "title": f"{label}, seed {snapshots['seed']}",
        "neurons": [f"neuron {number + 1} of {first}" for number in range(neurons)],
        "heads": [f"neuron of {first}", "weights from the inputs", "bias", f"weights to {second}"],
        "seed": str(snapshots["seed"]),
        "examples": _name_examples(snapshots),
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
