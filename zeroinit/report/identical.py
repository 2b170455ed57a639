"""Which cells of a sweep are one and the same, because their inits end in the same weights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from zeroinit.report.cells import Cell
from zeroinit.tracker import INIT_HASH

OF_INIT = ("init", "bias_scale")  # keys that act on the weights at step 0, and on nothing else, as prefixes

Started = tuple[Mapping[str, str], Mapping[str, str]]  # params of a cell, and {seed of the init: hash of the weights}


def starts_of(found: Iterable[Cell]) -> list[Started]:
    """Return what the runs of the cells started from, as far as it was kept."""
    return [
        (
            cell.params,
            {one.params["seeds.init"]: one.tags[INIT_HASH] for one in cell.newest if INIT_HASH in one.tags},
        )
        for cell in found
    ]


def identical_cells(cells: Iterable[Started], keys: Sequence[str]) -> list[str]:
    """Return a warning for each set of cells that differ in init or bias scale, and start from the same weights.

    Such as a bias scale of biases that are all zero. Cells are told apart by `keys`.
    """
    alike: dict[tuple[str | None, ...], list[Mapping[str, str]]] = defaultdict(list)
    rest = [key for key in keys if not key.startswith(OF_INIT)]
    for params, hashes in cells:
        if hashes:
            seeds, started = zip(*sorted(hashes.items()), strict=True)
            alike[*(params.get(key) for key in rest), *seeds, *started].append(params)
    return [warning(same, keys, rest) for same in alike.values() if len(same) > 1]


def warning(same: Sequence[Mapping[str, str]], keys: Sequence[str], rest: Sequence[str]) -> str:
    """Say which cells are the same, and why."""
    of_init = [key for key in keys if key not in rest]
    differing = [key for key in of_init if len({params.get(key) for params in same}) > 1]
    fixed = [f"{key}={same[0][key]}" for key in keys if key not in differing and key in same[0]]
    values = "; ".join(" ".join(f"{key}={params[key]}" for key in differing if key in params) for params in same)
    scaled = all(key.startswith("bias_scale") for key in differing)
    why = "bias_scale multiplies biases that are all zero" if scaled else "their inits fill in the same weights"
    where = f" ({' '.join(fixed)})" if fixed else ""
    return f"Warning: these cells are identical, as {why}: {values}{where}."
