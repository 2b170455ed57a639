"""The answer of a sweep in sentences: which inits differ from the baseline, by how much, and which do not learn."""

from collections.abc import Sequence

from zeroinit.report.cells import Cell, independent_keys, name_inits, naming_keys
from zeroinit.report.comparisons import ABOVE, BASELINE, BELOW, TOO_FEW, UNCLEAR, Comparison
from zeroinit.report.judgements import learned_nothing
from zeroinit.report.statistics import Estimate, estimate
from zeroinit.tracker import TEST_ACCURACY

DIRECTIONS = {  # in the order of a sentence
    ABOVE: "above it",
    BELOW: "below it",
    UNCLEAR: "no clear difference",
    TOO_FEW: "too few seeds for an interval",
}
MAX_GROUPS = 8  # groups of cells that have a sentence of their own


def summarize(comparisons: Sequence[Comparison], baseline: str = BASELINE) -> list[str]:
    """Return the answer: a sentence on all comparisons, then one on each group of cells that share a baseline.

    Args:
        comparisons: The comparison of each cell of the sweep.
        baseline: The name of the baseline init.
    """
    cells = [comparison.cell for comparison in comparisons]
    finished = [cell for cell in cells if cell.finished]
    if not finished:
        return ["No run has finished yet."]
    compared = [comparison for comparison in comparisons if comparison.difference and comparison.difference.n]
    if not compared:
        return [_describe_range(finished)]
    keys = [key for key in naming_keys(cells) if not key.startswith("init")]
    varying = independent_keys([cell.params for cell in cells], keys)
    groups: dict[int, list[Comparison]] = {}
    for comparison in compared:
        groups.setdefault(id(comparison.baseline), []).append(comparison)
    sentences = [_describe_group(group, varying, baseline) for group in groups.values()]
    more = len(sentences) - MAX_GROUPS
    rest = [f"The table has {more} more comparisons of this kind."] if more > 0 else []
    overall = [_count_directions(compared, baseline)] if len(groups) > 1 else []
    return [*overall, *sentences[:MAX_GROUPS], *rest]


def _describe_range(cells: Sequence[Cell]) -> str:
    """Return the best and the worst cell of a sweep without a baseline."""
    keys = independent_keys([cell.params for cell in cells], naming_keys(cells))
    ranked = sorted(cells, key=lambda cell: -estimate(cell.finished, TEST_ACCURACY).mean)
    best, worst = ranked[0], ranked[-1]
    if best is worst or not keys:
        return f"Test accuracy is {_accuracy(best)}."
    ends = f"{_accuracy(best)} at best ({best.label(keys)}) and {_accuracy(worst)} at worst ({worst.label(keys)})"
    return f"Test accuracy is {ends}."


def _count_directions(compared: Sequence[Comparison], baseline: str) -> str:
    """Return how many of the comparisons lie above and below the baseline."""
    differences = [comparison.difference for comparison in compared if comparison.difference]
    directions, counts = [part.direction for part in differences], sorted({part.n for part in differences})
    n = f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "")
    above, below, few = (directions.count(direction) for direction in (ABOVE, BELOW, TOO_FEW))
    if few == len(directions):
        return f"All {few} comparisons with {baseline} ({n}) have too few seeds for an interval, which needs 3."
    unclear = len(directions) - above - below - few
    parts = [f"{above} {'is' if above == 1 else 'are'} above it", f"{below} {'is' if below == 1 else 'are'} below it"]
    parts.append(f"{unclear} {'shows' if unclear == 1 else 'show'} no clear difference")
    if few:
        parts.append(f"{few} {'has' if few == 1 else 'have'} too few seeds for an interval")
    return f"Of {len(compared)} comparisons with {baseline} ({n}), {', '.join(parts[:-1])}, and {parts[-1]}."


def _describe_group(group: Sequence[Comparison], keys: Sequence[str], baseline: str) -> str:
    """Return a sentence on the inits that are compared with one cell of the baseline."""
    reference = group[0].baseline
    assert reference
    where = reference.label(keys)
    named = dict(zip(map(id, group), name_inits([part.cell.params for part in group]), strict=True))
    dead = [part for part in group if learned_nothing(part.cell)]
    others = [part for part in group if not learned_nothing(part.cell)]
    parts = [f"{baseline} reaches {_accuracy(reference)}"]
    for direction, words in DIRECTIONS.items():
        chosen = [part for part in others if part.difference and part.difference.direction == direction]
        if chosen:
            items = [f"{named[id(part)]} ({part.difference.format()} points)" for part in chosen if part.difference]
            parts.append(f"{words}: {_join(items)}")
    if dead:
        parts.append(f"does not learn: {_join([f'{named[id(part)]} ({_accuracy(part.cell)})' for part in dead])}")
    return f"{where + ': ' if where else ''}{'; '.join(parts)}."


def _accuracy(cell: Cell) -> str:
    """Return the test accuracy of a cell with its interval."""
    result: Estimate = estimate(cell.finished, TEST_ACCURACY)
    return result.percent(digits=1)


def _join(words: Sequence[str]) -> str:
    """Return `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
