"""The runs of a sweep as cells: what differs in nothing but its seeds, with n, means and intervals."""

import csv
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table

from zeroinit.config.keys import NO_NUMBER, PLACES
from zeroinit.report.statistics import DRAWS, IDENTICAL, Estimate, estimate, explain_intervals, what_n_counts
from zeroinit.tracker import TEST_ACCURACY, Record

AXES = ("arch", "init", "bias_scale.value")  # columns of every table; a key that differs between cells joins them
NO_AXIS = (*NO_NUMBER, *(f"dataset.{place}" for place in PLACES))  # as prefixes: with `seed` all streams' seeds
# in the caption, but for the value that says nothing
SHARED = {
    **dict.fromkeys(("dataset", "dataset.batch_size", "epochs", "steps", "optimizer", "optimizer.lr"), "null"),
    **dict.fromkeys(("dataset.limit", "dataset.resize", "dataset.channels", "init.layers", "init.rest"), "null"),
    **{"dataset.normalize.mean": "0", "dataset.normalize.std": "1"},
    **{"dataset.augment.crop": "0", "dataset.augment.flip": "false", "loss.reduction": "mean"},
    **{"arithmetic": "native", "ramp.steps": "0", "ramp.factor": "null"},
}

# the outcome of a run: a letter, and a colour of Okabe and Ito's, "Color Universal Design", 2008, or a grey
FATES = {
    "learned": ("L", "#009E73"),
    "partly-learned": ("A", "#0072B2"),  # above the majority class
    "learns": ("O", "#8FD0BC"),  # an old tag, of runs stored before it was split in two; a pale green, as it is either
    "still-waking": ("W", "#56B4E9"),
    "saturated": ("T", "#CC79A7"),
    "symmetric": ("S", "#E69F00"),
    "stuck-at-prior": ("P", "#B5BBC1"),
    "dead-layer": ("X", "#D55E00"),
    "diverged": ("D", "#2F3437"),
    "failed": ("F", "#F0E442"),
    "killed": ("K", "#F0E442"),
    "incomplete": ("I", "#F0E442"),  # Record.lacks
    "running": ("R", "#FFFFFF"),
}
NOT_RUN = "not run"
NUMBERS = ("n", "counted", "accuracy", "interval", "low", "high", "loss", "became")  # of a row, behind its keys


@dataclass
class Cell:
    """The runs that differ in nothing but their seeds: the newest finished one of each identity, all fates."""

    params: dict[str, str]
    finished: list[Record] = field(default_factory=list)
    newest: list[Record] = field(default_factory=list)  # of each identity, whatever became of it
    fates: Counter[str] = field(default_factory=Counter)

    def label(self, keys: Iterable[str]) -> str:
        return ", ".join(f"{key}={self.params[key]}" for key in keys if key in self.params)


def commonest(cell: Cell) -> tuple[str, int]:
    """The fate of the most runs of the cell, and of how many; `?` where it has no name here."""
    fates: Counter[str] = Counter()
    for fate, count in cell.fates.items():
        fates[fate.removesuffix(" (stopped)")] += count
    del fates[NOT_RUN]
    if not fates:
        return NOT_RUN, 0
    fate, count = fates.most_common(1)[0]
    return fate if fate in FATES else "?", count


def cells(planned: Iterable[tuple[str, str, dict[str, str]]], records: Iterable[Record]) -> list[Cell]:
    """A cell for each cell hash among the planned (identity, cell hash, params), filled from newest-first `records`.

    Runs of the same cell that an earlier sweep made count too, unless data or code were others: of each identity the
    newest, or one before it, whose numbers are the same, where that has more probes. A run that failed where an earlier
    one had finished is told among the fates, and the earlier one's numbers stay.
    """
    found: dict[str, Cell] = {}
    newest: dict[str, dict[str, Record | None]] = defaultdict(dict)  # by cell hash, then identity
    finished: dict[str, dict[str, Record]] = defaultdict(dict)
    made_of: dict[tuple[str, str | None], set[str]] = defaultdict(set)  # by cell hash and split
    for identity, cell_hash, params in planned:
        found.setdefault(cell_hash, Cell(params))
        newest[cell_hash][identity] = None
        made_of[cell_hash, params.get("seeds.split")].add(data_and_code(identity))
    codes = {cell_hash: {code(one) for one in identities} for cell_hash, identities in newest.items()}
    for record in records:
        identity, cell_hash = record.identity, record.tags["cell_hash"]
        if cell_hash not in found:
            continue
        same_split = made_of.get((cell_hash, record.params.get("seeds.split")))
        if data_and_code(identity) not in same_split if same_split else code(identity) not in codes[cell_hash]:
            continue
        newest[cell_hash][identity] = newest[cell_hash].get(identity) or record
        known = finished[cell_hash].get(identity)
        if record.status == "FINISHED" and (known is None or probes(record) > probes(known)):
            finished[cell_hash][identity] = record
    for cell_hash, cell in found.items():
        cell.finished = list(finished[cell_hash].values())
        cell.newest = [one for one in newest[cell_hash].values() if one]
        for one in newest[cell_hash].values():
            stopped = " (stopped)" if one and "stopped_at" in one.tags else ""
            cell.fates[fate_of(one) + stopped if one else NOT_RUN] += 1
    return list(found.values())


