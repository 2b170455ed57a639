"""The keys of the group `schedule`: how the learning rate changes from step to step."""

from zeroinit.config.arguments import format_value, is_finite
from zeroinit.config.read import Values, read, read_int
from zeroinit.config.target import Target, parameters_of
from zeroinit.errors import BadInput
from zeroinit.tracker.renamed import RAMP

RUN_LENGTHS = ("T_max", "total_steps", "total_iters")  # arguments that are the run's number of steps if they are null
PERIODS = ("T_0", "step_size_up", "step_size_down")  # arguments of torch: the run's number of steps at most
CHANGES = ("step_size", "milestones")  # arguments of torch: numbers of updates, after which the run must take a step
MAY_BE_NULL = (*RUN_LENGTHS, "step_size_down")


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
    if schedule.name.startswith("torch."):
        _check_arguments(values, schedule)
    return schedule


def _check_arguments(values: Values, schedule: Target) -> None:
    """Raise BadInput for a number of steps that a schedule of torch does not have."""
    arguments = schedule.arguments
    for name in (*RUN_LENGTHS, *PERIODS, "step_size"):
        if name in arguments and not (name in MAY_BE_NULL and arguments[name] is None):
            read_int(values, f"schedule.{name}", 1, ", or null" if name in MAY_BE_NULL else "")
    for name in ("epochs", "steps_per_epoch"):
        if arguments.get(name) is not None:
            raise BadInput(
                f"schedule.{name}={arguments[name]}: the length of the cycle is schedule.total_steps; leave {name} out"
            )
    milestones = arguments.get("milestones", [1])
    if not (isinstance(milestones, list) and milestones and all(type(step) is int and step > 0 for step in milestones)):
        raise BadInput(f"schedule.milestones={format_value(milestones)}: give a list of whole numbers from 1")


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
    parameters = parameters_of(schedule.resolve().func)
    arguments = {name: parameter.default for name, parameter in parameters.items()} | schedule.arguments
    for name in (*RUN_LENGTHS, *PERIODS, *CHANGES):
        most = steps - 1 if name in CHANGES else steps
        value = arguments.get(name)
        last = max(value, default=0) if isinstance(value, list) else value
        if isinstance(last, int) and last > most:
            typed, or_null = format_value(value), ", or null" if name in MAY_BE_NULL else ""
            raise BadInput(
                f"schedule.{name}={typed}: it is longer than the run of {steps} steps; give at most {most}{or_null}"
            )
    total = arguments.get("total_steps")
    if isinstance(total, int) and total < steps:
        raise BadInput(
            f"schedule.total_steps={total}: it is shorter than the run of {steps} steps; give {steps} or null"
        )
