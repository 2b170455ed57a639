"""The answer of a sweep in sentences: which inits differ from the baseline, by how much, and which do not learn."""

from collections.abc import Iterable, Sequence

from zeroinit.report.cells import Cell, independent_keys, naming_keys
from zeroinit.report.comparisons import ABOVE, BASELINE, BELOW, Comparison
from zeroinit.report.judgements import LEARNED_NOTHING
from zeroinit.report.statistics import Estimate, estimate
from zeroinit.tracker import TEST_ACCURACY

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
    directions = [comparison.difference.direction for comparison in compared if comparison.difference]
    above, below = directions.count(ABOVE), directions.count(BELOW)
    return (
        f"Of {len(compared)} comparisons with {baseline}, {above} {'is' if above == 1 else 'are'} above it, {below} "
        f"{'is' if below == 1 else 'are'} below it, and {len(compared) - above - below} show no clear difference."
    )


def _describe_group(group: Sequence[Comparison], keys: Sequence[str], baseline: str) -> str:
    """Return a sentence on the inits that are compared with one cell of the baseline."""
    reference = group[0].baseline
    assert reference
    where = reference.label(keys)
    dead = [comparison for comparison in group if _learned_nothing(comparison.cell)]
    others = [comparison for comparison in group if comparison not in dead]
    parts = [f"{baseline} reaches {_accuracy(reference)}"]
    for direction, words in ((ABOVE, "above"), (BELOW, "below")):
        chosen = [part for part in others if part.difference and part.difference.direction == direction]
        if chosen:
            parts.append(f"{words} it: {_join(map(_with_difference, chosen))}")
    unclear = [part for part in others if part.difference and part.difference.direction not in (ABOVE, BELOW)]
    if unclear:
        parts.append(f"no clear difference: {_join(map(_with_difference, unclear))}")
    if dead:
        parts.append(f"does not learn: {_join(map(_with_accuracy, dead))}")
    return f"{where + ': ' if where else ''}{'; '.join(parts)}."


def _with_difference(comparison: Comparison) -> str:
    """Return `zero_normal (-2.24 ± 1.66 points)`."""
    assert comparison.difference
    return f"{comparison.cell.params['init']} ({comparison.difference.format()} points)"


def _with_accuracy(comparison: Comparison) -> str:
    """Return `zero (10.0% ± 0.0)`."""
    return f"{comparison.cell.params['init']} ({_accuracy(comparison.cell)})"


def _learned_nothing(cell: Cell) -> bool:
    """Return whether every run of the cell ended without learning."""
    outcomes = [outcome for outcome, count in cell.outcomes.items() if count]
    return all(outcome.removesuffix(" (stopped)") in LEARNED_NOTHING for outcome in outcomes)


def _accuracy(cell: Cell) -> str:
    """Return the test accuracy of a cell with its interval."""
    result: Estimate = estimate(cell.finished, TEST_ACCURACY)
    return result.percent(digits=1)


def _join(items: Iterable[str]) -> str:
    """Return `a, b and c`."""
    words = list(items)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
