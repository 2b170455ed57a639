"""The weights of small nets at observed steps, from which the page draws their decision boundaries."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from zeroinit.probes.probe import Probe, Readings, Subject, select_rows
from zeroinit.state import State
from zeroinit.training.events import Weights

MAX_PARAMETERS = 1000  # of a net whose weights are kept
MAX_POINTS = 200  # examples of two numbers that are kept with them
SNAPSHOTS_FILE = "snapshots.npz"


class Snapshot(Probe):
    """The weights and biases of each layer after each observed step, and before the first.

    It writes no metric. A run keeps `snapshots.npz`: the observed `steps` (T,); of each layer `<layer>/weight`
    (T, *shape) and `<layer>/bias` (T, units), both float32; and if an example is two numbers with a class, `points`
    (N, 2) and their `labels` (N,), evenly spaced in the batch of the probes.
    """

    name = "snapshot"
    metrics = ()

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.observations: list[tuple[int, list[int], dict[str, Tensor]]] = []  # (step, members, arrays of all members)

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net is too large."""
        count = sum(parameter.numel() for parameter in model.parameters())
        if count <= MAX_PARAMETERS:
            return None
        return f"it has {count:,} parameters; snapshots are of nets with {MAX_PARAMETERS:,} at most"

    def on_weights(self, event: Weights) -> None:
        """Copy the weights and biases of each layer."""
        arrays = {}
        for layer, (weights, biases) in event.layers.items():
            arrays[f"{layer}/weight"] = weights.detach().float().clone()
            if biases is not None:
                arrays[f"{layer}/bias"] = biases.detach().float().clone()
        self.observations.append((event.step, event.members, arrays))

    def state(self) -> State:
        """Return the copies."""
        return {"observations": self.observations}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue with these copies."""
        for step, saved, arrays in state["observations"]:
            chosen, rows = select_rows(saved, members)
            self.observations.append((step, chosen, {name: array[rows] for name, array in arrays.items()}))

    def files(self, member: int) -> dict[str, bytes]:
        """Return the snapshots of a member; nothing if it was never observed."""
        rows = [
            (step, members.index(member), arrays) for step, members, arrays in self.observations if member in members
        ]
        if not rows:
            return {}
        stored: dict[str, NDArray[np.generic]] = {"steps": np.array([step for step, *_ in rows])}
        for name in rows[0][2]:
            stored[name] = np.stack([arrays[name][row].cpu().numpy() for _, row, arrays in rows])
        content = io.BytesIO()
        np.savez_compressed(content, **stored, **self._points())  # type: ignore[arg-type]
        return {SNAPSHOTS_FILE: content.getvalue()}

    def _points(self) -> dict[str, NDArray[np.generic]]:
        """Return examples of two numbers with their labels; nothing for others, or for real targets."""
        inputs, labels = (part[0].cpu() for part in self.subject.batch)
        if inputs.shape[1:] != (2,) or labels.is_floating_point():
            return {}
        chosen = np.unique(np.linspace(0, len(inputs) - 1, min(len(inputs), MAX_POINTS)).round().astype(int))
        return {"points": inputs.float().numpy()[chosen], "labels": labels.numpy()[chosen]}
