"""The first observed step in which each layer has a weight gradient that is more than rounding."""

from zeroinit.probes.confirmed_gradients import ConfirmedGradients
from zeroinit.probes.probe import Metric, Probe, Readings, Subject
from zeroinit.training.events import Gradients

FIRST_GRADIENT = Metric(
    "first_gradient/{layer}", "step", "first observed step with a weight gradient above rounding, at that step"
)
FIRST_GRADIENT_PREDICTED = Metric(
    "first_gradient_predicted/{layer}", "step", "the same step in exact arithmetic, known before training"
)


class FirstGradient(Probe):
    """The first gradient of each layer. `confirmed_gradients` says what counts as more than rounding."""

    name = "first_gradient"
    metrics = (FIRST_GRADIENT, FIRST_GRADIENT_PREDICTED)

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.gradients = ConfirmedGradients()

    def on_gradients(self, event: Gradients) -> None:
        """Write the layers that have their first gradient. This reads norms back as long as a layer has none."""
        for layer, member in self.gradients.new_layers(event):
            self.readings.records[member].metrics.append((FIRST_GRADIENT.of(layer), event.step, event.step))
