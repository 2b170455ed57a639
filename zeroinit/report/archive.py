"""Runs as they are kept when their store is gone: a row each, in one table that may stand in a repository."""

import csv
import io
import json
import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zeroinit.config.keys import NO_NUMBER, PLACES
from zeroinit.errors import BadInput
from zeroinit.report.cells import NOT_RUN, as_csv, data_and_code, probes
from zeroinit.report.claims import courses_of
from zeroinit.report.manifest import FILE, Asked, read
from zeroinit.report.pairs import Claim
from zeroinit.tracker import INIT_HASH, TEST_ACCURACY, TEST_CLASS_COUNTS, VAL_ACCURACY, Record, Tracker, readable

LAST = (TEST_ACCURACY, "test/loss", VAL_ACCURACY)  # metrics of which the last value is kept
MACHINE = ("device", "cpu", "cpu_capability", "kernels", "version.torch")  # what a run computed on, and with
TAGS = ("verdict", "stopped_at", "steps_per_epoch", TEST_CLASS_COUNTS, INIT_HASH, "seconds", "stack", *MACHINE)
# params that have no part in the table, as prefixes: those that can change no number, and one that a tag has, as found
NO_PART = (*(key for key in NO_NUMBER if key != "seed"), "device", *(f"dataset.{one}" for one in PLACES))
TableRow = Mapping[str, str]
PLACE = "dataset.folder"  # of which the last part is kept, as the rest is of one machine


def kept_of(tracker: Tracker, claims: Iterable[Claim]) -> list[dict[str, str]]:
    """A row for each run of the tracker's sweep, oldest first: of its identity the finished one with most probes, the
    newest of those, or else the newest.

    Runs that the sweep planned last and that are not there have a row, too, with no more than what names them.
    """
    newest: dict[str, Record] = {}
    records, left_out = readable(tracker.records())
    for line in left_out:
        sys.stderr.write(f"{line}\n")
    for record in sorted(records, key=lambda record: (record.status == "FINISHED", probes(record), record.started)):
        newest[record.identity] = record
    courses = courses_of(claims)
    if courses:
        tracker.load_histories(list(newest.values()), courses)
    content = tracker.read_summary(FILE)
    last = read(content) if content else Asked("", "", ())
    missing = [
        Record("", params, {"identity": identity, "cell_hash": cell_hash, "size": last.size}, NOT_RUN)
        for identity, cell_hash, params in last.planned
        if identity not in newest
    ]
    by_age = sorted(newest.values(), key=lambda record: record.started)
    return [row_of(tracker.sweep, record, courses) for record in (*by_age, *missing)]


def row_of(sweep: str, record: Record, courses: Sequence[str]) -> dict[str, str]:
    """The row of one run: what names it, how it ended, and what its claims are judged by."""
    params = {key: value for key, value in record.params.items() if not key.startswith(NO_PART)}
    if PLACE in record.params:
        params[PLACE] = Path(record.params[PLACE]).name
    watched = [
        (name, value, step)
        for name, value, step in record.metrics
        if name.startswith("arrival/") or (name in courses and step <= len(courses))
    ]
    tags = {name: record.tags[name] for name in TAGS if name in record.tags}
    row = {"sweep": sweep, "size": record.tags.get("size", ""), "identity": record.identity, "status": record.status}
    row |= {"cell_hash": record.tags["cell_hash"], "steps_taken": str(max(record.history(TEST_ACCURACY), default=0))}
    row |= {name: repr(value) for name in LAST if not math.isnan(value := record.last(name))}
    return row | tags | params | ({"watched": json.dumps(watched)} if watched else {})


def record_of(row: Mapping[str, str]) -> Record:
    """The run that a row is of, as far as it was kept."""
    there = {key: value for key, value in row.items() if value}
    tags = {key: there[key] for key in ("identity", "cell_hash", "size", *TAGS) if key in there}
    tags["config_hash"] = there["identity"].partition("-")[0]
    known = {"sweep", "status", "watched", "steps_taken", *tags, *LAST}
    metrics = [(name, float(there[name]), int(there["steps_taken"])) for name in LAST if name in there]
    metrics += [(name, value, step) for name, value, step in json.loads(there.get("watched", "[]"))]
    params = {key: value for key, value in there.items() if key not in known}
    if "device" in tags:  # its type, so that nothing is compared across two
        params["device"] = re.split(r"[ :]", tags["device"])[0]
    return Record("", params, tags, there["status"], metrics)


