"""The runs of a sweep in cells: a cell is a set of runs that differ only in their seeds."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from zeroinit.config.identity import KEYS_WITHOUT_EFFECT, PATH_KEYS, Identity
from zeroinit.report.statistics import count_units, name_units
from zeroinit.tracker import Record, Status
from zeroinit.tracker.scores import SCORES, Score, find_score
from zeroinit.tracker.tags import Tag

TABLE_KEYS = ("arch", "init", "bias_scale.value")  # columns of every table; a key that differs between cells joins them
INIT_ROLES = tuple(f"init.{role}" for role in ("embedding", "recurrent", "scale", "shift", "other"))
# prefixes of keys that never name a cell; `seed` covers the seeds of all streams
KEYS_WITHOUT_CELL = (*KEYS_WITHOUT_EFFECT, *(f"dataset.{key}" for key in PATH_KEYS))
NOT_RUN = "not run"
LEARNED_NOTHING = ("stuck-at-prior", "symmetric", "dead-layer", "saturated", "diverged")
PENDING = (NOT_RUN, "running")  # outcomes that say nothing yet


class OutcomeStyle(NamedTuple):
    """How an outcome is drawn: a letter, and a colour of Okabe and Ito, "Color Universal Design", 2008, or a grey."""

    letter: str
    colour: str


OUTCOMES = {
    "learned": OutcomeStyle("L", "#009E73"),
    "partly-learned": OutcomeStyle("A", "#0072B2"),  # above the majority class
    "learns": OutcomeStyle("O", "#8FD0BC"),  # an old tag, later split into the two above; hence a pale green
    "still-waking": OutcomeStyle("W", "#56B4E9"),
    "saturated": OutcomeStyle("T", "#CC79A7"),
    "symmetric": OutcomeStyle("S", "#E69F00"),
    "stuck-at-prior": OutcomeStyle("P", "#B5BBC1"),
    "dead-layer": OutcomeStyle("X", "#D55E00"),
    "diverged": OutcomeStyle("D", "#2F3437"),
    "failed": OutcomeStyle("F", "#F0E442"),
    "killed": OutcomeStyle("K", "#F0E442"),
    "incomplete": OutcomeStyle("I", "#F0E442"),  # Record.lacks
    "running": OutcomeStyle("R", "#FFFFFF"),
}


@dataclass
class Cell:
    """Runs that differ only in their seeds, at most one of each identity.

    Attributes:
        params: The params of the cell's first planned run.
        finished: The newest finished run of each identity.
        newest: The newest run of each identity, whatever its outcome.
        outcomes: The number of runs with each outcome, planned runs that do not exist included.
        inits: The inits of all cells of the sweep, so that each has one colour in charts of all cells and of some.
    """

    params: dict[str, str]
    finished: list[Record] = field(default_factory=list)
    newest: list[Record] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    inits: Sequence[str] = ()

    @cached_property
    def n(self) -> int:
        """The number of independent units among the finished runs."""
        return count_units(self.finished)

    @cached_property
    def score(self) -> Score:
        """The score of the cell's runs."""
        records = self.finished[:1] or self.newest
        return find_score([name for record in records for name in record.histories], self.params)

    @cached_property
    def counted(self) -> str:
        """What n counts."""
        return name_units(self.finished)

    def label(self, keys: Iterable[str]) -> str:
        """Return `key=value, ...` for those of the keys that the cell has."""
        return ", ".join(f"{key}={self.params[key]}" for key in keys if key in self.params)


def group_cells(planned: Iterable[tuple[str, str, dict[str, str]]], records: Iterable[Record]) -> list[Cell]:
    """Return a cell for each cell hash among the planned runs, filled from the records.

    Runs of the same cell from an earlier sweep count too, unless their data or code differ. The newest finished run of
    each identity counts, or an older one with more probes: its numbers are the same. If a run failed after an earlier
    run of its identity finished, the outcomes count the failure, and the numbers are the earlier run's.

    Args:
        planned: (identity, cell hash, params) of each planned run.
        records: The runs, newest first.
    """
    by_hash: dict[str, Cell] = {}
    newest: dict[str, dict[str, Record | None]] = defaultdict(dict)  # by cell hash, then identity
    finished: dict[str, dict[str, Record]] = defaultdict(dict)
    planned_versions: dict[tuple[str, str | None], set[tuple[str, str]]] = defaultdict(set)  # by cell hash and split
    for identity, cell_hash, params in planned:
        by_hash.setdefault(cell_hash, Cell(params))
        newest[cell_hash][identity] = None
        planned_versions[cell_hash, params.get("seeds.split")].add(Identity.parse(identity).data_and_code)
    codes = {
        cell_hash: {Identity.parse(identity).code for identity in identities}
        for cell_hash, identities in newest.items()
    }
    for record in records:
        identity, cell_hash = record.identity, record.tags[Tag.CELL_HASH]
        parts = Identity.parse(identity)
        if cell_hash not in by_hash:
            continue
        versions = planned_versions.get((cell_hash, record.params.get("seeds.split")))
        if parts.data_and_code not in versions if versions else parts.code not in codes[cell_hash]:
            continue
        newest[cell_hash][identity] = newest[cell_hash].get(identity) or record
        known = finished[cell_hash].get(identity)
        if record.status == Status.FINISHED and (known is None or count_probes(record) > count_probes(known)):
            finished[cell_hash][identity] = record
    inits = list(dict.fromkeys(cell.params.get("init", "") for cell in by_hash.values()))
    for cell_hash, cell in by_hash.items():
        cell.inits = inits
        cell.finished = list(finished[cell_hash].values())
        cell.newest = [record for record in newest[cell_hash].values() if record]
        for newest_record in newest[cell_hash].values():
            stopped = " (stopped)" if newest_record and Tag.STOPPED_AT in newest_record.tags else ""
            cell.outcomes[outcome_of(newest_record) + stopped if newest_record else NOT_RUN] += 1
    return list(by_hash.values())


