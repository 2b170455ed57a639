"""The gradient noise scale: about the batch size beyond which larger batches hardly help.

McCandlish et al., "An Empirical Model of Large-Batch Training", 2018, section 2.2 and appendix A.1.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from zeroinit.probes.probe import Metric, Probe, Readings, Subject
from zeroinit.state import State
from zeroinit.training.events import Gradients
from zeroinit.training.quotient import QuotientLinear

NOISE_SCALE = Metric(
    "noise_scale/simple", "examples", "ratio of the running means of the variance and the squared gradient"
)
VARIANCE = Metric("noise_scale/variance", "", "estimate of the trace of the covariance of one example's gradient")
SQUARED_GRADIENT = Metric("noise_scale/squared_gradient", "", "estimate of the squared norm of the mean gradient")
DECAY = 0.9  # of the running means over observed steps, whose ratio is the noise scale


class NoiseScale(Probe):
    """The simple noise scale tr(S) / |G|^2 of the mean loss, from the two halves of each observed batch.

    G is the gradient over the whole distribution, and S the covariance of the gradient of one example. Half a batch
    has the squared gradient norm |G|^2 + tr(S) / half in expectation, and the whole batch |G|^2 + tr(S) / (2 half).
    Both estimates are unbiased and noisy. The noise scale is the ratio of their running means. It costs a second
    backward pass in each observed step.
    """

    name = "noise_scale"
    metrics = (NOISE_SCALE, VARIANCE, SQUARED_GRADIENT)

    def __init__(self, subject: Subject, readings: Readings) -> None:
        super().__init__(subject, readings)
        self.means: Tensor | None = None  # (2, members): of tr(S) and |G|^2

    @classmethod
    def skip_reason(cls, model: nn.Module) -> str | None:
        """Return why the probe does not apply: to a quotient, or to a net that cannot be copied for a second batch."""
        if any(isinstance(module, QuotientLinear) for module in model.modules()):
            return "the gradients of a quotient are those of single neurons, not of its own loss"
        try:
            deepcopy(model)
        except Exception:  # of a user's module
            return "the net cannot be copied, so its gradients of half a batch are unknown"
        return None

    def on_gradients(self, event: Gradients) -> None:
        """Queue the estimates of each member. A batch of one example has none."""
        inputs, labels, _ = event.batch
        half = labels.shape[1] // 2
        if half == 0:
            return
        dtype = next(iter(event.net.tensors().values())).dtype
        first, second = (
            event.net.gradients_in((inputs[:, part], labels[:, part], "mean"), dtype, {})
            for part in (slice(half), slice(half, 2 * half))
        )
        estimates = estimate(first, second, half)[:, event.slots]
        if self.means is None:
            self.means = estimates.new_zeros(2, len(self.readings.records))
        members = torch.tensor(event.members, device=estimates.device)
        self.means[:, members] = DECAY * self.means[:, members] + (1 - DECAY) * estimates
        variance, squared_gradient = self.means[:, members]
        columns = {NOISE_SCALE: variance / squared_gradient, VARIANCE: estimates[0], SQUARED_GRADIENT: estimates[1]}
        self.readings.add({metric.name: values for metric, values in columns.items()}, event)

    def state(self) -> State:
        """Return the running means."""
        return {"means": self.means}

    def load_state(self, state: State, members: Sequence[int]) -> None:
        """Continue with these means."""
        self.means = None if state["means"] is None else state["means"][:, members]


def estimate(first: dict[str, Tensor], second: dict[str, Tensor], half: int) -> Tensor:
    """Return unbiased estimates (2, K) of tr(S) and |G|^2.

    Args:
        first: mean gradients {parameter: (K, *shape)} of some examples.
        second: the same of as many other examples.
        half: how many examples each of the two has.
    """
    of_halves = (_squared_norm(first) + _squared_norm(second)) / 2
    of_whole = _squared_norm({name: (first[name] + second[name]) / 2 for name in first})
    return torch.stack([2 * half * (of_halves - of_whole), 2 * of_whole - of_halves])


def _squared_norm(gradients: dict[str, Tensor]) -> Tensor:
    """Return the squared norm (K,) of all gradients {parameter: (K, *shape)} together, summed in float64."""
    return torch.stack([gradient.flatten(1).double().square().sum(1) for gradient in gradients.values()]).sum(0)
