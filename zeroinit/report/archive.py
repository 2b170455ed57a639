"""The archive of runs that outlives their store: a table with a row for each run, which a repository can keep."""

import csv
import io
import json
import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zeroinit.config.claims import Claim
from zeroinit.config.identity import KEYS_WITHOUT_EFFECT, PATH_KEYS, Identity
from zeroinit.errors import BadInput
from zeroinit.probes.first_gradient import FIRST_GRADIENT
from zeroinit.report.cells import NOT_RUN, count_probes
from zeroinit.report.judgements import metrics_of_claims
from zeroinit.report.manifest import MANIFEST_FILE, Manifest, read_manifest
from zeroinit.report.tables import as_csv
from zeroinit.tracker import TEST_LOSS, Record, Status, Tracker, readable
from zeroinit.tracker.renamed import METRIC_POINTS, translate_row
from zeroinit.tracker.scores import TEST_SCORES, VAL_SCORES
from zeroinit.tracker.tags import Tag

LAST_METRICS = (*TEST_SCORES, TEST_LOSS, *VAL_SCORES)  # metrics whose last value has a column
MACHINE_TAGS = (
    Tag.DEVICE,
    Tag.CPU,
    Tag.CPU_CAPABILITY,
    Tag.KERNELS,
    Tag.TORCH_VERSION,
)  # the hardware and software of a run
RUN_TAGS = (
    Tag.OUTCOME,
    Tag.STOPPED_AT,
    Tag.STEPS_PER_EPOCH,
    Tag.TEST_CLASS_COUNTS,
    Tag.INIT_HASH,
    Tag.TRAIN_SECONDS,
    Tag.STACK_SIZE,
)
ARCHIVED_TAGS = (*RUN_TAGS, *MACHINE_TAGS)
# prefixes of params without a column: they change no number, or a tag has the value that the run found
OMITTED_PARAMS = (
    *(key for key in KEYS_WITHOUT_EFFECT if key != "seed"),
    "device",
    *(f"dataset.{key}" for key in PATH_KEYS),
)
FOLDER_KEY = "dataset.folder"  # only its last part has a column, as the rest belongs to one machine

TableRow = Mapping[str, str]


def collect_rows(tracker: Tracker, claims: Iterable[Claim]) -> list[dict[str, str]]:
    """Return a row for each identity of the tracker's sweep, oldest first, then a row for each run that is missing.

    Of each identity, the row is of the finished run with most probes, or else of the newest run. A run that the sweep
    planned last and that does not exist has a row with its identity and params alone.
    """
    newest: dict[str, Record] = {}
    records, notes = readable(tracker.records())
    for line in notes:
        sys.stderr.write(f"{line}\n")
    for record in sorted(
        records, key=lambda record: (record.status == Status.FINISHED, count_probes(record), record.started)
    ):
        newest[record.identity] = record
    metrics = metrics_of_claims(claims)
    if metrics:
        tracker.load_histories(list(newest.values()), metrics)
    content = tracker.read_summary(MANIFEST_FILE)
    manifest = read_manifest(content) if content else Manifest("", "", ())
    missing = [
        Record("", params, {Tag.IDENTITY: identity, Tag.CELL_HASH: cell_hash, Tag.SIZE: manifest.size}, NOT_RUN)
        for identity, cell_hash, params in manifest.planned
        if identity not in newest
    ]
    by_age = sorted(newest.values(), key=lambda record: record.started)
    return [row_of(tracker.sweep, record, metrics) for record in (*by_age, *missing)]


