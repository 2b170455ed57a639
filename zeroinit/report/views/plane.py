"""The plane of a net with two inputs: its decision boundary, the lines of its first neurons, and the examples."""

from collections.abc import Sequence

import pandas as pd

from zeroinit.report.views.colours import OTHER_COLOURS
from zeroinit.report.views.view import Mark, Scale, View

MARGIN = 0.3  # of the range of the examples, beyond them
COLUMNS = ("x", "y", "group", "class", "tip", "is_neuron", "is_boundary", "is_point")
CLASS_COLOURS = (OTHER_COLOURS[1], OTHER_COLOURS[0], *OTHER_COLOURS[2:])


def make_plane(points: Sequence[Sequence[float]], labels: Sequence[int]) -> View:
    """Return the view without rows: they follow from the weights at the step that a reader chooses.

    Args:
        points: (N, 2), the examples of the data.
        labels: (N,), their classes.
    """
    classes = [str(label) for label in sorted({*labels})]
    domains = []
    for values in zip(*points, strict=True):
        low, high = min(values), max(values)
        margin = MARGIN * (high - low or 1)
        domains.append((low - margin, high + margin))
    line = {"x": "x", "y": "y", "group": "group", "tip": "tip"}
    return View(
        "plane",
        "Decision boundary",
        "Dots: examples by class. A neuron's line is where its input is zero.",
        pd.DataFrame({column: [] for column in COLUMNS}),
        Scale("first input", "linear", domains[0]),
        Scale("second input", "linear", domains[1]),
        [
            Mark("line", line, "is_neuron", "#7A7F85", label="line of a first-layer neuron", width=1.2, dashed=True),
            Mark("line", line, where="is_boundary", colour="#2B2F33", label="decision boundary", width=2.6),
            Mark("dot", {"x": "x", "y": "y", "colour": "class", "tip": "tip"}, where="is_point", width=7),
        ],
        Scale(
            "class",
            "category",
            classes,
            "text",
            colours=CLASS_COLOURS[: len(classes)],
            labels=[f"class {name}" for name in classes],
        ),
    )
