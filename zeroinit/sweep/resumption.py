"""Which jobs go on from a checkpoint, and with which others: a stack keeps its members, whatever the workers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from zeroinit.build import identity_of
from zeroinit.config import Job
from zeroinit.sweep import checkpoint
from zeroinit.sweep.checkpoint import Member
from zeroinit.sweep.stacking import StackPlan, plan_stacks, shared_config


class Resumption(NamedTuple):
    """What checkpoints change in a plan.

    Attributes:
        stacks: the jobs that go on from a checkpoint.
        others: the indices of the jobs without one.
        lines: for a person, on each checkpoint that is used, or that would give other numbers here.
    """

    stacks: list[StackPlan]
    others: list[int]
    lines: list[str]


def plan_all(jobs: Sequence[Job], workers: int) -> tuple[list[StackPlan], list[str]]:
    """Return the stacks of a sweep, those that go on from a checkpoint first, and the lines on checkpoints."""
    stacks, others, lines = plan_resumption(jobs)
    if not stacks:
        return plan_stacks(jobs, workers), lines
    rest = plan_stacks([jobs[index] for index in others], workers)
    return [*stacks, *(replace(plan, jobs=[others[index] for index in plan.jobs]) for plan in rest)], lines


def plan_resumption(jobs: Sequence[Job]) -> Resumption:
    """Find the checkpoints of the jobs. Those of jobs with `resume=false` are removed."""
    checkpoints = sorted(checkpoint.find_all(), key=lambda each: -each.header.step)
    if not checkpoints:
        return Resumption([], [*range(len(jobs))], [])
    checkpoint.discard(identity_of(job) for job in jobs if not job.config.resume)
    waiting = {
        checkpoint.member_of(job, identity_of(job)): index for index, job in enumerate(jobs) if job.config.resume
    }
    stacks: list[StackPlan] = []
    lines: list[str] = []
    refused: dict[Member, str] = {}
    for each in checkpoints:
        header = each.header
        members = [member for member in header.members if member in waiting and not each.is_done(member)]
        if not members:
            continue
        indices = [waiting[member] for member in members]
        machine = checkpoint.describe_machine(jobs[indices[0]].config.device)
        if header.machine != machine:
            name = next(name for name in machine if header.machine.get(name) != machine[name])
            line = f"started again: {_name([jobs[index] for index in indices])}: the checkpoint is of "
            line += f"{name} {header.machine.get(name)}, not {machine[name]}"
            refused |= {member: line for member in members if member not in refused}
            continue
        shared = shared_config(jobs[indices[0]])
        together = [index for index in indices if shared_config(jobs[index]) == shared]
        for member in [member for member in members if waiting[member] in together]:
            del waiting[member]
        lines.append(f"resumed from step {header.step} of {header.steps}: {_name([jobs[index] for index in together])}")
        stacks.append(StackPlan(together, f"{len(together)} of a checkpoint", header.is_stack))
    lines += dict.fromkeys(line for member, line in refused.items() if member in waiting)
    taken = {index for stack in stacks for index in stack.jobs}
    return Resumption(stacks, [index for index in range(len(jobs)) if index not in taken], lines)


def _name(jobs: Sequence[Job]) -> str:
    """Return the overrides of the first job, and how many others there are."""
    more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return " ".join(jobs[0].overrides) + more
