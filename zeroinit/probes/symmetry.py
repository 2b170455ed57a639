"""How many neurons of a hidden layer differ."""

from torch import nn

from zeroinit.layers import hidden_layers, weight_layers
from zeroinit.probes import measures
from zeroinit.probes.probe import Metric, Probe
from zeroinit.training.events import Weights

DISTINCT_NEURONS = Metric(
    "symmetry/{layer}/distinct", "neurons", "neurons that differ", is_nonnegative=True, has_curve=True
)
MEAN_COSINE = Metric("symmetry/{layer}/cosine", "", "mean cosine of the angle between two neurons")


def hidden_widths(model: nn.Module) -> dict[str, int]:
    """Return {layer of hidden neurons: its number of neurons}."""
    inside = hidden_layers(model)
    return {layer: len(module.weight) for layer, module in weight_layers(model) if layer in inside}


class Symmetry(Probe):
    """Exact copies among the neurons of each hidden layer, and the angles between neurons."""

    name = "symmetry"
    metrics = (DISTINCT_NEURONS, MEAN_COSINE)

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net has no hidden layer."""
        return None if hidden_widths(model) else "it is of hidden neurons, and the net has no hidden layer"

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics of each hidden layer."""
        for layer in self.subject.hidden:
            neurons = measures.neurons(*event.layers[layer])
            columns = {DISTINCT_NEURONS: measures.count_distinct(neurons), MEAN_COSINE: measures.mean_cosine(neurons)}
            self.readings.add({metric.of(layer): values for metric, values in columns.items()}, event)
