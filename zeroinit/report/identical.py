"""Warnings about cells of a sweep that are identical, because their inits end in the same weights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from zeroinit.report.cells import Cell
from zeroinit.tracker.tags import Tag

INIT_PREFIXES = ("init", "bias_scale")  # prefixes of keys that change nothing but the weights at step 0

Start = tuple[Mapping[str, str], Mapping[str, str]]  # params of a cell, and {seed of the init: hash of the weights}


def starts_of(cells: Iterable[Cell]) -> list[Start]:
    """Return the weights that the runs of each cell started from, as hashes, as far as they were kept."""
    return [
        (
            cell.params,
            {
                record.params["seeds.init"]: record.tags[Tag.INIT_HASH]
                for record in cell.newest
                if Tag.INIT_HASH in record.tags
            },
        )
        for cell in cells
    ]


def warn_of_identical_cells(starts: Iterable[Start], keys: Sequence[str]) -> list[str]:
    """Return a warning for each set of cells that differ in init or bias scale alone and start from the same weights.

    An example is a bias scale of biases that are all zero.

    Args:
        starts: The start of each cell.
        keys: The keys that name a cell.
    """
    alike: dict[tuple[str | None, ...], list[Mapping[str, str]]] = defaultdict(list)
    rest = [key for key in keys if not key.startswith(INIT_PREFIXES)]
    for params, hashes in starts:
        if hashes:
            seeds, weights = zip(*sorted(hashes.items()), strict=True)
            alike[*(params.get(key) for key in rest), *seeds, *weights].append(params)
    return [_format_warning(same, keys, rest) for same in alike.values() if len(same) > 1]


def _format_warning(same: Sequence[Mapping[str, str]], keys: Sequence[str], rest: Sequence[str]) -> str:
    """Return the sentence on which cells are the same, and why."""
    of_init = [key for key in keys if key not in rest]
    differing = [key for key in of_init if len({params.get(key) for params in same}) > 1]
    fixed = [f"{key}={same[0][key]}" for key in keys if key not in differing and key in same[0]]
    values = "; ".join(" ".join(f"{key}={params[key]}" for key in differing if key in params) for params in same)
    is_bias_scale = all(key.startswith("bias_scale") for key in differing)
    why = "bias_scale multiplies biases that are all zero" if is_bias_scale else "their inits fill in the same weights"
    where = f" ({' '.join(fixed)})" if fixed else ""
    return f"Warning: these cells are identical, as {why}: {values}{where}."
