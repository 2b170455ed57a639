"""The members of a stack that ended after its checkpoint was written, and are kept.

The last bits of a member can depend on how many members its stack has, because kernels compute the last few entries of
a tensor in another way. So such a member trains again until it leaves the stack, as it did before. Its record is kept
already, and is not written again.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import fields

from zeroinit.config import Job
from zeroinit.config.code_hash import targets_of
from zeroinit.sweep import checkpoint
from zeroinit.sweep.checkpoint import Checkpoint, Unusable
from zeroinit.sweep.stacking import shared_config
from zeroinit.tracker import Record
from zeroinit.tracker.tags import Tag

NOT_SAVED = {"saved": None, "hooks": b"", "folder": ""}  # parts of a job that change nothing of its training
# a checkpoint may come from somewhere else: beside functions that the runs name, it may name those of these modules
HARMLESS = ("zeroinit.init.", "zeroinit.bias_scale.", "torch.nn.init.", "torch.optim.lr_scheduler.")


def format_jobs(jobs: Sequence[Job]) -> str:
    """Return jobs as JSON."""
    names = [field.name for field in fields(Job) if field.name not in NOT_SAVED]
    return json.dumps([{name: getattr(job, name) for name in names} for job in jobs])


def find_repeated(source: Checkpoint, jobs: Sequence[Job]) -> list[tuple[Job, Record]]:
    """Return the members of a checkpoint that ended since, each with a record that nobody keeps.

    A member that does not fit the jobs, which go on from the checkpoint, is left out.

    Raises:
        Unusable: The checkpoint is damaged, or of another release.
    """
    ended = [slot for slot, member in enumerate(source.header.members) if source.is_done(member)]
    if not ended:
        return []
    shared, known = shared_config(jobs[0]), {target for job in jobs for target in targets_of(job.values)}
    saved = json.loads(checkpoint.read_part(source, checkpoint.JOBS))
    repeated = []
    for slot in ended:
        try:
            job = Job(**NOT_SAVED | saved[slot])
        except TypeError as error:  # of another release
            raise Unusable(f"{source.path} has other jobs than this release: {error}") from error
        others = targets_of(job.values) - known
        if shared_config(job) == shared and all(target.startswith(HARMLESS) for target in others):
            tags = {Tag.IDENTITY: source.header.members[slot].identity, Tag.CONFIG_HASH: job.config_hash}
            repeated.append((job, Record(job.name, job.params, tags, ended_at=time.time())))
    return repeated
