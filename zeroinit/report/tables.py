"""The tables of a sweep: a row for each cell or claim, for a terminal or as CSV, and the tables of a dry run."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.table import Table

from zeroinit.report.cells import Cell, naming_keys
from zeroinit.report.comparisons import BASELINE, NO_DIFFERENCE, Difference, compare_with_baseline, describe_widening
from zeroinit.report.judgements import Judgement
from zeroinit.report.statistics import DRAWS, IDENTICAL, Estimate, estimate, explain_intervals
from zeroinit.tracker import TEST_LOSS
from zeroinit.tracker.scores import Score, name_scores

# keys that a caption shows if all cells share their value, unless it is the value here, which says nothing
CAPTION_KEYS = {
    **dict.fromkeys(("dataset", "dataset.batch_size", "epochs", "steps", "optimizer", "optimizer.lr"), "null"),
    **dict.fromkeys(("dataset.max_examples", "dataset.resize", "dataset.channels", "init.layers", "init.rest"), "null"),
    **{"dataset.normalize.mean": "0", "dataset.normalize.std": "1"},
    **{"dataset.augment.padding": "0", "dataset.augment.flip": "false"},
    **{"loss": "cross_entropy", "loss.reduction": "mean", "arithmetic": "native"},
    **{"schedule": "constant", "schedule.steps": "null", "schedule.factor": "null"},
}
MAX_LAYER_COLUMNS = 6  # layers that have a column in the table of replays


class CellRow(NamedTuple):
    """The row of a cell.

    Attributes:
        keys: The keys that name the cell, with their values.
        counted: What n counts.
        score: What the result is.
        result: The final test score, as shares of 1.
        loss: The mean of the final test loss.
        outcomes: The outcomes of the runs, with their counts if they differ.
        difference: The cell minus the baseline; None if it is the baseline, or if there is none.
    """

    keys: dict[str, str]
    counted: str
    score: Score
    result: Estimate
    loss: float
    outcomes: str
    difference: Difference | None

    def columns(self) -> dict[str, str | int | float]:
        """Return the columns of summary.csv.

        The mean is in the column of its score, `accuracy` or `r2`. `interval` is the half width of Student's 95%
        interval. The difference and its interval are in points; its interval is widened for the comparisons.
        """
        result = self.result
        columns: dict[str, str | int | float] = {**self.keys, "n": result.n, "counted": self.counted}
        columns |= {self.score.name: result.mean, "std": result.std, "interval": result.half}
        columns |= {"low": result.low, "high": result.high}
        difference = self.difference or NO_DIFFERENCE
        columns |= {"difference": difference.mean, "difference_interval": difference.half}
        columns |= {"comparisons": difference.comparisons, "direction": difference.direction if difference.n else ""}
        return columns | {"loss": self.loss, "outcomes": self.outcomes}


def summarize_cells(cells: Sequence[Cell], baseline: str = BASELINE) -> list[CellRow]:
    """Return the row of each cell, compared with the cell of the baseline init."""
    rows = []
    keys = naming_keys(cells)
    for cell, comparison in zip(cells, compare_with_baseline(cells, baseline), strict=True):
        result, loss = (estimate(cell.finished, metric) for metric in (cell.score.test, TEST_LOSS))
        outcomes = [
            outcome if count == cell.outcomes.total() else f"{count} {outcome}"
            for outcome, count in cell.outcomes.most_common()
        ]
        values = {key: cell.params.get(key, "") for key in keys}
        parts = cell.score, result, loss.mean, ", ".join(outcomes), comparison.difference
        rows.append(CellRow(values, cell.counted, *parts))
    return rows


def mark_n(n: int, counted: str) -> str:
    """Return n with the mark for what it counts: `3`, or `3\N{DAGGER}`."""
    return f"{n}{_mark_of(counted)}"


def _mark_of(counted: str) -> str:
    """Return the sign that refers to the note on what n counts; none for draws of the init."""
    return "" if counted == DRAWS else "\N{DOUBLE DAGGER}" if counted == IDENTICAL else "\N{DAGGER}"


def explain_marks(rows: Sequence[CellRow], judgements: Sequence[Judgement]) -> list[str]:
    """Return a note for each sign beside an n of the two tables."""
    notes = []
    for word in sorted({*(row.counted for row in rows), *(judgement.counted for judgement in judgements)} - {DRAWS}):
        if word == IDENTICAL:
            reason = "The init draws nothing, and the other seeds change nothing: n counts repetitions of one run."
        else:
            reason = f"The init draws nothing: n counts {word}."
        notes.append(f"{_mark_of(word)} {reason}")
    return notes


def _plain_table(columns: Sequence[str]) -> Table:
    """Return a table without lines, in which a narrow terminal wraps text and never cuts it."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def cell_table(rows: Sequence[CellRow], baseline: str = BASELINE) -> Table:
    """Return the table of cells for a terminal, the inits of one arch and scale below each other.

    The score is in percent with its 95% interval, the difference from the baseline in points; a dash stands for a
    number that does not exist. The column of differences is left out if no cell has a baseline.
    """
    keys = [*(key for key in rows[0].keys if key != "init"), "init"]
    has_differences = any(row.difference for row in rows)
    table = _plain_table(keys)
    score = name_scores([row.score for row in rows if row.result.n] or [row.score for row in rows])
    for name in ("n", f"test {score}", *([f"minus {baseline}"] if has_differences else []), "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("outcome", overflow="fold")
    for row in _group_rows(rows):
        difference = row.difference.format() if row.difference else ""
        table.add_row(
            *(row.keys[key] for key in keys),
            mark_n(row.result.n, row.counted),
            row.result.percent(digits=1),
            *([difference] if has_differences else []),
            "-" if math.isnan(row.loss) else f"{row.loss:.3g}",
            row.outcomes,
        )
    return table


def _group_rows(rows: Sequence[CellRow]) -> list[CellRow]:
    """Return the rows with those beside each other that differ in the init alone, in order of appearance."""
    groups: dict[tuple[str, ...], list[CellRow]] = {}
    for row in rows:
        others = tuple(value for key, value in row.keys.items() if not key.startswith("init"))
        groups.setdefault(others, []).append(row)
    return [row for group in groups.values() for row in group]


def caption(cells: Sequence[Cell], baseline: str = BASELINE) -> str:
    """Return what the cells have in common, and what the numbers of their table are."""
    shared = [
        f"{key}={cells[0].params[key]}"
        for key, silent in CAPTION_KEYS.items()
        if len({cell.params.get(key) for cell in cells}) == 1 and cells[0].params.get(key, silent) != silent
    ]
    intervals = explain_intervals([estimate(cell.finished, cell.score.test) for cell in cells], digits=1)
    numbers = ", ".join(part for part in ("after the last step, mean over n draws of the init", intervals) if part)
    widening = describe_widening(compare_with_baseline(cells, baseline))
    differences = f"; minus {baseline}: percentage points, paired by seed, {widening}" if widening else ""
    return "; ".join(part for part in (" ".join(shared), f"{numbers}{differences}") if part)


def as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return the rows as CSV; what a row lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(name for row in rows for name in row))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def claim_table(judgements: Sequence[Judgement]) -> Table:
    """Return the table of claims for a terminal, each claim's statement and source once."""
    table = _plain_table(["verdict", "claim", "compared", "n", "finding", "what would decide it", "source"])
    table.columns[3].justify = "right"
    last = None
    for judgement in judgements:
        answer, is_first = judgement.answer, judgement.number != last
        last = judgement.number
        table.add_row(
            answer.verdict,
            judgement.claim.statement if is_first else "",
            judgement.compared or "-",
            mark_n(answer.n, judgement.counted),
            answer.finding or "-",
            answer.needed or "-",
            judgement.claim.source if is_first else "",
        )
    return table


