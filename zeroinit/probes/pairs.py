"""How close the neurons of a hidden layer are to one another, by all pairs of them."""

from collections.abc import Sequence

from torch import nn

from zeroinit.probes import measures
from zeroinit.probes.probe import Metric, Probe, Readings, Subject
from zeroinit.probes.symmetry import Symmetry, hidden_widths, units_of
from zeroinit.state import State
from zeroinit.training.events import Weights

CLUSTERS = Metric(
    "symmetry/{layer}/clusters",
    "clusters",
    "groups of neurons that are next to equal",
    is_nonnegative=True,
    has_curve=True,
)
EFFECTIVE_RANK = Metric(
    "symmetry/{layer}/rank",
    "dimensions",
    "effective rank of the neurons (Roy and Vetterli, 2007)",
    is_nonnegative=True,
    has_curve=True,
)


class Pairs(Probe):
    """Clusters and effective rank of each hidden layer's neurons, at every other observed step.

    They take as long as all other probes together.
    """

    name = "pairs"
    metrics = (CLUSTERS, EFFECTIVE_RANK)

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.observations = 0

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: there is no hidden layer, or one is too wide."""
        if reason := Symmetry.skip_reason(model):
            return reason
        widths = hidden_widths(model)
        widest = max(widths, key=lambda layer: widths[layer])
        if widths[widest] <= measures.MAX_PAIRED_NEURONS:
            return None
        return f"{widest} has {widths[widest]} neurons; it takes pairs of {measures.MAX_PAIRED_NEURONS} at most"

    @classmethod
    def explain_omissions(cls, model: nn.Module) -> str | None:
        """Return which rows are not compared, and what is."""
        return Symmetry.explain_omissions(model)

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics of each hidden layer, every other time."""
        self.observations += 1
        if self.observations % 2 == 0:
            return
        for layer in self.subject.hidden:
            clusters, rank = measures.pairs(units_of(event, layer))
            self.readings.add({CLUSTERS.of(layer): clusters, EFFECTIVE_RANK.of(layer): rank}, event)

    def state(self) -> State:
        """Return the number of observations."""
        return {"observations": self.observations}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue to count."""
        self.observations = state["observations"]
