"""Runs as they are kept when their store is gone: a row each, in one table that may stand in a repository."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zeroinit.report.asked import of_records
from zeroinit.report.cells import SHARED, as_csv, cells, columns
from zeroinit.report.claims import courses_of
from zeroinit.report.pairs import Claim
from zeroinit.tracker import CHOICE, COUNTS, COURSE, Record, Tracker

LAST = (COURSE, "test/loss", CHOICE)  # metrics of which the last value is kept
TAGS = ("verdict", "stopped_at", "steps_per_epoch", COUNTS, "seconds", "stack", "device", "version.torch")
ALSO = ("seeds.init", "seeds.order", "seeds.split", "dtype", "arithmetic", "early_stop")  # params of every row
PLACE = "dataset.folder"  # of which the last part is kept, as the rest is of one machine


def kept_of(tracker: Tracker, claims: Iterable[Claim]) -> list[dict[str, str]]:
    """A row for the newest run of each identity of the tracker's sweep that finished or diverged."""
    records = [one for one in tracker.records() if one.status == "FINISHED" or "diverged_at" in one.tags]
    newest = {record.identity: record for record in records[::-1]}
    courses = courses_of(claims)
    if courses:
        tracker.recall(list(newest.values()), courses)
    keys = {*columns(cells(of_records(newest.values()).planned, newest.values())), *SHARED, *ALSO} - {PLACE}
    return [row_of(tracker.sweep, record, keys, courses) for record in newest.values()]


def row_of(sweep: str, record: Record, keys: Iterable[str], courses: Sequence[str]) -> dict[str, str]:
    """The row of one run: what names it, how it ended, and what its claims are judged by."""
    params = {key: record.params[key] for key in keys if key in record.params}
    if PLACE in record.params:
        params[PLACE] = Path(record.params[PLACE]).name
    seen = [point for point in record.metrics if point[0] in courses or point[0].startswith("arrival/")]
    tags = {name: record.tags[name] for name in TAGS if name in record.tags}
    row = {"sweep": sweep, "size": record.tags.get("size", ""), "identity": record.identity, "status": record.status}
    row |= {"cell_hash": record.tags["cell_hash"], "steps_taken": str(max(record.course(COURSE), default=0))}
    row |= {name: repr(value) for name in LAST if not math.isnan(value := record.last(name))}
    first = [point for point in seen if point[2] <= len(courses)]
    return row | tags | params | ({"watched": json.dumps(first)} if first else {})


def record_of(row: Mapping[str, str]) -> Record:
    """The run that a row is of, as far as it was kept."""
    there = {key: value for key, value in row.items() if value}
    tags = {key: there[key] for key in ("identity", "cell_hash", "size", *TAGS) if key in there}
    tags["config_hash"] = there["identity"].partition("-")[0]
    known = {"sweep", "status", "watched", "steps_taken", *tags, *LAST}
    metrics = [(name, float(there[name]), int(there["steps_taken"])) for name in LAST if name in there]
    metrics += [(name, value, step) for name, value, step in json.loads(there.get("watched", "[]"))]
    return Record("", {key: value for key, value in there.items() if key not in known}, tags, there["status"], metrics)


def merged(old: Iterable[Mapping[str, str]], new: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Both, of each sweep and identity the newer; in the order of sweeps and of what names the runs."""
    found = {(row["sweep"], row["identity"]): dict(row) for row in [*old, *new]}

    def order(row: Mapping[str, str]) -> Any:
        named = [row.get(key, "") for key in ("size", "dataset", "arch")]
        init = row["init"] != "default", row["init"], float(row.get("bias_scale.value") or 0)
        return natural(row["sweep"]), *named, *init, row["cell_hash"], int(row["seeds.init"]), row["identity"]

    return sorted(found.values(), key=order)


def natural(name: str) -> list[Any]:
    """A key by which figure10 stands behind figure9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_table(content: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content)))


def table_of(kept: Sequence[Mapping[str, str]]) -> bytes:
    """The table as a file; what names runs first."""
    names = dict.fromkeys(["sweep", "size", *sorted({key for row in kept for key in row}, key=place)])
    return as_csv([{name: row.get(name, "") for name in names} for row in kept])


def place(key: str) -> tuple[bool, str]:
    return key in ("watched", "identity", "cell_hash", "status", *TAGS, *LAST, "steps_taken"), key
