"""The first observed step in which each layer has a weight gradient that is more than rounding."""

from zeroinit.probes.first_gradients import FirstGradients
from zeroinit.probes.probe import Metric, Probe, Readings, Subject
from zeroinit.training.events import Gradients


class Arrival(Probe):
    """The first gradient of each layer. `first_gradients` says what counts as more than rounding."""

    name = "arrival"
    metrics = (
        Metric("arrival/{layer}", "step", "first observed step with a weight gradient above rounding, at that step"),
        Metric("predicted_arrival/{layer}", "step", "the same step in exact arithmetic, known before training"),
    )

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.first_gradients = FirstGradients()

    def on_gradients(self, event: Gradients) -> None:
        """Write the layers that have their first gradient. This reads norms back as long as a layer has none."""
        for layer, member in self.first_gradients.new_layers(event):
            self.readings.records[member].metrics.append((f"arrival/{layer}", event.step, event.step))
