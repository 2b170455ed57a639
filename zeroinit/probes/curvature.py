"""The shape of the loss where a run stands: the ends of its Hessian's spectrum."""

from torch import nn

from zeroinit.probes.lanczos import ITERATIONS, HessianEnds, hessian_ends
from zeroinit.probes.probe import Metric, Probe
from zeroinit.training.events import Weights
from zeroinit.training.quotient import QuotientLinear

END_DESCRIPTIONS = {
    "gradient": "norm of the gradient",
    "largest": "largest eigenvalue of the Hessian",
    "smallest": "smallest eigenvalue of the Hessian",
}
METRICS = {  # {block of parameters: metrics of HessianEnds, in their order}
    block: tuple(
        Metric(f"{block}/{part}", "", f"{END_DESCRIPTIONS[part]} of the loss in {parameters}")
        for part in HessianEnds._fields
    )
    for block, parameters in (("curvature", "all parameters"), ("curvature/weights", "the layers' weights alone"))
}
MAX_BYTES = 1 << 30  # of Lanczos vectors, for each member


class Curvature(Probe):
    """Gradient norm, largest and smallest eigenvalue, of the loss and of its block of the layers' weights alone."""

    name = "curvature"
    metrics = tuple(metric for ends in METRICS.values() for metric in ends)

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: a quotient, shared parameters, or too many of them."""
        if any(isinstance(module, QuotientLinear) for module in model.modules()):
            return "the gradients of a quotient are those of single neurons, not of its own loss"
        if len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False))):
            return "layers of the net share parameters"
        memory = ITERATIONS * sum(parameter.nbytes for parameter in model.parameters())
        if memory > MAX_BYTES:
            return f"it would take {memory / 2**30:.1f} GiB; it takes {MAX_BYTES / 2**30:.0f} at most"
        return None

    def is_due(self, step: int) -> bool:
        """Return whether the step is one of those at which curvature is measured."""
        steps = self.subject.schedule.curvature_steps
        return step in steps or (step == 1 and 0 in steps)

    def on_weights(self, event: Weights) -> None:
        """Queue the metrics, on the subject's batch."""
        if event.step not in self.subject.schedule.curvature_steps:
            return
        parameters = event.net.tensors()
        matrices = [name for name, tensor in parameters.items() if tensor.dim() > 2]  # (K, units, ...)
        weights = [name for name in matrices if name not in self.subject.others]
        blocks = [list(parameters), *([weights] if weights else [])]
        for metrics, block in zip(METRICS.values(), blocks, strict=False):
            ends = hessian_ends(lambda values: event.net.losses(values, *self.subject.batch), parameters, block)
            columns = zip(metrics, ends, strict=True)
            self.readings.add({metric.name: values[event.slots] for metric, values in columns}, event)
