"""What a checkpoint holds of a training: writes it about once a minute, and puts a training back to it."""

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from zeroinit.config import Job
from zeroinit.errors import BadInput
from zeroinit.probes.observer import Observer
from zeroinit.state import NotPlain, State, are_equal, to_plain
from zeroinit.sweep import checkpoint
from zeroinit.sweep.checkpoint import Checkpoint, Header, Member, Unusable
from zeroinit.sweep.repeated import format_jobs
from zeroinit.tracker import Record
from zeroinit.tracker.tags import Tag
from zeroinit.training.cohort import Cohort
from zeroinit.training.stack import ModelStack

CHECKPOINT_SECONDS = 60  # between two checkpoints, and before the first
SECONDS_VARIABLE = "ZEROINIT_CHECKPOINT_SECONDS"  # environment variable with another number of seconds, from 0
MAX_TIME_SHARE = 0.02  # of the time that writing checkpoints may take
TAGS = (Tag.SKIPPED_PROBES, Tag.STACK_SIZE, Tag.STACK_REASON)  # that differ from those that a new start gives


class SavedRun(NamedTuple):
    """A run of the training: its job, what a checkpoint says of it, and its record."""

    job: Job
    member: Member
    record: Record


class SavedTraining:
    """Saves a training, and restores it.

    Attributes:
        seconds: that writing checkpoints took, minus those that the training took before it was interrupted.

    Args:
        runs: of the training, in the order of its members.
        observer: of the training.
        clock: returns the seconds that the members have trained since this process began.
        device: on which they train.
        source: the checkpoint from which the training goes on; None to start.
    """

    def __init__(
        self,
        runs: Sequence[SavedRun],
        observer: Observer,
        clock: Callable[[], float],
        device: torch.device,
        source: Checkpoint | None,
    ) -> None:
        self.runs, self.observer, self.clock, self.device, self.source = runs, observer, clock, device, source
        self.machine = checkpoint.describe_machine(device)
        self.seconds = 0.0
        members = [run.member for run in runs]
        # another folder if some runs of the source do not train now: they still need it
        self.folder = source.path.parent if source and source.is_for(members) else checkpoint.folder_of(members)
        typed = os.environ.get(SECONDS_VARIABLE)
        self._least_seconds = CHECKPOINT_SECONDS if typed is None else _parse_seconds(typed)
        self._max_share = MAX_TIME_SHARE if typed is None else 1
        self._due = time.monotonic() + self._least_seconds

    def after_step(self, step: int, cohort: Cohort) -> None:
        """Write a checkpoint if it is time, and if members are left that train."""
        if time.monotonic() < self._due or not cohort.active:
            return
        started = time.perf_counter()
        try:
            jobs = format_jobs([self.runs[member].job for member in cohort.slots])
            checkpoint.write(self.folder, self._header(step, cohort), jobs, to_plain(self._state(step, cohort)))
        except OSError as error:  # such as a full disk; the next may be written
            self._note(f"no checkpoint after step {step}: {error}")
        except Exception as error:  # of an object of the user; the run goes on
            reason = str(error) if isinstance(error, NotPlain) else f"{type(error).__name__}: {error}"
            self._note(f"no checkpoint: {reason}")
            self._least_seconds = math.inf
        taken = time.perf_counter() - started
        self.seconds += taken
        self._due = time.monotonic() + max(self._least_seconds, taken / self._max_share - taken)

    def restore(self, cohort: Cohort) -> int:
        """Put a new cohort, the observer and the records to where the source has them, and return its step.

        Raises:
            Unusable: The source is damaged, or does not fit. The cohort is then of no use.
        """
        if not self.source:
            checkpoint.begin(self.folder, [run.member for run in self.runs])
            return 0
        header, state = self.source.header, checkpoint.read(self.source)
        slots = self.source.slots_of([run.member for run in self.runs])
        if slots is None:
            raise Unusable(f"{self.source.path} is of other runs")
        starts = [state["records"][slot]["init_hash"] for slot in slots]
        if starts != [run.record.tags.get(Tag.INIT_HASH) for run in self.runs]:
            raise Unusable("its runs started from other weights than those that the config gives now")
        try:
            cohort.load_state(state["cohort"], slots)
            self.observer.load_state(state["observer"], [state["members"][slot] for slot in slots], self.device)
        except Exception as error:  # of an object of the user
            raise Unusable(f"it does not fit: {type(error).__name__}: {error}") from error
        has_all = slots == [*range(len(header.members))]
        if has_all and not are_equal(to_plain(cohort.state(header.step)), state["cohort"]):
            raise Unusable("the network, the optimizer or the schedule does not take back all of its state")
        for slot, run in zip(slots, self.runs, strict=True):
            _load_record(run.record, state["records"][slot], header.step)
        self.seconds = -state["seconds"]
        torch.set_rng_state(state["generator"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda_generator"], self.device)
        return header.step

    def _header(self, step: int, cohort: Cohort) -> Header:
        members = [self.runs[member].member for member in cohort.slots]
        steps = max(cohort.steps[member] for member in cohort.slots)
        return Header(step, steps, isinstance(cohort.net, ModelStack), members, self.machine)

    def _state(self, step: int, cohort: Cohort) -> State:
        is_cuda = self.device.type == "cuda"
        return {
            "cohort": cohort.state(step),
            "observer": self.observer.state(),
            "members": cohort.slots,  # as the observer numbers them
            "records": [_state_of_record(self.runs[member].record) for member in cohort.slots],
            "generator": torch.get_rng_state(),  # of dropout
            "cuda_generator": torch.cuda.get_rng_state(self.device) if is_cuda else None,
            "seconds": self.clock() - self.seconds,
        }

    def _note(self, sentence: str) -> None:
        for run in self.runs:
            run.record.tags.setdefault(Tag.CHECKPOINT, sentence)


def _parse_seconds(typed: str) -> float:
    """Return the number of seconds that the variable gives. Raises BadInput."""
    try:
        seconds = float(typed)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise BadInput(f"{SECONDS_VARIABLE}={typed}: give a number of seconds from 0")
    return seconds


def _state_of_record(record: Record) -> State:
    """Return what is known of a run so far; its metrics as tensors, which are read fast."""
    names = list(dict.fromkeys(name for name, _, _ in record.metrics))
    index = {name: number for number, name in enumerate(names)}
    return {
        "init_hash": record.tags.get(Tag.INIT_HASH),
        "tags": {tag: record.tags.get(tag) for tag in TAGS},
        "tracking": record.tracking,
        "metrics": {
            "names": names,
            "indices": torch.tensor([index[name] for name, _, _ in record.metrics], dtype=torch.int32),
            "values": torch.tensor([value for _, value, _ in record.metrics], dtype=torch.float64),
            "steps": torch.tensor([step for _, _, step in record.metrics], dtype=torch.int64),
        },
    }


def _load_record(record: Record, state: State, step: int) -> None:
    """Give a record what was known of its run after this step."""
    metrics = state["metrics"]
    columns = (metrics[name].tolist() for name in ("indices", "values", "steps"))
    record.metrics = [(metrics["names"][index], value, at) for index, value, at in zip(*columns, strict=True)]
    record.tracking = state["tracking"]
    record.tags |= {tag: value for tag, value in state["tags"].items() if value is not None}
    record.tags[Tag.RESUMED_AT] = str(step)
