"""The files of checkpoints: where they are, how they are written and read, and when they are removed.

A checkpoint is a zip file, stored without compression, with a header in JSON and the state as torch.save writes it.
The checksums of the zip tell a damaged file. A folder holds the two newest checkpoints of the runs that train together.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import torch

from zeroinit.config import Job
from zeroinit.config.code_hash import hash_code
from zeroinit.config.identity import VERSION
from zeroinit.state import State
from zeroinit.tracker.provenance import device_name, provenance
from zeroinit.tracker.tags import Tag
from zeroinit.whole_files import open_whole, remove_stale

FOLDER = "ZEROINIT_CHECKPOINTS"  # environment variable with the folder of all checkpoints, for the processes of a sweep
FORMAT = 1  # of the files; raise it when the state of a training has other parts
KEEP = 2  # checkpoints in a folder
SUFFIX, DONE = ".checkpoint", ".done"  # of the file of a checkpoint, and of the mark that a run needs none
HEADER, JOBS, STATE = "header.json", "jobs.json", "state.pt"  # in the zip


class Unusable(Exception):
    """A checkpoint cannot be read, or does not fit the runs. The message says why."""


@dataclass(frozen=True)
class Member:
    """A run that a checkpoint is of.

    Attributes:
        identity: of the run.
        measured: a hash of the keys that change no number of the training and decide what is measured.
    """

    identity: str
    measured: str


@dataclass(frozen=True)
class Header:
    """What is known of a checkpoint without its state.

    Attributes:
        step: the updates that the members have taken.
        steps: those of the longest member.
        is_stack: whether the members train as a stack.
        members: the run in each slot.
        machine: what must be the same for the same numbers, by name.
    """

    step: int
    steps: int
    is_stack: bool
    members: list[Member]
    machine: dict[str, str]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Return the header of a file."""
        values = json.loads(text)
        return cls(**values | {"members": [Member(**member) for member in values["members"]]})


@dataclass(frozen=True)
class Checkpoint:
    """A file with its header."""

    path: Path
    header: Header

    def slots_of(self, members: Sequence[Member]) -> list[int] | None:
        """Return the slot of each of these members; None if one is not there."""
        slots = {member: slot for slot, member in enumerate(self.header.members)}
        return [slots[member] for member in members] if slots.keys() >= {*members} else None

    def is_for(self, members: Sequence[Member]) -> bool:
        """Whether no other runs need the checkpoint."""
        return all(member in members or self.is_done(member) for member in self.header.members)

    def is_done(self, member: Member) -> bool:
        """Whether the run ended since, and is kept."""
        return _mark(self.path.parent, member.identity).exists()


def folder_of_checkpoints() -> Path:
    """Return the folder of all checkpoints: that of the command, or of this folder if no command was typed."""
    return Path(os.environ.get(FOLDER) or "mlruns/checkpoints").absolute()


def note_folder() -> None:
    """Note this folder as that of the command, for this process and those that it starts."""
    os.environ[FOLDER] = str(Path("mlruns/checkpoints").absolute())


def describe_machine(device: torch.device) -> dict[str, str]:
    """Return what must be the same for a checkpoint to give the same numbers."""
    tags = provenance()
    return {
        "format": str(FORMAT),
        "version": str(VERSION),
        "torch": tags[Tag.TORCH_VERSION],
        "device": device_name(device),
        "processor": tags[Tag.CPU_CAPABILITY],
        "kernels": tags[Tag.KERNELS],
    }


def find(members: Sequence[Member], is_stack: bool, machine: dict[str, str]) -> list[Checkpoint]:
    """Return the checkpoints from which these members can go on together, those with the most steps first."""
    usable = [
        checkpoint
        for checkpoint in find_all()
        if (checkpoint.header.is_stack, checkpoint.header.machine) == (is_stack, machine)
        and checkpoint.slots_of(members) is not None
        and not any(map(checkpoint.is_done, members))
    ]
    return sorted(usable, key=lambda checkpoint: -checkpoint.header.step)


def find_all() -> Iterator[Checkpoint]:
    """Yield each checkpoint whose header can be read."""
    for path in sorted(folder_of_checkpoints().glob(f"*/*{SUFFIX}")):
        with suppress(OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(path) as file:
            yield Checkpoint(path, Header.parse(file.read(HEADER)))


def read(checkpoint: Checkpoint) -> State:
    """Return the state of a checkpoint, with its tensors on the CPU.

    Raises:
        Unusable: The file is damaged.
    """
    content = io.BytesIO(read_part(checkpoint, STATE))
    try:
        state: State = torch.load(content, map_location="cpu", weights_only=True)
    except (EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise Unusable(f"{checkpoint.path} is damaged: {error}") from error
    return state


def read_part(checkpoint: Checkpoint, name: str) -> bytes:
    """Return a part of the file of a checkpoint. Raises Unusable if its checksum is wrong."""
    try:
        with zipfile.ZipFile(checkpoint.path) as file:
            return file.read(name)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Unusable(f"{checkpoint.path} is damaged: {error}") from error


def write(folder: Path, header: Header, jobs: str, state: State) -> None:
    """Write a checkpoint that is whole or not there, even if the process or the machine dies.

    Args:
        folder: of the checkpoints of these runs; see `folder_of`.
        header: of the checkpoint.
        jobs: those of the members, as JSON.
        state: plain values (zeroinit.state).

    Raises:
        OSError: The file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_stale(folder)
    number = max((int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal()), default=0) + 1
    with open_whole(folder / f"{number:08}{SUFFIX}") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(HEADER, json.dumps(asdict(header)))
        archive.writestr(JOBS, jobs)
        with archive.open(STATE, "w", force_zip64=True) as stream:
            torch.save(state, stream)
    for old in sorted(folder.glob(f"*{SUFFIX}"))[:-KEEP]:
        old.unlink(missing_ok=True)


def discard(identities: Iterable[str]) -> None:
    """Note that these runs need no checkpoint any more, and remove the folders in which no other run needs one.

    Call it when the records of the runs are safe.
    """
    if not folder_of_checkpoints().is_dir():
        return
    ended = {*identities}
    by_folder: dict[Path, list[Checkpoint]] = {}
    for checkpoint in find_all():
        by_folder.setdefault(checkpoint.path.parent, []).append(checkpoint)
    for folder, checkpoints in by_folder.items():
        members = {member for checkpoint in checkpoints for member in checkpoint.header.members}
        ended_here = [member for member in members if member.identity in ended]
        with suppress(OSError):
            for member in ended_here:
                _mark(folder, member.identity).touch()
            if ended_here and all(checkpoints[-1].is_done(member) for member in members):
                shutil.rmtree(folder)


def member_of(job: Job, identity: str) -> Member:
    """Return what a checkpoint says of a job with this identity."""
    measured = {key: job.values[key] for key in ("probe", "metrics")}
    text = json.dumps([measured, hash_code({"metrics": measured["metrics"]})], sort_keys=True)
    return Member(identity, hashlib.sha256(text.encode()).hexdigest()[:16])


def begin(folder: Path, members: Iterable[Member]) -> None:
    """Forget that these runs ended before: they train again."""
    for member in members:
        _mark(folder, member.identity).unlink(missing_ok=True)


def folder_of(members: Iterable[Member]) -> Path:
    """Return the folder of the checkpoints of runs that start together."""
    identities = sorted(member.identity for member in members)
    return folder_of_checkpoints() / hashlib.sha256("\n".join(identities).encode()).hexdigest()[:16]


def _mark(folder: Path, identity: str) -> Path:
    return folder / f"{identity}{DONE}"
