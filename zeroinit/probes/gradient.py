"""The size of each layer's weight gradients, and their histograms."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zeroinit.observed_layers import observed_layers
from zeroinit.probes import measures
from zeroinit.probes.histogram import Histogram, from_rows, histogram, quantiles, to_rows
from zeroinit.probes.probe import NO_LAYER, Columns, Metric, Probe, Readings, Subject, select_rows
from zeroinit.state import State, narrow
from zeroinit.training.events import Gradients

HISTOGRAMS_FILE = "histograms.npz"
GRADIENT_NORM = Metric("grad/{layer}/norm", "", "Euclidean norm of the weight gradient", is_nonnegative=True)
GRADIENT_ZEROS = Metric("grad/{layer}/zeros", "share", "share of the entries that are exactly zero")
QUANTILES = {
    share: Metric(f"grad/{{layer}}/p{100 * share:02.0f}", "", f"{share:.0%} quantile of the entries")
    for share in (0.05, 0.50, 0.95)
}


class Gradient(Probe):
    """Norm, share of exact zeros, quantiles and histogram of each layer's weight gradients."""

    name = "gradient"
    metrics = (GRADIENT_NORM, GRADIENT_ZEROS, *QUANTILES.values())

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.observations: list[tuple[int, list[int], dict[str, Histogram]]] = []  # (step, members, {layer: ...})

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net has no layer of weights."""
        return None if observed_layers(model) else NO_LAYER

    def on_gradients(self, event: Gradients) -> None:
        """Queue the metrics of each layer, and the counts of its histogram."""
        histograms: dict[str, Histogram] = {}
        self.observations.append((event.step, event.members, histograms))
        for layer, gradients in event.layers.items():
            self.readings.add({GRADIENT_NORM.of(layer): measures.norm(gradients)}, event)
        for layer, gradients in event.layers.items():
            size, members = gradients[0].numel(), len(event.members)

            def to_columns(
                bits: NDArray[np.float64], layer: str = layer, size: int = size, members: int = members
            ) -> Columns:
                histograms[layer] = counted = histogram(bits.astype(np.int64).reshape(members, -1), size)
                between = quantiles(counted.counts, counted.zeros, tuple(QUANTILES)).T
                yield GRADIENT_ZEROS.of(layer), counted.zeros / size
                for metric, column in zip(QUANTILES.values(), between, strict=True):
                    yield metric.of(layer), column

            self.readings.add_columns(measures.bit_counts(gradients), event, to_columns)

    def state(self) -> State:
        """Return the histograms."""
        return {
            "observations": [
                (step, members, {layer: narrow(torch.from_numpy(to_rows(each))) for layer, each in histograms.items()})
                for step, members, histograms in self.observations
            ]
        }

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue with these histograms."""
        for step, saved, histograms in state["observations"]:
            chosen, rows = select_rows(saved, members)
            counted = {layer: from_rows(each[rows].cpu().long().numpy()) for layer, each in histograms.items()}
            self.observations.append((step, chosen, counted))

    def files(self, member: int) -> dict[str, bytes]:
        """Return the histograms of a member; nothing if there are none.

        The .npz holds the observed `steps` (T,), and of each layer the counts (T, 2, 255), zeros, nan and inf (T,).
        """
        if not any(histograms for _, _, histograms in self.observations):
            return {}
        rows = [
            (step, members.index(member), histograms)
            for step, members, histograms in self.observations
            if member in members and histograms
        ]
        arrays: dict[str, NDArray[np.int64]] = {"steps": np.array([step for step, _, _ in rows])}
        layers: Mapping[str, Histogram] = rows[0][2] if rows else {}
        for layer in layers:
            for part in Histogram._fields:
                arrays[f"{layer}/{part}"] = np.array([getattr(of_all[layer], part)[row] for _, row, of_all in rows])
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        return {HISTOGRAMS_FILE: content.getvalue()}
