"""The store of a sweep is locked, out of space, deleted, read-only or truncated for a while."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fault_parts.commands import Command
from fault_parts.stores import DATABASE, copy_database, count_finished, locked, spooled_ids
from fault_parts.trials import WORDS, Part, Trial

LOCK_SECONDS = 90.0
FULL_SECONDS = 60.0
SMOKE_SECONDS = 20.0  # instead of both; the bar of a message is 15 s
DISK_MIB = 48  # the runs of a sweep and their figures take 12
BREAKS = ("deleted", "read-only", "truncated")


def start_to_first_run(trial: Trial, variables: dict[str, str] | None = None, database: Path | None = None) -> Command:
    """Start the sweep, and wait until a run of it is finished and others are not."""
    command = trial.start(WORDS, variables)
    if not command.wait_until(lambda: count_finished(trial.workplace, database) > 0):
        trial.errors.append("the sweep ended before the fault")
    return command


def wait_while(command: Command, seconds: float) -> None:
    """Wait, but no longer than the command runs."""
    end = time.monotonic() + seconds
    command.wait_until(lambda: time.monotonic() >= end)


def lock_store(trial: Trial) -> None:
    """Lock the store, in the middle of the sweep or before its start."""
    unbroken = trial.bench.unbroken()
    seconds = SMOKE_SECONDS if trial.bench.is_smoke else LOCK_SECONDS
    is_at_start = trial.index % 2 == 1
    if is_at_start:
        with locked(trial.database):
            command = trial.start(WORDS)
            wait_while(command, seconds)
        trial.note_message(command, command.began + unbroken.store_at, command.began)
    else:
        command = start_to_first_run(trial)
        with locked(trial.database):
            moment = time.monotonic()
            wait_while(command, seconds)
        trial.note_message(command, moment)
    code = command.wait()
    trial.notes.append(f"locked for {seconds:.0f} s {'at the start' if is_at_start else 'in the middle'}, exit {code}")
    if code != 0:
        trial.errors.append(f"exit code {code}")
    trial.compare(unbroken)


def fill_disk(trial: Trial) -> None:
    """Take all space of the disk that has the store and the spool, and give it back later."""
    unbroken = trial.bench.unbroken()
    with _small_disk(trial):
        command = start_to_first_run(trial)
        ballast = trial.workplace / "ballast"
        _fill(ballast)
        moment = time.monotonic()
        wait_while(command, SMOKE_SECONDS if trial.bench.is_smoke else FULL_SECONDS)
        trial.note_message(command, moment)
        ballast.unlink()
        trial.notes.append(f"exit {command.wait()}")
        spooled = spooled_ids(trial.workplace)
        trial.run_until_good(WORDS)
        trial.compare(unbroken, spooled)


@contextmanager
def _small_disk(trial: Trial) -> Iterator[None]:
    """Have the trial take place on a small disk in memory; its files are copied from there if the trial fails."""
    disk = trial.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(disk)], check=True)
    try:
        copy_database(trial.database, disk / DATABASE)
        trial.workplace = disk
        yield
    finally:
        for command in trial.bench.commands:
            command.end()
        if not trial.is_good:
            shutil.copytree(disk, trial.folder / "kept")
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(path: Path) -> None:
    """Write a file until there is no space."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    os.write(descriptor, bytes(size))
    finally:
        os.close(descriptor)


def why_no_mount() -> str:
    """Return why no disk can be mounted here; empty if one can."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True, capture_output=True)
            subprocess.run(["umount", folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return "no disk can be mounted; root may, where the system lets him"
    return ""


def break_database(trial: Trial) -> None:
    """Delete, write-protect or truncate the database in the middle; then put a copy back, and go on."""
    unbroken = trial.bench.unbroken()
    kind = BREAKS[trial.index % len(BREAKS)]
    command = start_to_first_run(trial)
    backup = trial.folder / "backup.db"
    with locked(trial.database):
        copy_database(trial.database, backup)
        _break(trial, kind)
    moment = time.monotonic()
    try:
        code = command.wait()
    finally:
        if kind == "read-only":
            subprocess.run(["umount", str(trial.database)], check=True)
    trial.note_message(command, moment)
    trial.notes.append(f"{kind}, exit {code}")
    if code in (0, None):
        trial.errors.append(f"exit code {code}")
    spooled = spooled_ids(trial.folder)
    trial.notes.append(f"{len(spooled)} runs in the spool")
    if kind != "read-only":
        for name in ("", "-journal", "-wal", "-shm"):
            trial.database.with_name(trial.database.name + name).unlink(missing_ok=True)
        copy_database(backup, trial.database)
    if trial.random.random() < 0.5:
        trial.run_until_good(("sync",))
    trial.run_until_good(WORDS)
    trial.compare(unbroken, spooled)


def _break(trial: Trial, kind: str) -> None:
    path = trial.database
    if kind == "deleted":
        path.unlink()
    elif kind == "truncated":
        os.truncate(path, trial.random.choice((0, 1000, path.stat().st_size // 2)))
    else:  # root may write to any file, but not through a mount that is read-only
        subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)


PARTS = (
    Part("locked", 4, 2, lock_store),
    Part("disk full", 4, 1, fill_disk, skip_reason=why_no_mount),
    Part("database", 9, 3, break_database, skip_reason=why_no_mount),
)
