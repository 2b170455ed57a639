"""What the command of a sweep says, beside its jobs."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from zeroinit.config.claims import Claim
from zeroinit.report.manifest import Manifest, PlannedRun


@dataclass(frozen=True)
class Command:
    """What the command of a sweep says, beside its jobs."""

    text: str  # as it was typed, without passwords
    question: str  # that the sweep's file asks; may be empty
    sweep: str  # name of the sweep, for jobs whose config names none
    size: str  # option of the group `size`; may be empty
    folder: Path  # where Hydra keeps the sweep
    baseline: str  # the init with which the report compares the others
    skipped: int = 0  # combinations of the axes that hydra.sweeper.skip_if leaves out
    config_yaml: str = ""  # the composed config of the sweep
    changed_keys: Collection[str] = ()  # keys that the command line changes
    find_options: Callable[[str], Sequence[str]] = lambda group: ()  # of a config group that the sweep has

    def manifest(self, planned: Sequence[PlannedRun], claims: Sequence[Claim], size: str) -> Manifest:
        """Return what the report of the sweep needs.

        Args:
            planned: The runs of the sweep.
            claims: All claims; those of another size are left out.
            size: The size of the runs; empty if it has no name.
        """
        size = size or self.size
        judged = [claim for claim in claims if claim.is_about(size)]
        return Manifest(self.question, self.text, planned, judged, size, baseline=self.baseline)