def learned_nothing(cell: Cell) -> bool:
    """Return whether every run of the cell that has ended did so without learning."""
    ended = [outcome.removesuffix(" (stopped)") for outcome, count in cell.outcomes.items() if count]
    ended = [outcome for outcome in ended if outcome not in PENDING]
    return bool(ended) and all(outcome in LEARNED_NOTHING for outcome in ended)


def list_runs(cell: Cell) -> list[Record]:
    """Return the newest run of each identity, and those that count in the mean though a newer run did not finish."""
    newest = {id(record) for record in cell.newest}
    return [*cell.newest, *(record for record in cell.finished if id(record) not in newest)]


def list_scores(cells: Sequence[Cell]) -> list[Score]:
    """Return the scores of the cells that have finished runs, or else of all cells."""
    scores = {cell.score for cell in [cell for cell in cells if cell.finished] or cells}
    return [score for score in SCORES if score in scores]


def commonest(cell: Cell) -> tuple[str, int]:
    """Return the most frequent outcome of the cell's runs and its count; `?` for an outcome that OUTCOMES lacks."""
    outcomes: Counter[str] = Counter()
    for outcome, count in cell.outcomes.items():
        outcomes[outcome.removesuffix(" (stopped)")] += count
    del outcomes[NOT_RUN]
    if not outcomes:
        return NOT_RUN, 0
    outcome, count = outcomes.most_common(1)[0]
    return outcome if outcome in OUTCOMES else "?", count


def outcome_of(record: Record) -> str:
    """Return the outcome of a run, or its status if the run did not end by itself or is incomplete."""
    outcome = record.tags.get(Tag.OUTCOME, "")
    is_valid = record.status == Status.FINISHED or outcome == "diverged"
    return outcome if outcome and is_valid else record.status.lower()


def count_probes(record: Record) -> int:
    """Return the number of probes that the run had."""
    return len(json.loads(record.params.get("probe.measure", "[]")))


def naming_keys(cells: Sequence[Cell]) -> list[str]:
    """Return the keys that name a cell: arch, init, bias scale, and all other keys that differ between cells.

    A rule of a role that the init decides, as `init=keep` does, is no such key.
    """
    values = defaultdict(set)
    for cell in cells:
        for key, value in cell.params.items():
            values[key].add(value)
    params = [cell.params for cell in cells]
    decided = [key for key in INIT_ROLES if _determines(params, "init", key)]
    differing = [key for key, those in values.items() if len(those) > 1 and not key.startswith(KEYS_WITHOUT_CELL)]
    differing = [key for key in differing if key not in decided]
    return [key for key in TABLE_KEYS if key in values] + sorted(key for key in differing if key not in TABLE_KEYS)


def name_inits(params: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the name of the init of each of these params, with the keys `init.*` that differ between its cells."""
    alike: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for of_cell in params:
        alike[of_cell["init"]].append(of_cell)
    differing: dict[str, list[str]] = {}
    for init, cells in alike.items():
        keys = dict.fromkeys(key for of_cell in cells for key in of_cell if key.startswith("init."))
        differing[init] = [key for key in keys if len({of_cell.get(key) for of_cell in cells}) > 1]

    def name(of_cell: Mapping[str, str]) -> str:
        init = of_cell["init"]
        parts = [f"{key.removeprefix('init.')}={of_cell[key]}" for key in differing[init] if key in of_cell]
        return ", ".join([init, *parts])

    return list(map(name, params))


def join_words(words: Collection[str]) -> str:
    """Return `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def independent_keys(params: Sequence[Mapping[str, str]], keys: Iterable[str]) -> list[str]:
    """Return the keys that distinguish these params: keys with several values that no earlier such key determines.

    For example, a learning rate is left out if each optimizer of the sweep has one rate.
    """
    independent: list[str] = []
    for key in keys:
        has_several = len({values.get(key) for values in params}) > 1
        if has_several and not any(_determines(params, earlier, key) for earlier in independent):
            independent.append(key)
    return independent


def _determines(params: Sequence[Mapping[str, str]], key: str, other_key: str) -> bool:
    """Return whether the value of one key implies the value of the other."""
    pairs = {(values.get(key), values.get(other_key)) for values in params}
    return len(pairs) == len({values.get(key) for values in params})


def inits_of(cells: Iterable[Cell]) -> list[str]:
    """Return the inits of the sweep that the cells are of, even if the cells are some of it."""
    return list(dict.fromkeys(init for cell in cells for init in (*cell.inits, cell.params["init"])))


def sort_values(values: Iterable[str]) -> list[str]:
    """Return each value once: numbers by size, anything else in order of appearance."""
    distinct = list(dict.fromkeys(values))
    return sorted(distinct, key=float) if all(map(is_number, distinct)) else distinct


def is_number(value: str) -> bool:
    """Return whether the text is a finite number."""
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
