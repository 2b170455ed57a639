"""What the page shows of each cell: its outcome, its layers over training, its wavefront and its weight gradients."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zeroinit.probes.symmetry import DISTINCT_NEURONS
from zeroinit.report.cells import NOT_RUN, OUTCOMES, Cell, commonest, independent_keys, naming_keys
from zeroinit.report.histories import neuron_metrics
from zeroinit.report.page.gradients import describe_shares
from zeroinit.report.page.metrics import DetailLevel
from zeroinit.report.page.pairs import Part
from zeroinit.report.page.planes import describe_plane
from zeroinit.report.tables import mark_n
from zeroinit.report.views.colours import is_dark
from zeroinit.report.views.observed import Observed

if TYPE_CHECKING:
    from zeroinit.report.page.content import Content


def describe_cells(
    content: "Content",
    level: DetailLevel,
    gradients: Sequence[Observed | None],
    layers: Sequence[dict[str, Part]],
    waves: Sequence[Part | None],
) -> list[dict[str, Any]]:
    """Return the details of each cell, with its parts of the charts of layers and of wavefronts."""
    cells = content.cells
    keys = naming_keys(cells)
    indices = {id(cell): index for index, cell in enumerate(cells)}
    snapshots = content.extras.snapshots
    labelling = independent_keys([cell.params for cell in cells], keys)
    details = []
    for number, (cell, row, comparison) in enumerate(zip(cells, content.rows, content.comparisons, strict=True)):
        units = content.extras.units[number] if content.extras.units else {}
        outcome = commonest(cell)[0]
        word = next(iter(cell.outcomes), NOT_RUN) if outcome == "?" else outcome
        difference = row.difference
        label = cell.label(labelling) or content.name
        details.append(
            {
                "label": label,
                "values": " \N{MIDDLE DOT} ".join(cell.params.get(key, "none") for key in labelling) or content.name,
                "params": {key: cell.params[key] for key in keys if key in cell.params},
                "n": row.result.n,
                "marked_n": mark_n(row.result.n, row.counted),
                "accuracy": content.format_result(row),
                "difference": difference.format().replace("-", "\N{MINUS SIGN}") if difference else "",
                "outcomes": row.outcomes,
                "outcome": word,
                "colour": (colour := OUTCOMES[word].colour if word in OUTCOMES else ""),
                "is_dark": bool(colour) and is_dark(colour),
                "runs_planned": cell.outcomes.total(),
                "baseline": indices[id(comparison.baseline)] if comparison.baseline else None,
                "distinct": _count_distinct(cell, units),
                "plane": describe_plane(cell, label, snapshots[number], level) if snapshots else None,
                "layers": layers[number],
                "wavefront": waves[number],
                "gradients": describe_shares(observed.gradients) if (observed := gradients[number]) else None,
            }
        )
    return details


def _count_distinct(cell: Cell, units: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return (layer, its distinct neurons) of each hidden layer: `1 of 500`, or `2 of 500, then 1 of 500`."""
    counts: list[tuple[str, str]] = []
    for name in neuron_metrics(cell.finished):
        histories = [values for record in cell.finished if (values := record.history(name))]
        layer = DISTINCT_NEURONS.layer_of(name)
        of = f" of {units[layer]}" if layer in units else ""
        ends = [sorted({int(values[bound(values)]) for values in histories}) for bound in (min, max)]
        start, end = (f"{_range(values)}{of}" for values in ends)
        counts.append((layer, end if start == end else f"{start}, then {end}"))
    order = list(units)
    return sorted(counts, key=lambda count: order.index(count[0]) if count[0] in order else -1, reverse=True)


def _range(values: Sequence[int]) -> str:
    """Return `1` or `1 to 3`."""
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"