# ---- before training


def sweeps_table(sweeps: Sequence[tuple[str, str, str]]) -> Table:
    """Return the table of sweep files: (name, question, numbers of runs and times) of each."""
    table = _plain_table(["sweep", "question", "runs and time"])
    table.columns[0].no_wrap = True
    for row in sweeps:
        table.add_row(*row)
    return table


def run_findings_table(rules: Mapping[str, str], findings: Sequence[tuple[str, str]]) -> Table:
    """Return the table of the rules {name: what it requires} and the findings (rule, text) of one run."""
    table = _plain_table(["rule", "holds where", "found"])
    others = {rule: "" for rule, _ in findings if rule not in rules}
    for rule, requirement in (dict(rules) | others).items():
        texts = [text for name, text in findings if name == rule]
        table.add_row(rule, requirement, "\n".join(texts) or "-")
    return table


def cell_findings_table(
    keys: Sequence[str], cells: Sequence[tuple[Mapping[str, str], Sequence[tuple[str, str]]]]
) -> Table:
    """Return the table of the findings (rule, text) of cells, each cell with its params; `keys` name a cell."""
    table = _plain_table([*keys, "rule", "found"])
    for params, findings in cells:
        names = [params.get(key, "") for key in keys]
        for rule, text in findings or [("-", "-")]:
            table.add_row(*names, rule, text)
            names = [""] * len(keys)
    return table


