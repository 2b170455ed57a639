"""The claims of a sweep against its runs, before any of them trains: each cell and each layer that they name exists."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from zeroinit.build import layers_of
from zeroinit.config import Job
from zeroinit.errors import BadInput
from zeroinit.report.claims import matches, parse_value


def check_cells(claims: Sequence[Mapping[str, Any]], jobs: Sequence[Job], size: str, typed: Collection[str]) -> None:
    """Raise BadInput for a claim about a cell that no run has, or about a layer that the nets of its cell lack.

    The jobs have passed `build.check`. A key in `typed` was changed on the command line, so a cell that is chosen by it
    may be missing from these runs. Claims of another `size` are not judged.
    """
    for index, claim in enumerate(claims):
        if claim.get("size", size) != size:
            continue
        for side in ("cell", "other"):
            if not isinstance(claim.get(side), Mapping):
                continue
            changed = [key for key in claim[side] if is_changed(key, typed)]
            for selector in single_values(claim[side], jobs):
                if not changed and not any(matches(selector, job.params) for job in jobs):
                    cell = ", ".join(f"{key}: {value}" for key, value in selector.items())
                    raise BadInput(
                        f"claims[{index}].{side}={{{cell}}}: no run of the sweep is such a cell; {axes(jobs)}"
                    )
        if claim["is"] == "arrives_in_order":
            check_order(
                f"claims[{index}].order", claim["order"], [job for job in jobs if matches(claim["cell"], job.params)]
            )


def is_changed(key: str, typed: Collection[str]) -> bool:
    """Whether the command line may have changed the values of a key, of its group, or of the axes of a size."""
    parts = key.split(".")
    groups = {".".join(parts[: depth + 1]) for depth in range(len(parts))} | {"size"}
    return "claims" not in typed and bool(groups & set(typed))


def single_values(selector: Mapping[str, Any], jobs: Sequence[Job]) -> Iterator[Mapping[str, Any]]:
    """The selector with each value of its lists alone; a list that is a value of some run, such as widths, stays."""
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


def axes(jobs: Sequence[Job]) -> str:
    """What differs between the runs, as advice."""
    values = {key: {job.params.get(key, "none") for job in jobs} for key in jobs[0].params}
    listed = [
        f"{key} is {' or '.join(sorted(found))}"
        for key, found in values.items()
        if not key.startswith("seed") and 1 < len(found) <= 20
    ]
    return f"in its runs {', '.join(listed)}" if listed else "all of its runs are of one cell"


def check_order(key: str, order: Sequence[str], jobs: Sequence[Job]) -> None:
    """Raise BadInput where the net of some job has no layer of that name."""
    for job in jobs:
        layers = layers_of(job)
        lacking = next((layer for layer in order if layer not in layers), None)
        if lacking is not None:
            listed = ", ".join(layers if len(layers) <= 12 else [*layers[:6], "...", *layers[-3:]])
            raise BadInput(f"{key}: arch={job.params['arch']} has no layer {lacking}; its layers are {listed}")
