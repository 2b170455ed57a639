"""Observers as tests want them: no store, and no schedule but of curvature."""

from collections.abc import Sequence

from zeroinit.dataset.data import Split
from zeroinit.probes.observer import Observer
from zeroinit.probes.probe import Schedule, Subject
from zeroinit.tracker import Record
from zeroinit.tracker.memory import Off


def make_observer(
    records: Sequence[Record],
    steps: int,
    probes: Sequence[str],
    hidden: Sequence[str],
    batch: Split,
    curvature_steps: Sequence[int] = (),
) -> Observer:
    """Return an observer with these probes; the training decides which steps are observed."""
    subject = Subject(hidden, batch, Schedule(0, 0, curvature_steps))
    return Observer(records, Off(), steps, lambda share, accuracy: None, probes, subject)
