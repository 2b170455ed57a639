"""The runs of a sweep in Python: data frames of its runs, its cells, its histories and its comparisons."""

import json
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from zeroinit.errors import BadInput
from zeroinit.report.answer import summarize
from zeroinit.report.cells import group_cells, list_runs, list_scores, naming_keys, outcome_of
from zeroinit.report.comparisons import Comparison, compare_with_baseline, describe_widening
from zeroinit.report.histories import GradientHistograms, metrics_of, sum_histograms
from zeroinit.report.judgements import COLUMNS, Judgement, judge, metrics_of_claims
from zeroinit.report.manifest import MANIFEST_FILE, Manifest, manifest_of, read_manifest
from zeroinit.report.tables import explain_marks, mark_n, summarize_cells
from zeroinit.tracker import Record, Tracker, readable
from zeroinit.tracker.scores import name_scores
from zeroinit.tracker.tags import Tag

if TYPE_CHECKING:
    from zeroinit.report.plots import Plots

HISTOGRAMS_FILE = "histograms.npz"


class Sweep:
    """A sweep as data frames.

    A cell is the set of runs that differ only in their seeds. The rule for which runs count is
    `zeroinit.report.cells.group_cells`: the newest finished run of each identity of the sweep.

    Attributes:
        name: The name of the sweep, which is its MLflow experiment.
        question: What the sweep's file asks; empty for a grid from the command line.
        baseline: The init that others are compared with.
        notes: Lines on runs that are left out.
    """

    def __init__(self, tracker: Tracker) -> None:
        """Read the runs of an open tracker.

        Raises:
            BadInput: The sweep has no runs, or the store does not answer.
        """
        records, self.notes = readable(tracker.records())
        content = tracker.read_summary(MANIFEST_FILE)
        self._manifest: Manifest = read_manifest(content) if content else manifest_of(records)
        if not self._manifest.planned:
            raise BadInput(f"{tracker.sweep}: the sweep has no runs; there is nothing to report")
        self._tracker = tracker
        self._cells = group_cells(self._manifest.planned, records)
        self.name, self.question = tracker.sweep, self._manifest.question
        self.baseline = self._manifest.baseline

    def __repr__(self) -> str:
        """Return the answer, and how many runs the sweep has."""
        counts = f"{len(self.runs)} runs in {len(self._cells)} cells"
        return "\n".join([f"Sweep {self.name!r}, {counts}", *self.answer])

    @cached_property
    def plot(self) -> "Plots":
        """The charts of the sweep: `sweep.plot.curves().savefig("curves.pdf")`."""
        from zeroinit.report.plots import Plots  # only here: matplotlib takes time to import

        return Plots(self._cells, self._tracker, self.baseline)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row for each run, the newest of each identity.

        Columns: `run_id`; `status` and `outcome`; `counts`, whether the run is in the means; every param under its key,
        as a number, a boolean, a list or a text; the last value of every metric under its name; `outcome_reason`,
        the numbers behind the outcome or the error of a run that failed;
        `train_seconds`; `started`, the time in UTC.
        """
        rows = []
        for cell in self._cells:
            finished = {id(record) for record in cell.finished}
            rows += [_run_row(record, id(record) in finished) for record in list_runs(cell)]
        return pd.DataFrame(rows)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each cell.

        Columns: the keys that name a cell; `n` and `counted`, what n counts; `accuracy` or `r2`, the mean of the final
        test score, with its standard deviation `std` over the n units; `interval`, the half width of Student's 95%
        interval; `low` and `high`, its bounds within the range of the score; `difference` from the baseline in
        percentage points, with `difference_interval`, `comparisons` and `direction` as in `difference()`; `loss`; and
        `outcomes` of its runs.
        """
        return pd.DataFrame([_typed(row.columns()) for row in summarize_cells(self._cells, self.baseline)])

    def curves(self, metric: str | None = None) -> pd.DataFrame:
        """Return a metric over training, in long form.

        Args:
            metric: The name of the metric, such as `train/loss`; None for the test score.

        Returns:
            Columns `run_id`, the keys that name a cell, the seeds, `step`, `epoch` and `value`; a row for each point.

        Raises:
            BadInput: No run has the metric.
        """
        finished = [record for cell in self._cells for record in cell.finished]
        names, metric = metrics_of(finished), metric or list_scores(self._cells)[0].test
        if metric not in names:
            raise BadInput(f"metric={metric}: no finished run has it; the metrics are {', '.join(names) or 'none'}")
        self._tracker.load_histories(finished, [metric])
        keys = [*naming_keys(self._cells), *_seed_keys(finished)]
        rows = []
        for record in finished:
            shared = {"run_id": record.run_id} | {key: _parse(record.params.get(key)) for key in keys}
            steps_per_epoch = float(record.tags.get(Tag.STEPS_PER_EPOCH, math.nan))
            for step, value in record.history(metric).items():
                rows.append(shared | {"step": step, "epoch": step / steps_per_epoch, "value": value})
        return pd.DataFrame(rows)

    def gradients(self, run_id: str) -> GradientHistograms:
        """Return the histograms of a run's weight gradients.

        Returns:
            `steps` (T,), the observed steps; `counts[layer]` (T, 2, 255): of each step the number of negative and of
            positive entries whose size is in [2^e, 2^(e+1)), for e from -127 to 127; `zeros[layer]` (T,): the number of
            entries that are exactly zero.

        Raises:
            BadInput: The sweep has no such run, or the run kept no histograms.
        """
        record = next((record for record in self._records() if record.run_id == run_id), None)
        if record is None:
            raise BadInput(f"run_id={run_id}: the sweep has no such run; give one of `runs.run_id`")
        content = self._tracker.read_file(record, HISTOGRAMS_FILE)
        histograms = sum_histograms([content]) if content else None
        if histograms is None:
            raise BadInput(f"run_id={run_id}: the run kept no histograms; train it with probe=default or probe=all")
        return histograms

    def difference(self, baseline: str | None = None) -> pd.DataFrame:
        """Return the difference of the test score between each cell and its baseline, paired by seed.

        Args:
            baseline: The name of an init; None for the sweep's own.

        Returns:
            A row for each compared cell. Columns: the keys that name a cell; `n`; `difference`, the mean in percentage
            points; `interval`, the half width of Student's interval, widened for the `comparisons` with one baseline
            (Bonferroni, 95% together); and `direction`.

        Raises:
            BadInput: No cell has this init.
        """
        keys = naming_keys(self._cells)
        rows = []
        for comparison in self._comparisons(baseline):
            if difference := comparison.difference:
                row = {key: _parse(comparison.cell.params.get(key)) for key in keys}
                row |= {"n": difference.n, "difference": difference.mean, "interval": difference.half}
                rows.append(row | {"comparisons": difference.comparisons, "direction": difference.direction})
        return pd.DataFrame(rows)

    @property
    def answer(self) -> list[str]:
        """The answer of the sweep in sentences."""
        return summarize(self._comparisons(None), self._judgements, self.baseline)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """One row for each claim of the sweep's file and each cell, or pair of cells, that it is about.

        Columns: `claim`, its number from 1; `verdict`; `statement`, `test`, `cells`, `reference` and `margin` of the
        claim; `compared`; `n` and `counted`, what n counts; `difference` in percentage points; `interval`, the half
        width of Student's 95% interval, not widened, and its bounds `low` and `high`; `finding`; `needed`, what would
        decide it; and `source`.
        """
        return pd.DataFrame([judgement.columns() for judgement in self._judgements], columns=COLUMNS)

    @cached_property
    def _judgements(self) -> list[Judgement]:
        """The judgements of the sweep's claims."""
        if metrics := metrics_of_claims(self._manifest.claims):
            self._tracker.load_histories([record for cell in self._cells for record in cell.finished], metrics)
        return judge(self._manifest.claims, self._cells)

    def to_latex(self, baseline: str | None = None) -> str:
        """Return a LaTeX table (booktabs) of the cells, with the score and the difference from the baseline.

        Args:
            baseline: The name of an init; None for the sweep's own.
        """
        comparisons, cell_rows = self._comparisons(baseline), summarize_cells(self._cells)
        rows = []
        for row, comparison in zip(cell_rows, comparisons, strict=True):
            score, difference = row.result.percent(digits=1), comparison.difference
            minus = difference.format() if difference else ""
            numbers = {"n": mark_n(row.result.n, row.counted), "score": score, "difference": minus}
            rows.append({**row.keys, **numbers, "outcome": row.outcomes})
        name = baseline or self.baseline
        columns = {"score": f"test {name_scores(list_scores(self._cells))}", "difference": f"minus {name} (points)"}
        table = pd.DataFrame(rows).rename(columns=columns).style.hide(axis="index")
        table = table.format(escape="latex").format_index(escape="latex", axis="columns")
        widening = describe_widening(comparisons)
        sentences = [f"Sweep {self.name.replace('_', chr(92) + '_')}.", widening and f"{widening}."]
        caption = " ".join([*filter(None, sentences), *explain_marks(cell_rows, [])]).replace("%", r"\%")
        return str(table.to_latex(hrules=True, caption=caption))

    def _comparisons(self, baseline: str | None) -> list[Comparison]:
        inits = list(dict.fromkeys(cell.params["init"] for cell in self._cells))
        if baseline is not None and baseline not in inits:
            raise BadInput(f"baseline={baseline}: no cell has this init; give {' or '.join(inits)}")
        return compare_with_baseline(self._cells, baseline or self.baseline)

    def _records(self) -> Iterable[Record]:
        return (record for cell in self._cells for record in (*cell.newest, *cell.finished))


