"""Trials of a part: what each counts, where it takes place, and the row of the table that they give."""

import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fault_parts.commands import Command
from fault_parts.stores import DATABASE, SWEEP, Sweep, copy_database, read_sweep, spooled_ids

WORKERS = "hydra.launcher.workers=2"
GRID = "-m dataset=digits arch.hidden=[16],[24] init=zero,zero_normal,kaiming_normal seed=range(2) steps=200,1000"
WORDS = (*GRID.split(), f"sweep={SWEEP}", WORKERS)  # 24 runs
ATTEMPTS = 6  # of the same command, until it exits 0
MESSAGE_WORDS = (
    "the command waits",
    "finished runs wait",
    "and not in the store",
    "mlflow.db: ",
    "zeroinit: http",
    "No space left",
)
MESSAGE_SECONDS = 15.0  # the bar
PROMPT_SECONDS = 3.0  # the bar
HANG_SECONDS = 120.0  # after which a command that was interrupted counts as hanging
DYING_SECONDS = 0.5  # that killed processes have to disappear


@dataclass
class Unbroken:
    """The sweep without a fault: its words and runs, and when it had opened the store, had a worker and ended (s)."""

    words: Sequence[str]
    variables: dict[str, str]
    sweep: Sweep
    store_at: float
    first_worker: float
    seconds: float


@dataclass
class Trial:
    """One trial: its folder, its random numbers, and what it counts.

    Attributes:
        index: its number in the part.
        workplace: the current folder of its commands.
        lost: finished runs that the store never got, or runs that no attempt could finish.
        doubled: finished runs beyond the first of an identity.
        running: runs that are left RUNNING.
        differing: runs whose metrics, params or files are not those of the unbroken sweep.
        messages: seconds from a fault to the line that tells of it.
        prompts: seconds from an interruption to the end of the command.
        errors: sentences on all else that must not be.
        notes: what was injected.
    """

    bench: "Bench"
    index: int
    folder: Path
    workplace: Path
    random: random.Random
    lost: int = 0
    doubled: int = 0
    running: int = 0
    differing: int = 0
    messages: list[float] = field(default_factory=list)
    prompts: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.running or self.differing or self.errors)

    @property
    def database(self) -> Path:
        return self.workplace / DATABASE

    def start(self, words: Sequence[str], variables: dict[str, str] | None = None) -> Command:
        command = Command(words, self.workplace, self.folder / "output.txt", variables)
        self.bench.commands.append(command)
        return command

    def begin_again(self) -> None:
        """Remove what a command left that ended before its fault."""
        shutil.rmtree(self.workplace / "mlruns")
        copy_database(self.bench.empty_database, self.database)

    def run_until_good(self, words: Sequence[str], variables: dict[str, str] | None = None) -> None:
        """Type the command until it exits 0."""
        codes = []
        for _ in range(ATTEMPTS):
            codes.append(self.start(words, variables).wait())
            if codes[-1] == 0:
                if len(codes) > 1:
                    self.notes.append(f"exit codes {codes}")
                return
        self.errors.append(f"no exit code 0 in {ATTEMPTS} attempts: {codes}")

    def end_by(self, command: Command, number: signal.Signals) -> int | None:
        """Interrupt a command, and return its exit code; an error if it ends late or leaves a process."""
        sent = time.monotonic()
        with suppress(ProcessLookupError):
            # a terminal sends Ctrl-C to the whole group
            os.killpg(command.pid, number) if number == signal.SIGINT else os.kill(command.pid, number)
        code = command.wait(HANG_SECONDS)
        taken = time.monotonic() - sent
        self.prompts.append(taken)
        self.notes.append(f"{number.name} after {sent - command.began:.2f} s: exit {code} after {taken:.2f} s")
        if taken > PROMPT_SECONDS:
            self.errors.append(f"the prompt was back after {taken:.2f} s")
        time.sleep(DYING_SECONDS)
        if left := command.tree():
            self.errors.append(f"{len(left)} processes are left")
        return code

    def note_message(self, command: Command, moment: float, earliest: float | None = None) -> None:
        """Count the time from a moment to the first line on the fault; an error if there is none in time.

        Args:
            command: It writes the line.
            moment: When the fault began, or when the command could notice it.
            earliest: When the line may have been written, if that is earlier.
        """
        line = command.first_line_with(MESSAGE_WORDS, moment if earliest is None else earliest)
        if not line:
            self.errors.append("no message")
            return
        seconds = max(0.0, line[0] - moment)
        self.messages.append(seconds)
        self.notes.append(f"message after {seconds:.1f} s: {line[1][:200]}")
        if seconds > MESSAGE_SECONDS:
            self.errors.append(f"message after {seconds:.1f} s")

    def compare(self, unbroken: Unbroken, spooled: set[str] | None = None, database: Path | None = None) -> None:
        """Count what the store of the trial has too little, too much or otherwise.

        Args:
            unbroken: What it should have.
            spooled: The ids of runs that were finished in the spool before, and must not have been trained again.
            database: The store, if it is not the usual one.
        """
        sweep = read_sweep(self.workplace, database)
        finished = sweep.finished()
        self.running += sweep.running
        for identity, [expected] in unbroken.sweep.finished().items():
            runs = finished.get(identity, [])
            self.lost += not runs
            self.doubled += max(0, len(runs) - 1)
            parts = sorted({part for run in runs for part in run.differs_from(expected)})
            if parts:
                self.differing += 1
                self.notes.append(f"{', '.join(parts)} of {[run.run_id for run in runs]} differ")
        ids = {run.run_id for runs in finished.values() for run in runs}
        if gone := (spooled or set()) - ids:
            self.lost += len(gone)
            self.notes.append(f"runs of the spool that are not in the store: {sorted(gone)}")
        if left := spooled_ids(self.workplace):
            self.errors.append(f"{len(left)} runs are left in the spool")


