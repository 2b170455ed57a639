"""Whether a job's tracker can keep what the job will write, known before the job trains."""

import json
from functools import cache

from zeroinit.config import Job
from zeroinit.config.check import Values
from zeroinit.config.target import call
from zeroinit.errors import BadInput
from zeroinit.probes.metrics import metrics_of_layers
from zeroinit.tracker import Tracker


def make_tracker(keys: Values) -> Tracker:
    """Return the tracker that a config names, not open yet. Raises BadInput for an object that is none."""
    tracker: Tracker = call("tracker", keys)
    members = {name: member for part in Tracker.__mro__ for name, member in vars(part).items()}
    methods = [name for name, member in members.items() if callable(member) and not name.startswith("_")]
    absent = [name for name in methods if not callable(getattr(tracker, name, None))]
    if absent:
        target, made = keys["_target_"], type(tracker).__name__
        raise BadInput(
            f"tracker._target_={target}: it returned a {made}, which has no {' and no '.join(absent[:2])}; return a "
            "zeroinit.tracker.Tracker, which has all of its methods"
        )
    return tracker


def check_storable(job: Job, layers: tuple[str, ...]) -> None:
    """Raise BadInput where the job's tracker can never keep its params, or the metrics of its layers."""
    key = job.values["tracker"]
    tracker = make_tracker(key)
    if refused := tracker.refuses(job.params | {"mlflow.runName": job.name}):
        name, reason = refused
        value = job.params.get(name, job.name)
        raise BadInput(f"{name[:80]}={value[:80]}{'...' if len(value) > 80 else ''}: {reason}")
    if refused := refused_metric(json.dumps(key), tuple(job.values["probe"]["measure"]), layers):
        layer, reason = refused
        raise BadInput(
            f"arch={job.params['arch']}: the tracker takes no metrics of the layer {layer!r}: {reason}; give the layer "
            "another name, or measure nothing of layers with probe=none"
        )


@cache
def refused_metric(node: str, probes: tuple[str, ...], layers: tuple[str, ...]) -> tuple[str, str] | None:
    """The first layer of which these probes write a metric that the tracker cannot keep, and why."""
    layer_of = {metric: layer for layer, metric in metrics_of_layers(probes, layers)}
    tracker = make_tracker(json.loads(node))
    refused = tracker.refuses(dict.fromkeys(layer_of, ""))
    return (layer_of[refused[0]], refused[1]) if refused else None