def plan_table(
    keys: Sequence[str], cells: Sequence[tuple[Sequence[str], tuple[int, int, int], Sequence[float | None]]]
) -> Table:
    """Return the table of the plan.

    Args:
        keys: The keys that name a cell.
        cells: Of each cell its values of the keys, its numbers of runs (done, failed, to do), and the seconds that
            each failed run and each run to do will take, None if unknown.
    """
    table = _plain_table([*keys, "done", "failed", "to do", "will take"])
    for column in table.columns[len(keys) :]:
        column.justify = "right"
    for names, counts, seconds in cells:
        table.add_row(*names, *map(str, counts), _format_total(seconds) if seconds else "")
    return table


def summarize_plan(runs: int, seconds: Sequence[float | None], workers: int) -> str:
    """Return the line below the plan: how many runs are done, and how long the others will take."""
    if not seconds:
        return f"All {runs} runs are done; rerun=true trains them again."
    processes = f"{workers} processes" if workers > 1 else "one process"
    known = [value for value in seconds if value is not None]
    longest = max([sum(known) / workers, *known])  # a run is never split
    duration = _format_total([longest, *([None] if len(known) < len(seconds) else [])]) if known else "?"
    estimated = f"about {duration} on {processes}, by what such runs took"
    when = estimated if duration != "?" else "no such run has finished yet"
    return f"{runs - len(seconds)} of {runs} runs are done, {len(seconds)} are not: {when}."


def _format_total(seconds: Sequence[float | None]) -> str:
    """Return the sum in a suitable unit; `?` if no value is known, and `more than` if some are unknown."""
    known = [value for value in seconds if value is not None]
    if not known:
        return "?"
    bound = "more than " if len(known) < len(seconds) else ""
    size, unit = next(((size, unit) for size, unit in ((3600, "h"), (60, "min")) if sum(known) >= 2 * size), (1, "s"))
    return f"{bound}{sum(known) / size:.2g} {unit}"


def draws_table(draws: Sequence[tuple[str, str, int, str, str]]) -> Table:
    """Return the table of random draws: (phase, purpose, number of entries, generator, effect) of each."""
    table = _plain_table(["drawn in", "for", "entries", "from", "effect"])
    table.columns[2].justify = "right"
    for phase, purpose, entries, generator, effect in draws:
        table.add_row(phase, purpose, f"{entries:,}", generator, effect)
    if not draws:
        table.add_row("-", "nothing", "0", "-", "-")
    return table


def replays_table(
    units: Mapping[str, int], replays: Sequence[tuple[str, str, str, Mapping[str, Sequence[float]]]]
) -> Table:
    """Return the table of replays: when each layer first has two distinct neurons.

    Args:
        units: {layer: its number of units}.
        replays: (init, noise, arithmetic, {layer: its distinct neurons after 0, 1, ... steps}) of each.
    """
    layers, half = list(units), MAX_LAYER_COLUMNS // 2
    layers = layers if len(layers) <= MAX_LAYER_COLUMNS else [*layers[:half], *layers[-half:]]
    table = _plain_table(["init", "noise", "arithmetic", *layers])
    for init, noise, arithmetic, classes in replays:
        table.add_row(init, noise, arithmetic, *(_describe_split(classes[layer], units[layer]) for layer in layers))
    return table


def _describe_split(counts: Sequence[float], units: int) -> str:
    """Return `step 3: 4 of 500`: the first step with more than one class of neurons, and the classes at the end."""
    if not counts or any(map(math.isnan, counts)):  # the loop reports nothing of a net that starts so
        return "not finite"
    step = next((step for step, count in enumerate(counts) if count > 1), None)
    return f"never: 1 of {units}" if step is None else f"step {step}: {counts[-1]:.0f} of {units}"
