"""Checks the claims of a sweep against its jobs before training: each cell and each layer that they name exists."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from zeroinit.build import layers_of
from zeroinit.config import Job
from zeroinit.config.claims import Claim, ClaimTest
from zeroinit.errors import BadInput
from zeroinit.report.claims import matches, parse_value


def check_cells(claims: Sequence[Claim], jobs: Sequence[Job], size: str, changed_keys: Collection[str]) -> None:
    """Raise BadInput for a claim about a cell that no run has, or about a layer that the nets of its cell lack.

    Args:
        claims: Of the sweep. Those of another size are not judged.
        jobs: Jobs that have passed `build.check`.
        size: The size of the jobs.
        changed_keys: Keys that the command line changed; a cell that they choose may be missing from the jobs.
    """
    for index, claim in enumerate(claims):
        if not claim.is_about(size):
            continue
        for side, selector in claim.selectors.items():
            _check_side(f"claims[{index}].{side}", selector, jobs, changed_keys)
        if claim.test == ClaimTest.WAKES_IN_ORDER:
            jobs_of_cell = [job for job in jobs if matches(claim.cells, job.params)]
            _check_order(f"claims[{index}].order", claim.order, jobs_of_cell)


def _check_side(path: str, selector: Mapping[str, Any], jobs: Sequence[Job], changed_keys: Collection[str]) -> None:
    if any(_may_have_changed(key, changed_keys) for key in selector):
        return
    for single in _single_values(selector, jobs):
        if not any(matches(single, job.params) for job in jobs):
            cell = ", ".join(f"{key}: {value}" for key, value in single.items())
            raise BadInput(f"{path}={{{cell}}}: no run of the sweep is such a cell; {_describe_axes(jobs)}")


def _may_have_changed(key: str, changed_keys: Collection[str]) -> bool:
    """Whether the command line may have changed the values of a key, of its group, or of the axes of a size."""
    parts = key.split(".")
    groups = {".".join(parts[: depth + 1]) for depth in range(len(parts))} | {"size"}
    return "claims" not in changed_keys and bool(groups & set(changed_keys))


def _single_values(selector: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Mapping[str, Any]]:
    """Yield the selector with each value of its lists alone; a list that is a value of a run, such as widths, stays."""
    lists = [
        key
        for key, value in selector.items()
        if isinstance(value, list) and not any(parse_value(job.params.get(key)) == value for job in jobs)
    ]
    if not lists:
        yield selector
    for key in lists:
        for value in selector[key]:
            yield {**selector, key: value}


def _describe_axes(jobs: Sequence[Job]) -> str:
    """Return which keys differ between the jobs, as advice."""
    values_of = {key: {job.params.get(key, "none") for job in jobs} for key in jobs[0].params}
    axes = [
        f"{key} is {' or '.join(sorted(values))}"
        for key, values in values_of.items()
        if not key.startswith("seed") and 1 < len(values) <= 20
    ]
    return f"in its runs {', '.join(axes)}" if axes else "all of its runs are of one cell"


def _check_order(path: str, order: Sequence[str], jobs: Sequence[Job]) -> None:
    """Raise BadInput if the net of a job has no layer of that name."""
    for job in jobs:
        layers = layers_of(job)
        absent = next((layer for layer in order if layer not in layers), None)
        if absent is not None:
            names = ", ".join(layers if len(layers) <= 12 else [*layers[:6], "...", *layers[-3:]])
            raise BadInput(f"{path}: arch={job.params['arch']} has no layer {absent}; its layers are {names}")
