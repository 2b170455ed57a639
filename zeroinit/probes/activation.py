"""What the activation behind each layer does to its units."""

from torch import nn

from zeroinit.layers import is_activation
from zeroinit.observed_layers import hidden_layers, name_other_modules
from zeroinit.probes import measures
from zeroinit.probes.probe import Metric, Probe
from zeroinit.training.events import Weights

DEAD = Metric("activation/{layer}/dead", "share", "units that pass no gradient for any example", has_curve=True)
SATURATED = Metric(
    "activation/{layer}/saturated", "share", "units with next to no slope for any example", has_curve=True
)
MEAN = Metric("activation/{layer}/mean", "", "mean of the outputs")
VARIANCE = Metric("activation/{layer}/variance", "", "variance of the outputs", is_nonnegative=True, has_curve=True)


class Activation(Probe):
    """Dead and saturated units, mean and variance behind each layer, on the subject's batch.

    A unit is a neuron of a dense layer or of an MLP block, at each token, or a channel, at each position. It is dead if
    its slope is zero for all of them (Lu, Shin, Su and Karniadakis, "Dying ReLU and Initialization", 2020, section 2).
    The gates of recurrent layers and the softmax of attention are no activations that are modules.
    """

    name = "activation"
    metrics = (DEAD, SATURATED, MEAN, VARIANCE)

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: no activation of the net is a module behind a hidden layer."""
        if hidden_layers(model) and any(map(is_activation, model.modules())):
            return None
        return "the net has no hidden layer with an activation that is a module"

    @classmethod
    def explain_omissions(cls, model: nn.Module) -> str | None:
        """Return which layers have their activations within, where no module shows them."""
        modules = name_other_modules(model)
        return f"{modules}, whose activations are no modules" if modules else None

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics of each layer with an activation behind it."""
        for layer, (inputs, activation) in event.net.activations(self.subject.batch[0]).items():
            outputs = activation(inputs * 1)  # a copy: it may act in place
            slopes = measures.slopes(activation, inputs)
            columns = {
                DEAD: measures.dead_share(slopes),
                SATURATED: measures.saturated_share(slopes, measures.steepest_slope(activation)),
                MEAN: outputs.flatten(1).mean(1),
                VARIANCE: outputs.flatten(1).var(1, correction=0),
            }
            self.readings.add({metric.of(layer): values[event.slots] for metric, values in columns.items()}, event)
