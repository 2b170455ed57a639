"""What the loop's hook does: turns what it is shown into a run's metrics and gradient histograms."""

import io
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np

from zeroinit import probe
from zeroinit.loop import Event, Gradients, Step
from zeroinit.tracker import Record, Tracker

QUANTILES = {"p05": 0.05, "p50": 0.50, "p95": 0.95}


class Observer:
    """Watches one member; `tell` hears the share of the steps done, and the validation accuracy where it is taken."""

    def __init__(
        self, record: Record, tracker: Tracker, steps: int, tell: Callable[[float, float | None], None]
    ) -> None:
        self.record, self.tracker, self.steps, self.tell = record, tracker, steps, tell
        self.observed: list[int] = []
        self.layers: dict[str, list[probe.Histogram]] = defaultdict(list)

    def __call__(self, event: Event) -> None:
        started = time.perf_counter()
        if isinstance(event, Gradients):
            if self.tracker.keeps:
                self.watch(event)
        elif isinstance(event, Step):
            self.tell(event.step / self.steps, None)
        else:
            self.record.metrics += [(name, value, event.step) for name, value in event.values.items()]
            self.tracker.flush(self.record)
            self.tell(event.step / self.steps, event.values["val/accuracy"])
        self.record.tracking += time.perf_counter() - started

    def watch(self, event: Gradients) -> None:
        """grad/<layer>/{norm, zeros, p05, p50, p95}: norm, share of exact zeros, and quantiles from the counts."""
        self.observed.append(event.step)
        for layer, gradients in event.layers.items():
            histogram = probe.histogram(gradients)
            self.layers[layer].append(histogram)
            values = {
                "norm": float(gradients.flatten(1).norm(dim=1)[0]),
                "zeros": float(histogram.zeros[0] / gradients[0].numel()),
                **dict(zip(QUANTILES, probe.quantiles(histogram, tuple(QUANTILES.values()))[0].tolist(), strict=True)),
            }
            # what is not finite is counted in the histogram, and has no place on an axis
            self.record.metrics += [
                (f"grad/{layer}/{name}", value, event.step) for name, value in values.items() if np.isfinite(value)
            ]

    def histograms(self) -> bytes:
        """The .npz of the observed `steps` (T,); for each layer its counts (T, 2, 255), zeros, nan and inf (T,)."""
        arrays = {"steps": np.array(self.observed)}
        for layer, seen in self.layers.items():
            for part in probe.Histogram._fields:
                arrays[f"{layer}/{part}"] = np.concatenate([getattr(one, part) for one in seen])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return content.getvalue()
