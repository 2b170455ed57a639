"""What moves the settings of an optimizer, such as its learning rate, from step to step."""

import warnings
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zeroinit.state import State


class Scheduler:
    """Torch's scheduler of one optimizer, which follows the steps of a run.

    Args:
        scheduler: it has given the optimizer the settings of step 1.
        key: schedulers with equal keys, of optimizers with equal settings, give equal settings in each step.
    """

    def __init__(self, scheduler: LRScheduler, key: str) -> None:
        self.scheduler, self.key = scheduler, key
        self.step = 1  # whose settings the optimizer has

    def advance(self, step: int) -> None:
        """Give the optimizer the settings of step number `step` (from 1)."""
        while self.step < step:
            with warnings.catch_warnings():  # in a stack, the optimizer of the member itself takes no step
                warnings.simplefilter("ignore", UserWarning)
                self.scheduler.step()
            self.step += 1

    def state(self) -> State:
        """Return the state of the schedule, without the settings of the optimizer."""
        return {"step": self.step, "scheduler": self.scheduler.state_dict()}

    def load_state(self, state: State) -> None:
        """Continue from such a state."""
        self.step = state["step"]
        self.scheduler.load_state_dict(dict(state["scheduler"]))  # CyclicLR takes a part out


Leader = tuple[Optimizer, Scheduler | None]


def find_leaders(optimizers: Sequence[Optimizer], schedulers: Sequence[Scheduler | None]) -> list[Leader]:
    """Return, for each member of a stack, whose optimizer has its settings, and the scheduler of that optimizer.

    Members with equal settings and equal schedules have the same leader, so that a schedule is followed once.
    """
    leaders: list[Leader] = []
    for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
        settings = settings_of(optimizer)
        alike = (
            leader
            for leader in reversed(leaders)
            if scheduler and leader[1] and leader[1].key == scheduler.key and settings_of(leader[0]) == settings
        )
        leaders.append(next(alike, (optimizer, scheduler)))
    return leaders


def settings_of(optimizer: Optimizer) -> list[dict[str, object]]:
    """Return the settings of each of the optimizer's groups, without its parameters."""
    return [{**group, "params": None} for group in optimizer.param_groups]
