"""What a page shows if it is known: where the runs are, the units of the layers, and when to load the page again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class RunLinks:
    """Where MLflow shows the runs.

    Attributes:
        address: The address of the UI, without a slash at its end.
        experiment: The ID of the experiment.
        hint: What to do before the links work; empty if they work.
    """

    address: str
    experiment: str
    hint: str = ""

    def path(self, run_id: str) -> str:
        """Return the path of a run behind the address."""
        return f"/#/experiments/{self.experiment}/runs/{run_id}?workflowType=machine_learning"


@dataclass(frozen=True)
class Extras:
    """What the page shows if it is known.

    Attributes:
        links: Where the runs are.
        units: {layer: its number of units} of each cell.
        snapshots: The weights of each cell's net, if it has two inputs and they were kept.
        watch_seconds: After how many seconds the page loads itself again; None for never.
    """

    links: RunLinks | None = None
    units: Sequence[Mapping[str, int]] = field(default=())
    snapshots: Sequence[Mapping[str, NDArray[Any]] | None] = field(default=())
    watch_seconds: float | None = None

    def select(self, indices: Sequence[int]) -> "Extras":
        """Return the extras of some of the cells."""
        units = [self.units[index] for index in indices] if self.units else ()
        snapshots = [self.snapshots[index] for index in indices] if self.snapshots else ()
        return replace(self, units=units, snapshots=snapshots)