def merged(old: Iterable[Mapping[str, str]], new: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return both, in the order of sweeps and of what names the runs.

    Of each sweep, config and version of the training code one run stays: the newest, but no run that did not finish
    takes the place of one that did. Finished runs of one cell and split stay only if they have the data and the code of
    its newest. Rows of an older version stay until a newer one has as many finished runs of each of their cells.
    """
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for row in (*old, *new):
        like = row["sweep"], version(row), row["identity"].partition("-")[0]
        known = rows.get(like)
        # a run that is to be made anew, with data or code that have changed, replaces the run that there is
        is_due = known and known["identity"] != row["identity"]
        is_worse = known and (known["status"] == "FINISHED" or row["status"] == NOT_RUN)
        if row["status"] == "FINISHED" or is_due or not is_worse:
            rows.pop(like, None)  # to be the newest
            rows[like] = dict(row)
    made_of: dict[tuple[str, ...], str] = {}
    for row in rows.values():
        if row["status"] == "FINISHED":
            made_of[of_one_data_set(row)] = data_and_code(row["identity"])

    def has_changed(row: Mapping[str, str]) -> bool:
        return row["status"] == "FINISHED" and data_and_code(row["identity"]) != made_of[of_one_data_set(row)]

    shown, waiting = by_completeness([row for row in rows.values() if not has_changed(row)])

    def order(row: Mapping[str, str]) -> Any:
        named = [row.get(key, "") for key in ("size", "dataset", "arch")]
        init = row["init"] != "default", row["init"], float(row.get("bias_scale.value") or 0)
        return natural(row["sweep"]), *named, *init, row["cell_hash"], int(row.get("seeds.init") or 0), row["identity"]

    return [dict(row) for row in sorted((*shown, *waiting), key=order)]


def by_completeness(rows: Iterable[TableRow]) -> tuple[list[TableRow], list[TableRow]]:
    """Return (the rows that count, those that wait); rows of replaced versions are in neither.

    Of each sweep, size and kind of device the rows of one version of the training code count: of the newest that has
    as many finished runs of each cell as every older one has. Rows of newer versions wait for the rest of theirs.
    """
    groups: dict[tuple[str, ...], list[TableRow]] = defaultdict(list)
    for row in rows:
        groups[*of_size(row), re.split(r"[ :]", row.get("device", ""))[0]].append(row)
    current = {group: current_version(those) for group, those in groups.items() if group[-1]}
    shown, waiting = [], []
    for group, those in groups.items():
        # a run that never started has no device: it counts beside the runs of its version on any device
        alike = [other for other in current if other == group or (other[:-1] == group[:-1] and not group[-1])]
        versions = [current[other] for other in alike]
        for row in those:
            if not versions or version(row) in versions:
                shown.append(row)
            elif version(row) > min(versions):
                waiting.append(row)
    return shown, waiting


def current_version(rows: Sequence[Mapping[str, str]]) -> int:
    """The newest version whose finished runs cover every cell of each older version, run for run."""
    newest_first = sorted({version(row) for row in rows}, reverse=True)
    for candidate in newest_first:
        older = [row for row in rows if version(row) < candidate]
        keys = sorted({key for row in older for key in row if is_of_cell(key) and row[key]})
        finished = Counter(of_cell(row, keys) for row in rows if version(row) == candidate if is_finished(row))
        needed = Counter((version(row), of_cell(row, keys)) for row in older if is_finished(row))
        if finished and all(finished[cell] >= count for (_, cell), count in needed.items()):
            return candidate
    return newest_first[-1]


def is_finished(row: Mapping[str, str]) -> bool:
    return row["status"] == "FINISHED"


def is_of_cell(key: str) -> bool:
    """Whether a column of the table tells cells apart: a param, but for the seeds."""
    names = ("sweep", "size", "identity", "cell_hash", "status", "steps_taken", "watched", *TAGS, *LAST)
    return key not in names and not key.startswith("seed")


def of_cell(row: Mapping[str, str], keys: Iterable[str]) -> tuple[str, ...]:
    """What the cell of a row is, by these columns; the hash of a cell is another in each version."""
    return tuple(row.get(key, "") for key in keys)


def of_size(row: Mapping[str, str]) -> tuple[str, str]:
    return row["sweep"], row["size"]


def of_one_data_set(row: Mapping[str, str]) -> tuple[str, ...]:
    """What rows have in common whose runs are one cell's, and saw the same examples unless these have changed."""
    return row["sweep"], row["cell_hash"], row.get("seeds.split", "")


def version(row: Mapping[str, str]) -> int:
    """Of the training code; 0 of runs from before there was one."""
    return int([*row["identity"].split("-"), "", "0"][2] or 0)


def natural(name: str) -> list[Any]:
    """A key by which figure10 stands behind figure9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of the file; none where there is no file. Raises BadInput for another kind of file."""
    if not path.is_file():
        return []
    found = list(csv.DictReader(io.StringIO(path.read_text(errors="replace"))))
    if found and not {"sweep", "size", "identity", "cell_hash", "status"} <= set(found[0]):
        raise BadInput(f"--table={path}: it is no table of zeroinit-results; give one, or a new file")
    return found


def table_of(kept: Sequence[Mapping[str, str]]) -> bytes:
    """The table as a file; what names runs first."""
    names = dict.fromkeys(["sweep", "size", *sorted({key for row in kept for key in row}, key=place)])
    return as_csv([{name: row.get(name, "") for name in names} for row in kept])


def place(key: str) -> tuple[bool, str]:
    return key in ("watched", "identity", "cell_hash", "status", *TAGS, *LAST, "steps_taken"), key
