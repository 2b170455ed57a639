"""The keys of the group `schedule`: how the learning rate changes from step to step."""

from zeroinit.config.arguments import is_finite
from zeroinit.config.read import Values, read, read_int
from zeroinit.config.target import Target
from zeroinit.errors import BadInput
from zeroinit.tracker.renamed import RAMP

RUN_LENGTHS = ("T_max", "total_steps", "total_iters")  # arguments that are the run's number of steps if they are null
PERIODS = ("T_0",)  # arguments of torch that may be the run's number of steps at most
CHANGES = ("step_size", "milestones")  # arguments of torch: numbers of updates, after which the run must take a step


def parse_schedule(values: Values) -> Target:
    """Return the function of the keys `schedule`. Raises BadInput."""
    schedule = Target.read(values, "schedule")
    if schedule.name.rpartition(".")[2] == "ReduceLROnPlateau":
        raise BadInput(f"{schedule}: it needs a metric in each step; give another scheduler, such as schedule=cosine")
    if schedule.name == RAMP:
        if read(values, "schedule.steps") is not None:
            read_int(values, "schedule.steps", 0, ", or null")
        factor = read(values, "schedule.factor")
        if not is_finite(factor) or factor <= 0:
            raise BadInput(f"schedule.factor={factor}: give a finite number above 0")
    for name in (*RUN_LENGTHS, *PERIODS, "step_size"):
        if name in schedule.arguments and schedule.name.startswith("torch."):
            if name in RUN_LENGTHS and schedule.arguments[name] is None:
                continue
            read_int(values, f"schedule.{name}", 1, ", or null" if name in RUN_LENGTHS else "")
    return schedule


def fit_to_run(schedule: Target, steps: int) -> Target:
    """Return the schedule with the run's number of steps for the arguments that stand for it and are null.

    Raises:
        BadInput: The schedule is longer than the run.
    """
    names = (*RUN_LENGTHS, "steps") if schedule.name == RAMP else RUN_LENGTHS
    filled = {name: steps for name in names if name in schedule.arguments and schedule.arguments[name] is None}
    schedule = schedule.with_arguments(filled)
    if schedule.name.startswith("torch."):
        _check_length(schedule, steps)
    return schedule


def _check_length(schedule: Target, steps: int) -> None:
    """Raise BadInput if the schedule changes after the last step, or if OneCycleLR does not end with the run."""
    arguments = schedule.arguments
    for name in (*RUN_LENGTHS, *PERIODS, *CHANGES):
        most = steps - 1 if name in CHANGES else steps
        value = arguments.get(name)
        last = max(value, default=0) if isinstance(value, list) else value
        if isinstance(last, int) and last > most:
            typed = str(value).replace(" ", "")
            or_null = ", or null" if name in RUN_LENGTHS else ""
            raise BadInput(
                f"schedule.{name}={typed}: it is longer than the run of {steps} steps; give at most {most}{or_null}"
            )
    total = arguments.get("total_steps")
    if isinstance(total, int) and total < steps:
        raise BadInput(
            f"schedule.total_steps={total}: it is shorter than the run of {steps} steps; give {steps} or null"
        )
