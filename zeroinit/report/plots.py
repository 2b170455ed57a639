"""The charts of a sweep as matplotlib figures, which a researcher may change and save for a paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Literal

from matplotlib.figure import Figure

from zeroinit.errors import BadInput
from zeroinit.report import views
from zeroinit.report.cells import Cell, list_scores, naming_keys
from zeroinit.report.claims import matches
from zeroinit.report.comparisons import BASELINE
from zeroinit.report.figures import draw_view
from zeroinit.report.histories import neuron_metrics
from zeroinit.report.select_figures import MAX_WAVES, observe_cells, sum_observed, units_of_layers
from zeroinit.tracker import RunReader


class Plots:
    """The charts of the cells of a sweep. Each method returns a matplotlib figure: `figure.savefig("a.pdf")`.

    All methods take `where`, which selects cells: {key: a value, or a list of values}, such as {"arch": "fnn"}.
    """

    def __init__(
        self, cells: Sequence[Cell], tracker: RunReader, baseline: str = BASELINE, width: float | None = None
    ) -> None:
        self._cells, self._tracker, self._baseline, self._width = cells, tracker, baseline, width

    def for_paper(self, width: float = 3.5) -> "Plots":
        """Return the charts without headline, caption and notes, which a paper sets itself.

        Args:
            width: The width of a figure in inches, such as that of a column. `gradients` and `boxes` need about 7.
        """
        return Plots(self._cells, self._tracker, self._baseline, width)

    def curves(
        self,
        metric: str | None = None,
        along: Literal["epoch", "step"] = "epoch",
        with_runs: bool = False,
        where: Mapping[str, Any] | None = None,
    ) -> Figure:
        """Draw a metric over training, with a line for each init.

        Args:
            metric: The metric; None for the test score.
            along: `epoch` or `step`.
            with_runs: Whether to draw each run, in place of the bands.
            where: Selects cells.

        Raises:
            BadInput: No cell is selected.
        """
        cells = self._select(where)
        metric = metric or list_scores(cells)[0].test
        self._load(cells, [metric])
        return self._draw(views.make_curves(cells, metric, along, with_runs=with_runs))

    def differences(self, baseline: str | None = None, where: Mapping[str, Any] | None = None) -> Figure:
        """Draw the difference of each cell from the baseline, with intervals.

        Args:
            baseline: The name of an init; None for the sweep's own.
            where: Selects cells.

        Raises:
            BadInput: No cell is selected, or none has a baseline.
        """
        name = baseline or self._baseline
        view = views.make_differences(self._cells, name, self._select(where))
        if view is None:
            raise BadInput(f"baseline={name}: no cell can be compared with this init")
        return self._draw(view)

    def map(self, x: str = "", y: str = "", where: Mapping[str, Any] | None = None) -> Figure:
        """Draw the test score and the outcome over two keys.

        Args:
            x: The key along; empty to choose it.
            y: The key up; empty to choose it.
            where: Selects cells.

        Raises:
            BadInput: No cell is selected.
        """
        return self._draw(views.make_map(self._select(where), x, y))

    def neurons(self, where: Mapping[str, Any] | None = None) -> Figure:
        """Draw the number of distinct neurons of each hidden layer over steps.

        Args:
            where: Selects cells.

        Raises:
            BadInput: No cell is selected, or no run measured this.
        """
        cells = self._select(where)
        metrics = neuron_metrics([record for cell in cells for record in cell.finished])
        if not metrics:
            raise BadInput("neurons: no run measured distinct neurons; train with probe=default or probe=all")
        self._load(cells, metrics)
        view = views.make_neurons(cells, units_of_layers(cells, self._tracker))
        assert view
        return self._draw(view)

    def wavefront(self, where: Mapping[str, Any] | None = None) -> Figure:
        """Draw the step of each layer's first gradient, for at most 12 cells.

        Args:
            where: Selects cells.

        Raises:
            BadInput: No cell is selected, or no run kept its gradients.
        """
        return self._draw_observed(lambda labels, cells, keys: views.make_wavefront(cells, keys), where, MAX_WAVES)

    def gradients(self, where: Mapping[str, Any] | None = None) -> Figure:
        """Draw the histograms of weight gradients over steps, for one or two cells, and their difference.

        Args:
            where: Selects cells.

        Raises:
            BadInput: No cell is selected, or no run kept its gradients.
        """
        return self._draw_observed(lambda labels, cells, keys: views.make_gradients(cells, labels), where, 2)

    def boxes(self, where: Mapping[str, Any] | None = None) -> Figure:
        """Draw box plots of weight gradients in the first observed steps, for one or two cells.

        Args:
            where: Selects cells.

        Raises:
            BadInput: No cell is selected, or no run kept its gradients.
        """
        return self._draw_observed(lambda labels, cells, keys: views.make_boxes(cells, labels), where, 2)

    def _draw(self, view: views.View) -> Figure:
        if self._width is None:
            return draw_view(view)
        return draw_view(replace(view, title="", caption="", notes=()), self._width)

    def _select(self, where: Mapping[str, Any] | None) -> list[Cell]:
        """Return the selected cells that have a finished run."""
        cells = [cell for cell in self._cells if cell.finished and matches(where or {}, cell.params)]
        if not cells:
            raise BadInput(f"where={where}: no cell with a finished run has these values")
        return cells

    def _load(self, cells: Sequence[Cell], metrics: Sequence[str]) -> None:
        self._tracker.load_histories([record for cell in cells for record in cell.finished], metrics)

    def _draw_observed(self, make: Callable[..., views.View], where: Mapping[str, Any] | None, most: int) -> Figure:
        """Draw a view of gradients of the first `most` selected cells that have them."""
        cells, keys = self._select(where), naming_keys(self._cells)
        parts = (part for cell in cells for part in observe_cells([cell], keys, self._tracker))
        labels, observed = sum_observed(list(islice(parts, most)))
        if not observed:
            raise BadInput(
                "gradients: no run kept them, or the runs of each cell share no observed step; train with probe=default"
            )
        return self._draw(make(labels, observed, keys))
