"""What the loop's hook does: turns what it is shown into a run's metrics and gradient histograms."""

import io
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np

from zeroinit import probe
from zeroinit.loop import Event, Gradients, Metrics, Step
from zeroinit.tracker import Record, Tracker

FLUSH = 5  # seconds between two writes while it trains, for each of its members: a write is 0.1 s
QUANTILES = {"p05": 0.05, "p50": 0.50, "p95": 0.95}


class Observer:
    """Watches the members of one training; `tell` hears the share of the steps done, and validation accuracies."""

    def __init__(
        self,
        records: Sequence[Record],
        tracker: Tracker,
        steps: int,
        tell: Callable[[float, float | None], None],
    ) -> None:
        self.records, self.tracker, self.steps, self.tell = records, tracker, steps, tell
        self.flushed = time.perf_counter()
        self.seconds = 0.0  # that watching took
        self.observed: list[tuple[int, list[int], dict[str, probe.Histogram]]] = []

    def __call__(self, event: Event) -> None:
        started = time.perf_counter()
        if isinstance(event, Gradients):
            if self.tracker.keeps:
                self.watch(event)
        elif isinstance(event, Step):
            self.tell(event.step / self.steps, None)
        elif isinstance(event, Metrics):
            record = self.records[event.member]
            record.metrics += [(name, value, event.step) for name, value in event.values.items()]
            if started - self.flushed > FLUSH * len(self.records):
                self.flushed = started
                self.flush()
            self.tell(event.step / self.steps, event.values["val/accuracy"])
        self.seconds += time.perf_counter() - started

    def flush(self) -> None:
        """Write what is new of the members' metrics; if the store fails now, their end will write it, or fail."""
        with suppress(Exception):
            for record in self.records:
                self.tracker.flush(record)

    def watch(self, event: Gradients) -> None:
        """grad/<layer>/{norm, zeros, p05, p50, p95}: norm, share of exact zeros, and quantiles from the counts."""
        histograms = {layer: probe.histogram(gradients) for layer, gradients in event.layers.items()}
        self.observed.append((event.step, event.members, histograms))
        for layer, gradients in event.layers.items():
            columns = {
                "norm": gradients.flatten(1).norm(dim=1).tolist(),
                "zeros": (histograms[layer].zeros / gradients[0].numel()).tolist(),
                **dict(
                    zip(
                        QUANTILES, probe.quantiles(histograms[layer], tuple(QUANTILES.values())).T.tolist(), strict=True
                    )
                ),
            }
            for name, of_all in columns.items():
                for member, value in zip(event.members, of_all, strict=True):
                    if math.isfinite(value):  # what is not is counted in the histogram, and has no place on an axis
                        self.records[member].metrics.append((f"grad/{layer}/{name}", value, event.step))

    def histograms(self, member: int) -> bytes:
        """The .npz of the observed `steps` (T,); for each layer its counts (T, 2, 255), zeros, nan and inf (T,)."""
        seen = [(step, members.index(member), of_all) for step, members, of_all in self.observed if member in members]
        arrays = {"steps": np.array([step for step, _, _ in seen])}
        for layer in seen[0][2] if seen else []:
            for part in probe.Histogram._fields:
                arrays[f"{layer}/{part}"] = np.array([getattr(of_all[layer], part)[row] for _, row, of_all in seen])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()
