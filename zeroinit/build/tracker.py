"""The tracker that a config names, and whether it can store what a job will write."""

from functools import cache, lru_cache

from zeroinit.config import Job
from zeroinit.config.target import Target
from zeroinit.errors import BadInput
from zeroinit.probes.metrics import metrics_of_layers
from zeroinit.tracker import Tracker


def open_tracker(job: Job, sweep: str) -> Tracker:
    """Return the job's tracker, with the experiment of the sweep open; the same one for all jobs of a process.

    Raises:
        BadInput: The config asks for files, and the tracker stores none.
    """
    tracker = open_cached(job.config.tracker, job.config.sweep or sweep)
    if job.config.save and not tracker.is_persistent:
        raise BadInput(
            f"save=true: tracker={job.params['tracker']} stores no files; give save=false or another tracker"
        )
    return tracker


@lru_cache
def open_cached(target: Target, sweep: str) -> Tracker:
    """Return the tracker of a config, with the experiment of the sweep open."""
    tracker = make_tracker(target)
    tracker.open(sweep)
    return tracker


def make_tracker(target: Target) -> Tracker:
    """Return the tracker that a config names, not open yet.

    Raises:
        BadInput: The object lacks methods of a tracker.
    """
    tracker: Tracker = target.instantiate()
    members = {name: member for part in Tracker.__mro__ for name, member in vars(part).items()}
    methods = [name for name, member in members.items() if callable(member) and not name.startswith("_")]
    absent = [name for name in methods if not callable(getattr(tracker, name, None))]
    if absent:
        made = type(tracker).__name__
        raise BadInput(
            f"{target}: it returned a {made}, which has no {' and no '.join(absent[:2])}; return a "
            "zeroinit.tracker.Tracker, which has all of its methods"
        )
    return tracker


def check_storable(job: Job, layers: tuple[str, ...]) -> None:
    """Raise BadInput if the job's tracker can never store its params, or the metrics of its layers."""
    target = job.config.tracker
    tracker = make_tracker(target)
    if refusal := tracker.refuses(job.params | {"mlflow.runName": job.name}):
        name, reason = refusal
        value = job.params.get(name, job.name)
        raise BadInput(f"{name[:80]}={value[:80]}{'...' if len(value) > 80 else ''}: {reason}")
    if refusal := _find_refused_metric(target, job.config.probe.measure, layers):
        layer, reason = refusal
        raise BadInput(
            f"arch={job.params['arch']}: the tracker takes no metrics of the layer {layer!r}: {reason}; give the layer "
            "another name, or measure nothing of layers with probe=none"
        )


@cache
def _find_refused_metric(target: Target, probes: tuple[str, ...], layers: tuple[str, ...]) -> tuple[str, str] | None:
    """Return (layer, reason) of the first metric of the probes that the tracker cannot store, or None."""
    layer_of = {metric: layer for layer, metric in metrics_of_layers(probes, layers)}
    tracker = make_tracker(target)
    refusal = tracker.refuses(dict.fromkeys(layer_of, ""))
    return (layer_of[refusal[0]], refusal[1]) if refusal else None
