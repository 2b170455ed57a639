"""The answer of a sweep in sentences: the verdicts of its claims, then how each init compares with the baseline."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from zeroinit.report.cells import (
    Cell,
    independent_keys,
    join_words,
    learned_nothing,
    list_scores,
    name_inits,
    naming_keys,
    sort_values,
)
from zeroinit.report.claims import describe_claim
from zeroinit.report.comparisons import ABOVE, BASELINE, BELOW, DIVERGED, TOO_FEW, UNCERTAIN, UNCLEAR, Comparison
from zeroinit.report.judgements import REFUTED, SUPPORTED, UNDETERMINED, Judgement, describe_side
from zeroinit.report.statistics import count_units, estimate
from zeroinit.tracker.scores import ACCURACY, Score

NOT_LEARNING = "does not learn"  # the result of a cell whose difference is beside the point
NO_RESULT = "no result"  # of a cell without a finished run
UNPAIRED = "no run of the baseline with the same seeds"
# in the order of a sentence
RESULTS = (NOT_LEARNING, BELOW, ABOVE, UNCERTAIN, UNCLEAR, TOO_FEW, DIVERGED, UNPAIRED, NO_RESULT)
COUNTED = {  # of one cell, and of several
    ABOVE: ("is above it", "are above it"),
    BELOW: ("is below it", "are below it"),
    UNCLEAR: ("shows no clear difference", "show no clear difference"),
    UNCERTAIN: ("is too uncertain to tell", "are too uncertain to tell"),
    TOO_FEW: ("has too few seeds for an interval", "have too few seeds for an interval"),
    DIVERGED: ("has runs that diverged", "have runs that diverged"),
}
MAX_SENTENCES = 8  # on claims, and on inits
MAX_LABELS = 2  # combinations of values that a sentence names one by one


def summarize(
    comparisons: Sequence[Comparison], judgements: Sequence[Judgement] = (), baseline: str = BASELINE
) -> list[str]:
    """Return the answer in sentences, the most important one first.

    These are the verdict of each claim, how many cells differ from the baseline, and how each init compares with it.

    Args:
        comparisons: The comparison of each cell of the sweep.
        judgements: The judgements of its claims, those of one claim beside each other.
        baseline: The name of the baseline init.
    """
    cells = [comparison.cell for comparison in comparisons]
    finished = [cell for cell in cells if cell.finished]
    if not finished:
        return ["No run has finished yet."]
    statements = name_claims(judgements)
    verdicts = [describe_verdict(group, statements[group[0].number]) for group in group_by_claim(judgements)]
    pairs = [comparison for comparison in comparisons if comparison.difference and comparison.difference.n]
    if not pairs:
        ranges = [_describe_range(finished, score) for score in list_scores(cells)]
        return [*_cut(verdicts, "claims"), *ranges, *_describe_missing(cells)]
    others = [comparison for comparison in comparisons if comparison.cell.params["init"] != baseline]
    keys = [key for key in naming_keys(cells) if not key.startswith("init")]
    varying = independent_keys([other.cell.params for other in others], keys)
    by_init: dict[str, list[Comparison]] = {}
    for name, other in zip(name_inits([other.cell.params for other in others]), others, strict=True):
        by_init.setdefault(name, []).append(other)
    inits = [f"{name}: {_describe_init(group, varying, baseline)}." for name, group in by_init.items()]
    groups = {score: [pair for pair in pairs if pair.cell.score == score] for score in list_scores(cells)}
    heads = {score: f"With {score.label}: " if len(groups) > 1 else "" for score in groups}
    counts = [f"{heads[score]}{count_directions(group, baseline)}." for score, group in groups.items() if group]
    return [*_cut(verdicts, "claims"), *counts, *_cut(inits, "inits")]


def _cut(sentences: Sequence[str], things: str) -> list[str]:
    """Return the first sentences, and how many more there are."""
    more = len(sentences) - MAX_SENTENCES
    return [*sentences[:MAX_SENTENCES], *([f"The tables have {more} more {things}."] if more > 0 else [])]


# ---- claims


def group_by_claim(judgements: Sequence[Judgement]) -> list[list[Judgement]]:
    """Return the judgements of each claim."""
    return [list(group) for _, group in groupby(judgements, lambda judgement: judgement.number)]


def name_claims(judgements: Sequence[Judgement]) -> dict[int, str]:
    """Return {number: statement} of the claims; those that share a statement also have what they compare."""
    claims = {judgement.number: judgement.claim for judgement in judgements}
    counts = Counter(claim.statement for claim in claims.values())
    return {
        number: f"{claim.statement} ({describe_claim(claim)})" if counts[claim.statement] > 1 else claim.statement
        for number, claim in claims.items()
    }


def describe_verdict(judgements: Sequence[Judgement], statement: str, has_numbers: bool = True) -> str:
    """Return `Supported in 2 of 2 cases: A beats B. 1.20 to 2.40 points ahead of B, n = 3.` for those of one claim.

    Args:
        judgements: The judgements of the claim.
        statement: The claim.
        has_numbers: Whether to add the differences.
    """
    verdicts = [judgement.answer.verdict for judgement in judgements]
    order = [verdict for verdict in (SUPPORTED, REFUTED, UNDETERMINED) if verdict in verdicts]
    counts = ", ".join(f"{verdict} in {verdicts.count(verdict)}" for verdict in order)
    cases = f"{counts} of {len(verdicts)} cases" if len(verdicts) > 1 else order[0]
    numbers = _describe_findings(judgements) if has_numbers and len(order) == 1 else ""
    return f"{cases.capitalize()}: {statement.removesuffix('.')}.{numbers and f' {numbers}.'}"


def _describe_findings(judgements: Sequence[Judgement]) -> str:
    """Return the finding of a judgement, or the range of the differences of several; with n."""
    answers = [judgement.answer for judgement in judgements]
    n = f"n = {_join_range([answer.n for answer in answers], '{:d}')}"
    if len(answers) == 1:
        text = f"{answers[0].finding}, {n}" if answers[0].finding else answers[0].needed
        return text[:1].upper() + text[1:]
    differences = [answer.difference for answer in answers]
    if any(map(math.isnan, differences)):
        return f"Each has {n}"
    sides = {describe_side(difference, judgements[0].claim) for difference in differences}
    is_signed = len(sides) > 1
    size = _join_range(differences if is_signed else map(abs, differences), "{:+.2f}" if is_signed else "{:.2f}")
    halves = [answer.interval for answer in answers if not math.isnan(answer.interval)]
    parts = [f"{size} points {'' if is_signed else sides.pop()}".strip(), _describe_widest(halves), n]
    return ", ".join(part for part in parts if part)


def _describe_widest(halves: Sequence[float]) -> str:
    """Return the half width of the widest interval; empty for none."""
    return f"intervals up to ± {max(halves):.2f}" if halves else ""


# ---- comparisons


def count_directions(pairs: Sequence[Comparison], baseline: str) -> str:
    """Return how many cells lie above and below the baseline, and the score of the baseline."""
    differences = [pair.difference for pair in pairs if pair.difference]
    references = list({id(pair.baseline): pair.baseline for pair in pairs if pair.baseline}.values())
    counts = {count_units(reference.finished) for reference in references}
    n = _join_range(counts, "{:d}")
    paired = {part.n for part in differences}
    only = "" if paired == counts else f", {_join_range(paired, '{:d}')} in pairs"
    reference = f"{baseline} ({_describe_scores(references)}, n = {n}{only})"
    if len(pairs) == 1:
        return f"The baseline is {reference}"
    directions = [part.direction for part in differences]
    counted = {direction: directions.count(direction) for direction in COUNTED}
    if counted[TOO_FEW] == len(directions):
        return f"All {len(directions)} comparisons with {reference} have too few seeds for an interval, which needs 3"
    parts = [f"{count} {COUNTED[direction][count > 1]}" for direction, count in counted.items() if count]
    level = " (95% within each arch and scale)" if len(references) > 1 else ""
    return f"Of {len(pairs)} comparisons with {reference}, {join_words(parts)}{level}"


def _describe_init(pairs: Sequence[Comparison], keys: Sequence[str], baseline: str) -> str:
    """Return what an init does in which cells: does not learn, or ends above or below the baseline.

    Args:
        pairs: The cells of the init.
        keys: The keys that distinguish the cells.
        baseline: The name of the baseline init.
    """
    by_result: dict[str, list[Comparison]] = {}
    for pair in pairs:
        by_result.setdefault(_result_of(pair), []).append(pair)
    results = [result for result in RESULTS if result in by_result]
    clauses = []
    for result in results:
        is_rest = len(results) > 1 and result == results[-1]
        condition = "elsewhere" if is_rest else _describe_condition(by_result[result], pairs, keys)
        words, numbers = _describe_result(result, by_result[result], baseline)
        parts = words, condition, f"({numbers})" if numbers else ""
        clauses.append(" ".join(part for part in parts if part))
    return "; ".join(clauses)


def _result_of(pair: Comparison) -> str:
    """Return the result of a cell: whether it has one and learns and, if so, the direction of its difference."""
    if not pair.cell.finished:
        return NO_RESULT
    if learned_nothing(pair.cell):
        return NOT_LEARNING
    if not pair.difference or not pair.difference.n:
        return UNPAIRED
    return pair.difference.direction


def _describe_result(result: str, pairs: Sequence[Comparison], baseline: str) -> tuple[str, str]:
    """Return a result in words, and the numbers to add in parentheses."""
    if result == NO_RESULT:
        return NO_RESULT, _describe_outcomes([pair.cell for pair in pairs])
    if result in (NOT_LEARNING, UNPAIRED):
        return result, _describe_scores([pair.cell for pair in pairs])
    differences = [pair.difference for pair in pairs if pair.difference]
    halves = [part.half for part in differences if part.has_interval]
    widest = _describe_widest(halves) if len(halves) > 1 else ""
    if result in (ABOVE, BELOW):
        sizes = _join_range([abs(part.mean) for part in differences], "{:.2f}")
        return f"{sizes}{'' if widest else f' ± {halves[0]:.2f}'} points {result} {baseline}", widest
    means = _join_range([part.mean for part in differences], "{:+.2f}")
    numbers = f"{differences[0].format()} points" if len(differences) == 1 else f"{means} points"
    if result == DIVERGED:
        return DIVERGED, f"{sum(part.diverged for part in differences)}; the others: {numbers}"
    words = "too few seeds for an interval" if result == TOO_FEW else result
    return words, ", ".join(part for part in (numbers, widest) if part)


def _describe_outcomes(cells: Sequence[Cell]) -> str:
    """Return the outcomes of the runs of some cells with their counts: `4 diverged`."""
    total = sum((cell.outcomes for cell in cells), Counter())
    return ", ".join(f"{count} {outcome}" for outcome, count in total.most_common())


def _join_range(numbers: Iterable[float], form: str) -> str:
    """Return the smallest and the largest number, once if they look the same."""
    ordered = sorted(numbers)
    return " to ".join(dict.fromkeys(form.format(number) for number in (ordered[0], ordered[-1])))


def _describe_condition(chosen: Sequence[Comparison], pairs: Sequence[Comparison], keys: Sequence[str]) -> str:
    """Return which of the cells are chosen: `with arch=fnn and bias_scale.value=1 or 100`; empty if all are."""
    if len(chosen) == len(pairs):
        return f"in all {len(pairs)} cases" if len(pairs) > 1 else ""
    values = {key: sort_values(pair.cell.params.get(key, "") for pair in chosen) for key in keys}
    inside = [pair for pair in pairs if all(pair.cell.params.get(key, "") in values[key] for key in keys)]
    if len(inside) == len(chosen):  # the chosen cells are all that have one of these values of each key
        of_all = {key: {pair.cell.params.get(key, "") for pair in pairs} for key in keys}
        parts = [f"{key}={' or '.join(values[key])}" for key in keys if len(values[key]) < len(of_all[key])]
        return f"with {' and '.join(parts)}"
    if len(chosen) <= MAX_LABELS:
        return f"with {' and with '.join(pair.cell.label(keys) for pair in chosen)}"
    return f"in {len(chosen)} of {len(pairs)} cases"


# ---- scores


def _describe_range(cells: Sequence[Cell], score: Score) -> str:
    """Return the best and the worst of the cells with a score, of a sweep without a baseline."""
    cells = [cell for cell in cells if cell.score == score]
    keys = independent_keys([cell.params for cell in cells], naming_keys(cells))
    means = {id(cell): estimate(cell.finished, score.test).mean for cell in cells}
    ranked = sorted((cell for cell in cells if not math.isnan(means[id(cell)])), key=lambda cell: -means[id(cell)])
    if len(ranked) < 2 or not keys:
        return f"Test {score.label} is {_format_score(ranked[:1])}." if ranked else f"No run has a test {score.label}."
    ends = zip((ranked[0], ranked[-1]), ("best", "worst"), strict=True)
    parts = [f"{_format_score([cell])} at {end} ({cell.label(keys)})" for cell, end in ends]
    return f"Test {score.label} is {' and '.join(parts)}."


def _describe_missing(cells: Sequence[Cell]) -> list[str]:
    """Return a sentence on the cells without a finished run; none if all have one."""
    missing = [cell for cell in cells if not cell.finished]
    names = list(dict.fromkeys(name_inits([cell.params for cell in missing])))
    return [f"No result: {join_words(names)} ({_describe_outcomes(missing)})."] if missing else []


def _describe_scores(cells: Sequence[Cell]) -> str:
    """Return the test score of the cells, with its name unless it is the accuracy."""
    texts = []
    for score in list_scores(cells):
        text = _format_score([cell for cell in cells if cell.score == score])
        texts.append(text if score == ACCURACY else f"{score.label} {text}")
    return " or ".join(texts)


def _format_score(cells: Sequence[Cell]) -> str:
    """Return the test score of a cell with its interval, or the range of the means of several with equal scores."""
    results = [estimate(cell.finished, cell.score.test) for cell in cells]
    if len(results) == 1:
        return results[0].percent(digits=1)
    return _join_range([result.mean for result in results], "{:z.1%}")
