"""Calls the probes of a training, and writes what they measure to the records of its members."""

import time
from collections.abc import Callable, Sequence

import torch

from zeroinit.probes.metrics import all_probes
from zeroinit.probes.probe import Probe, Readings, Subject
from zeroinit.state import State, map_tensors
from zeroinit.tracker import Record, RunWriter
from zeroinit.tracker.leases import RENEW_SECONDS
from zeroinit.tracker.scores import ScoreValue, find_score
from zeroinit.tracker.tags import Tag
from zeroinit.training.events import Event, Gradients, Metrics, Step, Weights

PAUSE_SECONDS = 60  # without a write while it trains, after the store did not answer


class Observer:
    """Observes the members of one training.

    Args:
        records: of the members, in their order.
        steps: of the longest member.
        report_progress: is called with the share of the steps done, and with a validation score or None.
        probes: the names of the probes.
        subject: what the probes share.
    """

    def __init__(
        self,
        records: Sequence[Record],
        tracker: RunWriter,
        steps: int,
        report_progress: Callable[[float, ScoreValue | None], None],
        probes: Sequence[str],
        subject: Subject,
    ) -> None:
        self.records, self.tracker, self.steps, self.report_progress = records, tracker, steps, report_progress
        self.readings = Readings(records)
        self.probes = [probe(subject, self.readings) for name, probe in all_probes().items() if name in probes]
        self.probes_with_files = list(self.probes)  # also those that are left out later
        self.step = 0  # the last observed step
        self.next_write = time.perf_counter() + RENEW_SECONDS
        self.seconds = 0.0  # spent in probes and writes

    def is_observed(self, step: int) -> bool:
        """Return whether a probe measures in this step (from 1)."""
        return any(probe.is_due(step) for probe in self.probes)

    def __call__(self, event: Event) -> None:
        """Give an event of the training to the probes that are due, and write their metrics."""
        started = time.perf_counter()
        if isinstance(event, Gradients):
            self.step = event.step
            self._call_probes(event, lambda probe: probe.on_gradients(event))
        elif isinstance(event, Weights) and event.step in (0, self.step):
            self._call_probes(event, lambda probe: probe.on_weights(event))
        elif isinstance(event, Weights):
            self._call_probes(event, lambda probe: probe.before_update(event))
        elif isinstance(event, Step):
            self.readings.write()
            self.report_progress(event.step / self.steps, None)
            if started > self.next_write:
                self._write_progress()
        elif isinstance(event, Metrics):
            record = self.records[event.member]
            record.metrics += [(name, value, event.step) for name, value in event.values.items()]
            score = find_score(event.values, record.params)
            self.report_progress(event.step / self.steps, ScoreValue(score, event.values[score.val]))
        self.seconds += time.perf_counter() - started

    def files(self, member: int) -> dict[str, bytes]:
        """Return the files {name: content} that the probes keep of a member."""
        return {name: content for probe in self.probes_with_files for name, content in probe.files(member).items()}

    def state(self) -> State:
        """Return what later observations depend on. All readings are on the host after a step."""
        assert not self.readings.pending
        states = {probe.name: probe.state() for probe in self.probes_with_files}
        return {
            "step": self.step,
            "seconds": self.seconds,
            "active": [probe.name for probe in self.probes],
            "probes": states,
        }

    def load_state(self, state: State, members: Sequence[int], device: torch.device) -> None:
        """Continue from such a state; each member here had this index there."""
        self.step, self.seconds = state["step"], state["seconds"]
        self.probes = [probe for probe in self.probes if probe.name in state["active"]]
        for probe in self.probes_with_files:
            on_device = map_tensors(state["probes"][probe.name], lambda tensor: tensor.to(device))
            probe.load_state(on_device, members)

    def _call_probes(self, event: Gradients | Weights, call: Callable[[Probe], None]) -> None:
        """Call each probe. One that raises is left out from then on, and the run goes on."""
        for probe in list(self.probes):
            try:
                call(probe)
            except Exception as error:
                self.probes.remove(probe)
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                sentence = f"{probe.name} is left out after step {event.step}: {reason}"
                for member in event.members:
                    tags = self.records[member].tags
                    earlier = f"{tags[Tag.SKIPPED_PROBES]}; " if Tag.SKIPPED_PROBES in tags else ""
                    tags[Tag.SKIPPED_PROBES] = earlier + sentence

    def _write_progress(self) -> None:
        """Write how far the members are. Nothing is lost if that fails: the whole run is written at its end."""
        pause = RENEW_SECONDS
        try:
            self.tracker.write_progress([record for record in self.records if not record.ended_at])
        except Exception:
            pause = PAUSE_SECONDS
        self.next_write = time.perf_counter() + pause
