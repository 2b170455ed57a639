"""How many neurons of a hidden layer differ."""

from torch import Tensor, nn

from zeroinit.observed_layers import hidden_layers, name_other_modules, observed_layers, unit_groups
from zeroinit.probes import measures
from zeroinit.probes.probe import Metric, Probe
from zeroinit.training.events import Weights

DISTINCT_NEURONS = Metric(
    "symmetry/{layer}/distinct", "neurons", "neurons that differ", is_nonnegative=True, has_curve=True
)
MEAN_COSINE = Metric("symmetry/{layer}/cosine", "", "mean cosine of the angle between two neurons")


def hidden_widths(model: nn.Module) -> dict[str, int]:
    """Return {hidden layer, or group of units: its number of units}."""
    widths = {layer.name: len(layer.value(layer.weight)) for layer in observed_layers(model)}
    widths |= {group.name: group.size for group in unit_groups(model)}
    return {name: widths[name] for name in hidden_layers(model)}


def units_of(event: Weights, layer: str) -> Tensor:
    """Return the units (K, units, ...) of a hidden layer or of a group of units, such as neurons or heads."""
    return event.units[layer] if layer in event.units else measures.neurons(*event.layers[layer])


class Symmetry(Probe):
    """Exact copies among the neurons of each hidden layer, and the angles between neurons.

    `observed_layers` defines what counts as a neuron, and so do heads of an attention and units of a recurrent layer.
    """

    name = "symmetry"
    metrics = (DISTINCT_NEURONS, MEAN_COSINE)

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: the net has no hidden layer."""
        return None if hidden_widths(model) else "it is of hidden neurons, and the net has no hidden layer"

    @classmethod
    def explain_omissions(cls, model: nn.Module) -> str | None:
        """Return which rows are not compared, and what is."""
        modules = name_other_modules(model)
        compared = "of attention, whole heads are compared, and of recurrent layers, whole units"
        return f"the rows of {modules}: {compared}" if modules else None

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics of each hidden layer."""
        for layer in self.subject.hidden:
            neurons = units_of(event, layer)
            columns = {DISTINCT_NEURONS: measures.count_distinct(neurons), MEAN_COSINE: measures.mean_cosine(neurons)}
            self.readings.add({metric.of(layer): values for metric, values in columns.items()}, event)