def load(sweep: str, uri: str | None = None) -> Sweep:
    """Return the runs of a sweep.

    Args:
        sweep: The name of the sweep, which is its MLflow experiment.
        uri: The database or server; None for MLFLOW_TRACKING_URI, or else sqlite:///mlruns/mlflow.db.

    Raises:
        BadInput: There is no such sweep, it has no runs, or the store does not answer.
    """
    from zeroinit.tracker.mlflow import Mlflow  # only here: it takes seconds to import

    tracker = Mlflow(uri)
    tracker.key = "uri"
    tracker.find(sweep)
    return Sweep(tracker)


def _run_row(record: Record, counts: bool) -> dict[str, Any]:
    """Return the row of a run."""
    row: dict[str, Any] = {"run_id": record.run_id, "status": record.status, "outcome": outcome_of(record)}
    row |= {"counts": counts} | {key: _parse(value) for key, value in record.params.items()}
    row |= {name: value for name, value, _ in record.metrics}
    seconds = float(record.tags.get(Tag.TRAIN_SECONDS, math.nan))
    reason = record.tags.get(Tag.OUTCOME_REASON) or record.tags.get(Tag.ERROR, "")
    row |= {"outcome_reason": reason, "train_seconds": seconds}
    return row | {"started": pd.Timestamp(record.started, unit="s", tz="UTC")}


def _typed(columns: dict[str, Any]) -> dict[str, Any]:
    return {key: _parse(value) if isinstance(value, str) else value for key, value in columns.items()}


def _parse(value: str | None) -> Any:
    """Return the number, boolean, list or None that a param is; other texts as they are."""
    if value is None:
        return None
    try:
        return json.loads(value)
    except ValueError:
        return value


def _seed_keys(records: Sequence[Record]) -> list[str]:
    return sorted({key for record in records for key in record.params if key.startswith("seeds.")})
