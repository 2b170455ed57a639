"""Warnings about cells of a sweep that are identical, because their inits end in the same weights."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from zeroinit.report.cells import Cell
from zeroinit.tracker.tags import Tag

INIT_PREFIXES = ("init", "bias_scale")  # prefixes of keys that change nothing but the weights at step 0
MAX_SETTINGS = 3  # that a warning names

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
    """Return warnings about cells that differ in init or bias scale alone and start from the same weights.

    An example is a bias scale of biases that are all zero. The same warning for many settings of the other keys is a
    single one.

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
    settings: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for same in alike.values():
        if len(same) > 1:
            differing = [key for key in keys if len({params.get(key) for params in same}) > 1]
            of_init = [key for key in keys if key not in differing and key not in rest]
            values = "; ".join(_format_params(params, differing) for params in same)
            settings[values, _format_params(same[0], of_init), *differing].append(same[0])
    return [_format_warning(values, differing, of, keys) for (values, _, *differing), of in settings.items()]


def _format_warning(
    values: str, differing: Sequence[str], settings: Sequence[Mapping[str, str]], keys: Sequence[str]
) -> str:
    """Return the sentence on which cells are the same, and why.

    Args:
        values: What the cells differ in.
        differing: The keys in which they differ.
        settings: Params of a cell of each set of cells that are the same.
        keys: The keys that name a cell.
    """
    others = [key for key in keys if key not in differing]
    shared = [key for key in others if len({params.get(key) for params in settings}) == 1]
    listed = [_format_params(params, [key for key in others if key not in shared]) for params in settings]
    more = [f"and {len(listed) - MAX_SETTINGS} more settings"] if len(listed) > MAX_SETTINGS else []
    each = f"with {'; '.join([*listed[:MAX_SETTINGS], *more])}" if len(listed) > 1 else ""
    where = ", ".join(part for part in (_format_params(settings[0], shared), each) if part)
    is_bias_scale = all(key.startswith("bias_scale") for key in differing)
    why = "bias_scale multiplies biases that are all zero" if is_bias_scale else "their inits fill in the same weights"
    return f"Warning: these cells are identical, as {why}: {values}{f' ({where})' if where else ''}."


def _format_params(params: Mapping[str, str], keys: Iterable[str]) -> str:
    """Return `key=value key=value` for those of the keys that the params have."""
    return " ".join(f"{key}={params[key]}" for key in keys if key in params)