def row_of(sweep: str, record: Record, metrics: Sequence[str]) -> dict[str, str]:
    """Return the row of a run: its identity and params, how it ended, and the metrics by which claims are judged."""
    params = {key: value for key, value in record.params.items() if not key.startswith(OMITTED_PARAMS)}
    if FOLDER_KEY in record.params:
        params[FOLDER_KEY] = Path(record.params[FOLDER_KEY]).name
    points = [
        (name, value, step)
        for name, value, step in record.metrics
        if FIRST_GRADIENT.layer_of(name) or (name in metrics and step <= len(metrics))
    ]
    tags = {name: record.tags[name] for name in ARCHIVED_TAGS if name in record.tags}
    row = {"sweep": sweep, "size": record.tags.get(Tag.SIZE, ""), "identity": record.identity, "status": record.status}
    steps = max(record.history(record.score.test), default=0)
    row |= {"cell_hash": record.tags[Tag.CELL_HASH], "steps_taken": str(steps)}
    row |= {name: repr(value) for name in LAST_METRICS if not math.isnan(value := record.last(name))}
    return row | tags | params | ({METRIC_POINTS: json.dumps(points)} if points else {})


def record_of(row: TableRow) -> Record:
    """Return the run of a row, as far as the table has it."""
    values = {key: value for key, value in row.items() if value}
    tags = {key: values[key] for key in ("identity", "cell_hash", "size", *ARCHIVED_TAGS) if key in values}
    tags[Tag.CONFIG_HASH] = Identity.parse(values["identity"]).config_hash
    known = {"sweep", "status", METRIC_POINTS, "steps_taken", *tags, *LAST_METRICS}
    metrics = [(name, float(values[name]), int(values["steps_taken"])) for name in LAST_METRICS if name in values]
    metrics += [(name, value, step) for name, value, step in json.loads(values.get(METRIC_POINTS, "[]"))]
    params = {key: value for key, value in values.items() if key not in known}
    if Tag.DEVICE in tags:  # a param, so that runs of two device types are never compared
        params["device"] = _device_type(tags[Tag.DEVICE])
    return Record("", params, tags, values["status"], metrics)


def merge_rows(old: Iterable[TableRow], new: Iterable[TableRow]) -> list[dict[str, str]]:
    """Return the rows of both, in the order of sweeps and of the runs' params.

    Of each sweep, config and version of the training code, the newest run stays. A run that did not finish never
    replaces one that did. Finished runs of one cell and split stay only if they have the data and the code of its
    newest. Rows of an older version stay until a newer one has as many finished runs of each of their cells.
    """
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for row in (*old, *new):
        run = row["sweep"], version_of(row), Identity.parse(row["identity"]).config_hash
        known = rows.get(run)
        # a run that is to be repeated, because its data or code changed, replaces the old run
        is_due = known and known["identity"] != row["identity"]
        is_worse = known and (_is_finished(known) or row["status"] == NOT_RUN)
        if _is_finished(row) or is_due or not is_worse:
            rows.pop(run, None)  # so that it becomes the newest
            rows[run] = dict(row)
    newest: dict[tuple[str, ...], tuple[str, str]] = {}
    for row in rows.values():
        if _is_finished(row):
            newest[_cell_and_split(row)] = Identity.parse(row["identity"]).data_and_code

    def has_changed(row: TableRow) -> bool:
        return _is_finished(row) and Identity.parse(row["identity"]).data_and_code != newest[_cell_and_split(row)]

    current, waiting = split_by_version([row for row in rows.values() if not has_changed(row)])
    return [dict(row) for row in sorted((*current, *waiting), key=_sort_key)]


def _sort_key(row: TableRow) -> Any:
    """Return the key that sorts the rows of the table."""
    values = [row.get(key, "") for key in ("size", "dataset", "arch")]
    init = row["init"] != "default", row["init"], float(row.get("bias_scale.value") or 0)
    seed = int(row.get("seeds.init") or 0)
    return _natural_key(row["sweep"]), *values, *init, row["cell_hash"], seed, row["identity"]


