"""The first observed step in which each layer has a weight gradient that is more than rounding."""

from collections.abc import Sequence

from torch import nn

from zeroinit.observed_layers import name_other_modules, observed_layers
from zeroinit.probes.confirmed_gradients import ConfirmedGradients
from zeroinit.probes.probe import NO_LAYER, Metric, Probe, Readings, Subject
from zeroinit.state import State
from zeroinit.training.events import Gradients

FIRST_GRADIENT = Metric(
    "first_gradient/{layer}", "step", "first observed step with a weight gradient above rounding, at that step"
)
FIRST_GRADIENT_PREDICTED = Metric(
    "first_gradient_predicted/{layer}", "step", "the same step in exact arithmetic, known before training"
)


class FirstGradient(Probe):
    """The first gradient of each layer. `confirmed_gradients` says what counts as more than rounding.

    The layers are those of `observed_layers`: an attention and a recurrent module have several. The wavefront of such a
    net is measured and not predicted, because the prediction follows zeros through chains alone (Schicho 2023).
    """

    name = "first_gradient"
    metrics = (FIRST_GRADIENT, FIRST_GRADIENT_PREDICTED)

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.gradients = ConfirmedGradients()

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net has no layer of weights."""
        return None if observed_layers(model) else NO_LAYER

    @classmethod
    def explain_omissions(cls, model: nn.Module) -> str | None:
        """Return that there is no prediction, if the net has layers of other kinds than a chain may have."""
        modules = name_other_modules(model)
        return (
            f"the prediction, which is for chains of dense and convolution layers, not {modules}" if modules else None
        )

    def on_gradients(self, event: Gradients) -> None:
        """Write the layers that have their first gradient. This reads norms back as long as a layer has none."""
        for layer, member in self.gradients.new_layers(event):
            self.readings.records[member].metrics.append((FIRST_GRADIENT.of(layer), event.step, event.step))

    def state(self) -> State:
        """Return which gradients were confirmed."""
        return self.gradients.state()

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue with these."""
        self.gradients.load_state(state, members)