class Bench:
    """What all parts share: a folder, an empty database, and the unbroken sweeps.

    Args:
        folder: Where the folders of trials are made; those that fail stay.
        is_smoke: Whether outages are short.
        seed: Of the random numbers.
    """

    def __init__(self, folder: Path, is_smoke: bool, seed: int) -> None:
        self.folder, self.is_smoke, self.seed = folder, is_smoke, seed
        self.commands: list[Command] = []  # of the trial
        self._unbroken: dict[tuple[str, ...], Unbroken] = {}

    @cached_property
    def empty_database(self) -> Path:
        from mlflow import MlflowClient

        path = self.folder / "empty.db"
        MlflowClient(f"sqlite:///{path}").search_experiments()
        return path

    def make_folder(self, name: str, has_database: bool = True) -> Path:
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        if has_database:
            copy_database(self.empty_database, folder / DATABASE)
        return folder

    def unbroken(self, words: Sequence[str] = WORDS, variables: dict[str, str] | None = None) -> Unbroken:
        """Return the sweep of these words without a fault, which is trained once."""
        key = (*words, *(variables or {}).values())
        if key not in self._unbroken:
            folder = self.make_folder("unbroken")
            command = Command(words, folder, folder / "output.txt", variables)
            command.wait_until((folder / "mlruns" / "spool").is_dir)
            store_at = time.monotonic() - command.began
            command.wait_until(lambda: bool(command.workers()))
            first_worker = time.monotonic() - command.began
            code = command.wait()
            seconds = time.monotonic() - command.began
            if code != 0:
                raise RuntimeError(f"the unbroken sweep ended with {code}: {command.output[-2000:]}")
            sweep = read_sweep(folder)
            self._unbroken[key] = Unbroken(words, variables or {}, sweep, store_at, first_worker, seconds)
            print(f"  unbroken: {len(sweep.runs)} runs, {seconds:.1f} s, workers at {first_worker:.1f} s", flush=True)
            shutil.rmtree(folder)
        return self._unbroken[key]


@dataclass(frozen=True)
class Part:
    """A part: its name, its usual number of trials, that of a smoke test, and what a trial does."""

    name: str
    trials: int
    smoke: int
    run: Callable[[Trial], None]
    has_database: bool = True
    skip_reason: Callable[[], str] = lambda: ""


def run_part(part: Part, trials: int, bench: Bench) -> tuple[str, bool]:
    """Run the trials of a part. Return its row of the table, and whether all bars are met."""
    if reason := part.skip_reason():
        return f"| {part.name} | 0 | skipped: {reason} | | | | | | |", True
    began, done = time.monotonic(), []
    for index in range(trials):
        trial = _run_trial(part, index, bench)
        done.append(trial)
        state = "good" if trial.is_good else f"BAD, kept in {trial.folder}: {_describe(trial)}"
        print(f"  {part.name} {index + 1}/{trials}: {state}; {'; '.join(trial.notes)}", flush=True)
    waits = [seconds for trial in done for seconds in (*trial.messages, *trial.prompts)]
    counts = [sum(getattr(trial, name) for trial in done) for name in ("lost", "doubled", "running", "differing")]
    errors = sum(len(trial.errors) for trial in done)
    slowest = f"{max(waits):.1f} s" if waits else "-"
    seconds = f"{time.monotonic() - began:.0f}"
    row = [part.name, len(done), *counts, errors, slowest, seconds]
    return f"| {' | '.join(map(str, row))} |", all(trial.is_good for trial in done)


def _run_trial(part: Part, index: int, bench: Bench) -> Trial:
    folder = bench.make_folder(part.name.replace(" ", "-"), part.has_database)
    trial = Trial(bench, index, folder, folder, random.Random(f"{bench.seed} {part.name} {index}"))
    try:
        part.run(trial)
    except Exception:
        trial.errors.append(traceback.format_exc())
    finally:
        for command in bench.commands:
            command.end()
        bench.commands.clear()
    if trial.is_good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        (folder / "trial.txt").write_text("\n".join([_describe(trial), *trial.notes]))
    return trial


def _describe(trial: Trial) -> str:
    counts = f"{trial.lost} lost, {trial.doubled} doubled, {trial.running} RUNNING, {trial.differing} differ"
    return "; ".join([counts, *trial.errors])