def split_by_version(rows: Iterable[TableRow]) -> tuple[list[TableRow], list[TableRow]]:
    """Return (rows that count, rows that wait). Rows of replaced versions are in neither.

    Of each sweep, size and device type, the rows of one version of the training code count: the newest version that has
    as many finished runs of each cell as every older one. Rows of newer versions wait for the rest of their runs.
    """
    groups: dict[tuple[str, ...], list[TableRow]] = defaultdict(list)
    for row in rows:
        groups[*sweep_and_size(row), _device_type(row.get("device", ""))].append(row)
    versions = {group: _current_version(members) for group, members in groups.items() if group[-1]}
    current, waiting = [], []
    for group, members in groups.items():
        # a run that never started has no device: it counts with the runs of its version on any device
        alike = [other for other in versions if other == group or (other[:-1] == group[:-1] and not group[-1])]
        counting = [versions[other] for other in alike]
        for row in members:
            if not counting or version_of(row) in counting:
                current.append(row)
            elif version_of(row) > min(counting):
                waiting.append(row)
    return current, waiting


def _current_version(rows: Sequence[TableRow]) -> int:
    """Return the newest version with as many finished runs of each cell as each older version."""
    of_version: dict[int, list[dict[str, str]]] = defaultdict(list)  # the params that name the cell of each run
    for row in filter(_is_finished, rows):
        of_version[version_of(row)].append({key: value for key, value in row.items() if value and _names_cell(key)})
    versions = sorted({version_of(row) for row in rows}, reverse=True)
    for candidate in versions:
        older = [runs for version, runs in of_version.items() if version < candidate]
        if of_version[candidate] and all(_covers(of_version[candidate], runs) for runs in older):
            return candidate
    return versions[-1]


def _covers(newer: Sequence[TableRow], older: Sequence[TableRow]) -> bool:
    """Return whether there are as many newer runs as older ones of the cell of each older run.

    A key that a row lacks, because its version did not have the key, agrees with every value.
    """

    def count(runs: Sequence[TableRow], cell: TableRow) -> int:
        return sum(all(run.get(key, value) == value for key, value in cell.items()) for run in runs)

    return all(count(newer, cell) >= count(older, cell) for cell in older)


def _is_finished(row: TableRow) -> bool:
    """Return whether the run finished."""
    return row["status"] == Status.FINISHED


def _names_cell(column: str) -> bool:
    """Return whether a column names a cell: it is a param other than a seed."""
    others = ("sweep", "size", "identity", "cell_hash", "status", "steps_taken", METRIC_POINTS, *ARCHIVED_TAGS)
    return column not in (*others, *LAST_METRICS) and not column.startswith("seed")


def _device_type(device: str) -> str:
    """Return `cuda` for `cuda:0 (H200)`."""
    return re.split(r"[ :]", device)[0]


def sweep_and_size(row: TableRow) -> tuple[str, str]:
    """Return the sweep and the size of a run."""
    return row["sweep"], row["size"]


def _cell_and_split(row: TableRow) -> tuple[str, ...]:
    """Return what runs share that train on the same examples unless the data changed."""
    return row["sweep"], row["cell_hash"], row.get("seeds.split", "")


def version_of(row: TableRow) -> int:
    """Return the version of the training code; 0 for runs from before there was one."""
    return Identity.parse(row["identity"]).version


def _natural_key(name: str) -> list[Any]:
    """Return a key that sorts figure10 after figure9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of the file; none if there is no file.

    Raises:
        BadInput: The file is not such a table.
    """
    if not path.is_file():
        return []
    rows = [translate_row(row) for row in csv.DictReader(io.StringIO(path.read_text(errors="replace")))]
    if rows and not {"sweep", "size", "identity", "cell_hash", "status"} <= set(rows[0]):
        raise BadInput(f"--table={path}: it is not a table of zeroinit-results; give such a table, or a new file")
    return rows


def format_table(rows: Sequence[TableRow]) -> bytes:
    """Return the content of the file: sweep and size first, then params, then what the runs produced."""
    results = (METRIC_POINTS, "identity", "cell_hash", "status", *ARCHIVED_TAGS, *LAST_METRICS, "steps_taken")
    columns = sorted({key for row in rows for key in row}, key=lambda key: (key in results, key))
    names = dict.fromkeys(["sweep", "size", *columns])
    return as_csv([{name: row.get(name, "") for name in names} for row in rows])
