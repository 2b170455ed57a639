"""What the page shows of each cell: its outcome, its layers over training, its wavefront and its weight gradients."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import NOT_RUN, OUTCOMES, Cell, commonest, independent_keys, naming_keys
from zeroinit.report.histories import (
    EXPONENTS,
    GradientHistograms,
    bin_range,
    first_gradients,
    neuron_metrics,
    theoretical_first_gradients,
    thin_steps,
)
from zeroinit.report.page.charts import ColumnPool
from zeroinit.report.page.metrics import DetailLevel, layer_metrics, round_number
from zeroinit.report.page.planes import describe_plane
from zeroinit.report.tables import mark_n
from zeroinit.report.views.gradients import make_gradients
from zeroinit.report.views.layers import make_layers
from zeroinit.report.views.observed import Observed
from zeroinit.report.views.wavefront import make_wavefront

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content


def describe_cells(content: "Content", level: DetailLevel, pool: ColumnPool) -> list[dict[str, Any]]:
    """Return the details of each cell."""
    cells = content.cells
    keys = naming_keys(cells)
    indices = {id(cell): index for index, cell in enumerate(cells)}
    snapshots = content.extras.snapshots
    labelling = independent_keys([cell.params for cell in cells], keys)
    details = []
    for number, (cell, row, comparison) in enumerate(zip(cells, content.rows, content.comparisons, strict=True)):
        units = content.extras.units[number] if content.extras.units else {}
        outcome, agreeing = commonest(cell)
        word = next(iter(cell.outcomes), NOT_RUN) if outcome == "?" else outcome
        difference = row.difference
        details.append(
            {
                "label": cell.label(labelling) or content.name,
                "params": {key: cell.params[key] for key in keys if key in cell.params},
                "n": row.accuracy.n,
                "marked_n": mark_n(row.accuracy.n, row.counted),
                "accuracy": row.accuracy.percent(digits=1),
                "difference": difference.format().replace("-", "\N{MINUS SIGN}") if difference else "",
                "outcomes": row.outcomes,
                "outcome": word,
                "colour": OUTCOMES[word].colour if word in OUTCOMES else "",
                "agreeing": agreeing,
                "runs_planned": cell.outcomes.total(),
                "baseline": indices[id(comparison.baseline)] if comparison.baseline else None,
                "distinct": _count_distinct(cell, units),
                "plane": describe_plane(cell, snapshots[number], level) if snapshots else None,
                "layers": _describe_layers(cell, units, level, pool),
                **_describe_gradients_of(cell, content.histograms[number], level, pool),
            }
        )
    return details


def _count_distinct(cell: Cell, units: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """Return (layer, distinct neurons at the start, at the end) of each hidden layer, such as `1 of 500`."""
    counts: list[tuple[str, str, str]] = []
    for name in neuron_metrics(cell.finished):
        histories = [values for record in cell.finished if (values := record.history(name))]
        layer = DISTINCT_NEURONS.layer_of(name)
        of = f" of {units[layer]}" if layer in units else ""
        ends = [sorted({int(values[bound(values)]) for values in histories}) for bound in (min, max)]
        start, end = (f"{_range(values)}{of}" for values in ends)
        counts.append((layer, start, end))
    order = list(units)
    return sorted(counts, key=lambda count: order.index(count[0]) if count[0] in order else -1, reverse=True)


def _range(values: Sequence[int]) -> str:
    """Return `1` or `1 to 3`."""
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _describe_layers(
    cell: Cell, units: Mapping[str, int], level: DetailLevel, pool: ColumnPool
) -> dict[str, dict[str, Any]]:
    """Return the view of each kind of metric over the cell's layers."""
    if not level.points:
        return {}
    return {
        kind: pool.add_view(make_layers(cell, kind, metrics, units, level.points))
        for kind, metrics in layer_metrics(cell.finished).items()
    }


def _describe_gradients_of(
    cell: Cell, histograms: GradientHistograms | None, level: DetailLevel, pool: ColumnPool
) -> dict[str, Any]:
    """Return the first gradients, the wavefront and the weight gradients of a cell."""
    first, theory = first_gradients(cell.finished), theoretical_first_gradients(cell.finished)
    shared = {
        "first": {layer: [min(steps), max(steps), len(steps)] for layer, steps in first.items()},
        "theory": theory,
    }
    if histograms is None or not level.steps:
        return shared | {"wavefront": None, "gradients": None}
    latest = max([0, *theory.values(), *(step for steps in first.values() for step in steps)])
    thinned = histograms.at(thin_steps(histograms.steps, level.steps, latest))
    view = make_wavefront([Observed(cell.params, thinned, first, theory)], [])
    return shared | {"wavefront": pool.add_view(view), "gradients": _list_shares(thinned, histograms)}


def _list_shares(thinned: GradientHistograms, histograms: GradientHistograms) -> dict[str, Any]:
    """Return the histograms of each layer.

    Each step has the median of log2 |g| over the nonzero entries, the share of exact zeros, and the thousandths of all
    entries in each power of two from `low` on, negative entries first.
    """
    first, last = bin_range(thinned)
    layers = {}
    for layer in thinned.layers:
        entries = thinned.nonzero(layer) + thinned.zeros[layer]
        shares = thinned.counts[layer][:, :, first:last] / np.maximum(entries, 1)[:, None, None]
        # a bin with any entry stays visible, though its share may round to nothing
        thousandths = np.where(shares > 0, np.maximum(1, np.rint(1000 * shares)), 0).astype(int)
        layers[layer] = {
            "median": [round_number(value, 4) for value in thinned.quantiles(layer, [0.5])[:, 0]],
            "zeros": [round_number(value, 4) for value in thinned.zero_share(layer)],
            "shares": thousandths.reshape(len(thousandths), -1).tolist(),
        }
    data = {"steps": thinned.steps.tolist(), "observed": len(histograms.steps), "runs": thinned.runs}
    return data | {"low": int(EXPONENTS[first]), "layers": layers}


def describe_gradients(
    histograms: Sequence[GradientHistograms | None], level: DetailLevel, pool: ColumnPool
) -> dict[str, Any] | None:
    """Return the view of two cells' gradients and their difference, without rows, for bins that hold all cells.

    Rows are made for the two cells that a reader chooses. `low`, `bins` and `band` are the first power of two, the
    number of powers, and half the height of the band of exact zeros.
    """
    known = [of_cell for of_cell in histograms if of_cell]
    if not known or not level.steps:
        return None
    totals = np.sum([counts.sum(axis=(0, 1)) for of_cell in known for counts in of_cell.counts.values()], axis=0)
    counts = np.zeros((1, 2, len(totals)), dtype=np.int64)
    counts[0, 1] = totals
    pair = [
        GradientHistograms(np.array([1]), {"all": counts}, {"all": np.array([1])}, bound(part.runs for part in known))
        for bound in (min, max)
    ]
    whole = pair[0]
    view = make_gradients([Observed({"init": ""}, part, {}, {}) for part in pair], ["", ""]).to_data()
    first, last = bin_range(whole)
    top = float(view["y"]["domain"][1])
    low = max(int(EXPONENTS[first]), -50) if last > first else -25
    bins = int(EXPONENTS[last - 1]) - low + 1 if last > first else 26
    steps = sorted({int(step) for of_cell in known for step in of_cell.steps})
    return {"view": view | {"frame": {}}, "low": low, "bins": bins, "band": top - bins, "steps": steps}