def fate_of(record: Record) -> str:
    """What became of a run: its verdict; or its status, where the run did not end by itself or is not all there."""
    verdict = record.tags.get("verdict", "")
    counts = record.status == "FINISHED" or verdict == "diverged"
    return verdict if verdict and counts else record.status.lower()


def data_and_code(identity: str) -> str:
    """What an identity has beside the hash of the config."""
    return identity.partition("-")[2]


def code(identity: str) -> str:
    """What an identity has behind the hash of the data: the version of the training code, and a hash of one's own."""
    return data_and_code(identity).partition("-")[2]


def probes(record: Record) -> int:
    """How many the run has been watched by."""
    return len(json.loads(record.params.get("probe.measure", "[]")))


def columns(cells: Sequence[Cell]) -> list[str]:
    """The keys that name a cell: arch, init and bias scale, and whatever else differs between cells that have it."""
    values = defaultdict(set)
    for cell in cells:
        for key, value in cell.params.items():
            values[key].add(value)
    differing = [key for key, found in values.items() if len(found) > 1 and not key.startswith(NO_AXIS)]
    return [key for key in AXES if key in values] + sorted(key for key in differing if key not in AXES)


def undecided(params: Sequence[Mapping[str, str]], keys: Iterable[str]) -> list[str]:
    """The keys that tell these apart: those with several values, but for what an earlier one of them decides.

    As where each optimizer of a sweep has a rate of its own, or each data set its batch size.
    """
    kept: list[str] = []
    for key in keys:
        several = len({one.get(key) for one in params}) > 1
        if several and not any(decides(params, earlier, key) for earlier in kept):
            kept.append(key)
    return kept


def decides(params: Sequence[Mapping[str, str]], one: str, other: str) -> bool:
    """Whether the value of a key says that of another."""
    return len({(each.get(one), each.get(other)) for each in params}) == len({each.get(one) for each in params})


def ordered(values: Iterable[str]) -> list[str]:
    """Each value once: numbers by size, anything else in order of appearance."""
    found = list(dict.fromkeys(values))
    return sorted(found, key=float) if all(map(numeric, found)) else found


def numeric(value: str) -> bool:
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False


Row = dict[str, str | int | float]


def rows(cells: Sequence[Cell]) -> list[Row]:
    """Return a row for each cell: its keys, and NUMBERS.

    `counted` says what n counts. The final test accuracy and `interval`, the half width of Student's 95% interval, are
    shares of 1; `low` and `high` are what is shown of it (see Estimate).
    """
    found: list[Row] = []
    keys = columns(cells)
    for cell in cells:
        accuracy, loss = (estimate(cell.finished, metric) for metric in (TEST_ACCURACY, "test/loss"))
        became = [
            fate if count == cell.fates.total() else f"{count} {fate}" for fate, count in cell.fates.most_common()
        ]
        row: Row = {key: cell.params.get(key, "") for key in keys}
        row |= {"n": accuracy.n, "counted": what_n_counts(cell.finished), "accuracy": accuracy.mean}
        row |= {"interval": accuracy.half, "low": accuracy.low, "high": accuracy.high}
        found.append(row | {"loss": loss.mean, "became": ", ".join(became)})
    return found


def accuracy_of(row: Row) -> Estimate:
    """Return the final test accuracy of a row."""
    return Estimate(int(row["n"]), *(float(row[name]) for name in ("accuracy", "interval", "low", "high")))


def marked_n(row: Row) -> str:
    """Write n, with the mark of what it counts: `3`, or `3\N{DAGGER}`."""
    return f"{row['n']}{mark(str(row['counted']))}"


def mark(counted: str) -> str:
    """Return the sign that leads to the note on what n counts; none for draws of the init."""
    return "" if counted == DRAWS else "\N{DOUBLE DAGGER}" if counted == IDENTICAL else "\N{DAGGER}"


def explain_marks(counted: Iterable[str]) -> list[str]:
    """Return a note for each sign beside an n."""
    notes = []
    for word in sorted({*counted} - {DRAWS}):
        if word == IDENTICAL:
            why = "The init draws nothing, and the other seeds change nothing: n counts repetitions of one run."
        else:
            why = f"The init draws nothing: n counts {word}."
        notes.append(f"{mark(word)} {why}")
    return notes


def table(rows: Sequence[Row]) -> Table:
    """For a terminal: accuracy in percent with its 95% interval, a dash where there is none."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    keys = [key for key in rows[0] if key not in NUMBERS]
    for key in keys:
        shown.add_column(key, overflow="fold")  # a name is wrapped where the terminal is narrow, never cut
    for name in ("n", "test accuracy", "loss"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("what became of it", overflow="fold")
    for row in rows:
        loss = float(row["loss"])
        shown.add_row(
            *(str(row[key]) for key in keys),
            marked_n(row),
            accuracy_of(row).percent(digits=1),
            "-" if math.isnan(loss) else f"{loss:.3g}",
            str(row["became"]),
        )
    return shown


def caption(cells: Sequence[Cell]) -> str:
    """What the cells have in common, and what the numbers are."""
    shared = [
        f"{key}={cells[0].params[key]}"
        for key, silent in SHARED.items()
        if len({cell.params.get(key) for cell in cells}) == 1 and cells[0].params.get(key, silent) != silent
    ]
    intervals = explain_intervals([estimate(cell.finished, TEST_ACCURACY) for cell in cells], digits=1)
    numbers = ", ".join(part for part in ("after the last step, mean over n draws of the init", intervals) if part)
    return f"{' '.join(shared)}; {numbers}"


def as_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
