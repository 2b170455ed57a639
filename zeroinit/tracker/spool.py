"""Runs that ended and are not in the store yet, as files on the local disk.

A file holds runs that ended together. It appears whole or not at all, and is removed when the store has its runs. So a
process may be killed at any time, and no finished run is lost.
"""

import json
import os
import time
import uuid
import zipfile
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from zeroinit.errors import BadInput
from zeroinit.regular_files import irregular_kind
from zeroinit.tracker.protocols import RunWriter
from zeroinit.tracker.record import Record, folder_of
from zeroinit.tracker.waiting import call_until_it_works
from zeroinit.whole_files import open_whole, remove_stale

SPOOL = Path("mlruns", "spool")  # below the folder of the command
INDEX = "runs.json"  # in a file of the spool: all of the runs but their files
SUFFIX = ".zip"
FIELDS = ("name", "params", "tags", "status", "metrics", "started", "ended_at", "run_id", "tracking")


@dataclass(frozen=True)
class Spool:
    """The files of a sweep in a store.

    Attributes:
        folder: An absolute path, as a job may change the current folder.
        store: The name of the store (RunWriter.store).
        sweep: The name of the sweep.
    """

    folder: Path
    store: str
    sweep: str

    @classmethod
    def for_tracker(cls, tracker: RunWriter) -> "Spool":
        """Return the spool of an open tracker, in the current folder."""
        digest = sha256(f"{tracker.store}\n{tracker.sweep}".encode()).hexdigest()[:8]
        return cls(Path(SPOOL, f"{folder_of(tracker.sweep)[:100]}-{digest}").absolute(), tracker.store, tracker.sweep)

    def open(self) -> None:
        """Make the folder. Raises BadInput if nothing can be written there."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / f".{uuid.uuid4().hex}").open("wb") as file:
                os.unlink(file.name)
            remove_stale(self.folder)
        except OSError as error:
            raise BadInput(
                f"{self.folder}: {error.strerror or error}; runs are kept there until the store has them, so start the "
                "command in a folder that can be written to"
            ) from error

    def write(self, records: Sequence[Record]) -> None:
        """Write runs that ended into one new file; wait, and say so, while the disk takes none, for whatever reason."""
        if records:
            what = f"{_count(records)} cannot be written to {self.folder}"
            call_until_it_works(lambda: self._write(records), what, OSError, may_retry=lambda error: True)

    def _write(self, records: Sequence[Record]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        runs = [{name: getattr(record, name) for name in FIELDS} for record in records]
        index = {"store": self.store, "sweep": self.sweep, "runs": runs}
        with open_whole(self.folder / name) as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr(INDEX, json.dumps(index))
            for record in records:
                for file_name, content in record.files.items():
                    archive.writestr(f"{record.run_id}/{file_name}", content)

    def list_files(self) -> list[Path]:
        """Return the files, oldest first."""
        return list_files(self.folder)

    def find(self, identities: Collection[str]) -> list[Record]:
        """Return the runs of these identities that are in a file."""
        records: list[Record] = []
        for path in self.list_files():
            with suppress(OSError, BadInput):  # such as a file that was just sent
                records += [record for record in read_file(path) if record.identity in identities]
        return records


def list_files(folder: Path) -> list[Path]:
    """Return the files with runs in a folder, oldest first."""
    return sorted(folder.glob(f"[!.]*{SUFFIX}"))


def read_file(path: Path) -> list[Record]:
    """Return the runs of a file. Raises BadInput for a file that is damaged, and OSError for one that is gone."""
    try:
        with _open_archive(path) as archive:
            runs = [_as_record(values) for values in _read_index(archive)["runs"]]
            by_id = {record.run_id: record for record in runs}
            for name in archive.namelist():
                run_id, _, file_name = name.partition("/")
                if file_name:
                    by_id[run_id].files[file_name] = archive.read(name)
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error
    return runs


def read_destination(path: Path) -> tuple[str, str]:
    """Return (store, sweep) of a file of a spool. Raises BadInput for a file that is damaged."""
    try:
        with _open_archive(path) as archive:
            index = _read_index(archive)
        return str(index["store"]), str(index["sweep"])
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _open_archive(path: Path) -> zipfile.ZipFile:
    if kind := irregular_kind(path):  # opening a FIFO would wait for ever
        raise ValueError(f"it is {kind}")
    return zipfile.ZipFile(path)


def _read_index(archive: zipfile.ZipFile) -> dict[str, Any]:
    index: dict[str, Any] = json.loads(archive.read(INDEX))
    return index


def _as_record(values: dict[str, Any]) -> Record:
    metrics = [(name, value, step) for name, value, step in values.pop("metrics")]
    return Record(**values, metrics=metrics)


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(
        f"{path}: it cannot be read as runs that ended ({error}); remove it, and its runs are trained again"
    )


def _count(records: Sequence[Record]) -> str:
    return "1 run" if len(records) == 1 else f"{len(records)} runs"
