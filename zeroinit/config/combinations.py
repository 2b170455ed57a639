"""The combinations of a grid: some axes move together, and rules leave some combinations out."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hydra.core.override_parser.types import Override

from zeroinit.config.grid_keys import MAX_JOBS, PAIRED, SKIP_IF, Axis, GridKeys, read_pairs, read_rules
from zeroinit.config.overrides import check_repeated, find_repeated
from zeroinit.errors import BadInput

# Of a job in the process of the command: its config, hashes and params. The peak memory of mode=plan for 250, 1,250 and
# 2,250 runs of XOR (2 archs, 5 inits, 5 scales, 5 to 45 seeds) grew by 33 to 37 KiB a job, which is 35 MiB for 1,000
JOB_BYTES = 35 << 10


class _Factor(NamedTuple):
    """Axes that move together, or one axis. A row has the index of the value of each; None: an axis as it is."""

    axes: list[int]
    length: int
    rows: list[tuple[int, ...]] | None

    def row(self, number: int) -> tuple[int, ...]:
        return (number,) if self.rows is None else self.rows[number]


class Combinations:
    """The combinations of a grid in the order of its jobs: the last axis changes fastest.

    Iterating yields the overrides of each job. The combinations are counted without being made.

    Args:
        overrides: The axes and fixed values; the last of equal keys replaces the others, at the position of the first.
        keys: Which axes move together, which combinations are left out, and how many may be left.

    Attributes:
        total: How many there are, without `skip_if`.
        size: How many are left.

    Raises:
        BadInput: A rule or a pair does not fit the axes, an axis has a value twice, nothing is left, or too much.
    """

    def __init__(self, overrides: Sequence[Override], keys: GridKeys) -> None:
        last = {override.get_key_element(): override for override in overrides}
        self.axes = [Axis(override) for override in last.values()]
        self._factors = _join_axes(self.axes, keys)
        self._rules = read_rules(keys, self.axes)
        self._named = {index for rule in self._rules for index in rule.values}
        self._all = (1 << len(self._rules)) - 1
        self._classes = [self._count_rows(factor) for factor in self._factors]
        self._sizes: dict[tuple[int, int], int] = {}
        self.total = math.prod(factor.length for factor in self._factors)
        self.size = self._count(0, self._all)
        self._check_rules()
        _check_size(self, keys.max_jobs)
        for factor in self._factors:
            if factor.rows is None:
                check_repeated(self.axes[factor.axes[0]].override)

    @property
    def skipped(self) -> int:
        """How many combinations the rules leave out."""
        return self.total - self.size

    def __iter__(self) -> Iterator[list[str]]:
        yield from self._choose(0, self._all, [""] * len(self.axes))

    def _choose(self, depth: int, alive: int, words: list[str]) -> Iterator[list[str]]:
        """Yield the words of each combination, which begin as `words` do for the first factors.

        Args:
            depth: The number of factors whose rows are chosen.
            alive: A bit for each rule whose axes all have its values so far.
            words: Changed in place.
        """
        if depth == len(self._factors):
            yield [*words]
            return
        factor = self._factors[depth]
        for number in range(factor.length):
            remaining = alive & self._match(factor, number)
            if self._count(depth + 1, remaining):
                for index, value in zip(factor.axes, factor.row(number), strict=True):
                    words[index] = self.axes[index].words[value]
                yield from self._choose(depth + 1, remaining, words)

    def _match(self, factor: _Factor, number: int) -> int:
        """Return a bit for each rule that allows this row: the rule does not name the axes, or has their values."""
        if not self._named.intersection(factor.axes):
            return self._all
        values = {
            index: self.axes[index].comparable_values[value]
            for index, value in zip(factor.axes, factor.row(number), strict=True)
        }
        return sum(
            1 << bit
            for bit, rule in enumerate(self._rules)
            if all(values[index] in rule.values[index] for index in values if index in rule.values)
        )

    def _count_rows(self, factor: _Factor) -> Counter[int]:
        """Return how many rows of a factor match the same rules."""
        if not self._named.intersection(factor.axes):
            return Counter({self._all: factor.length})
        return Counter(self._match(factor, number) for number in range(factor.length))

    def _count(self, depth: int, alive: int) -> int:
        """Return how many combinations of the factors from this one on are left; `alive` as in `_choose`."""
        if not alive:
            return math.prod(factor.length for factor in self._factors[depth:])
        if depth == len(self._factors):
            return 0
        if (depth, alive) not in self._sizes:
            rows = self._classes[depth].items()
            self._sizes[depth, alive] = sum(count * self._count(depth + 1, alive & mask) for mask, count in rows)
        return self._sizes[depth, alive]

    def _check_rules(self) -> None:
        """Raise BadInput for a rule that matches nothing, and for rules that leave nothing."""
        for bit, rule in enumerate(self._rules):
            matches = [any(mask >> bit & 1 for mask in classes) for classes in self._classes]
            if rule.is_strict and not all(matches):
                raise BadInput(f"{SKIP_IF}={rule.text}: no combination of the grid has these values; leave it out")
        if not self.size:
            texts = ", ".join(rule.text for rule in self._rules)
            raise BadInput(f"{SKIP_IF}=[{texts}]: all {self.total:,} combinations are left out; give fewer rules")


def _join_axes(axes: Sequence[Axis], keys: GridKeys) -> list[_Factor]:
    """Return the factors of the grid; axes that move together stand where the first of them stands."""
    pairs = read_pairs(keys, axes)
    factors = {min(pair): _pair(pair, axes, keys) for pair in pairs}
    paired = {index for pair in pairs for index in pair}
    singles = {index: _Factor([index], axis.length, None) for index, axis in enumerate(axes) if index not in paired}
    return [factor for _, factor in sorted((factors | singles).items())]


def _pair(pair: Sequence[int], axes: Sequence[Axis], keys: GridKeys) -> _Factor:
    """Return the rows of axes that move together.

    An axis of a file to which the command line gives a single value has that value in each row.
    """
    names = [axes[index].name for index in pair]
    text = f"{PAIRED}=[[{','.join(names)}]]"
    fixed = [index for index in pair if not axes[index].is_swept and keys.may_have_changed(PAIRED, axes[index].names)]
    lengths = {axes[index].length for index in pair if index not in fixed} or {1}
    if len(lengths) > 1:
        counts = " and ".join(f"{axes[index].name} has {axes[index].length}" for index in pair)
        raise BadInput(f"{text}: {counts} values; give axes with equal numbers of values")
    [length] = lengths
    rows = [tuple(0 if index in fixed else number for index in pair) for number in range(length)]
    values = [
        tuple(axes[index].comparable_values[value] for index, value in zip(pair, row, strict=True)) for row in rows
    ]
    distinct = dict(zip(reversed(values), reversed(range(length)), strict=True))
    if len(distinct) < length and not fixed:
        twice = find_repeated(values)
        raise BadInput(f"{text}: the values {', '.join(map(str, twice))} occur together twice; give them once")
    chosen = [rows[number] for number in sorted(distinct.values())]
    return _Factor([*pair], len(chosen), chosen)


def _check_size(grid: Combinations, max_jobs: object) -> None:
    """Raise BadInput for more combinations than `max_jobs`."""
    if type(max_jobs) is not int or max_jobs < 1:
        raise BadInput(f"{MAX_JOBS}={max_jobs}: give a whole number from 1")
    if grid.size > max_jobs:
        lines = " ".join(axis.line for axis in grid.axes if axis.is_swept)
        mib = math.ceil(grid.size * JOB_BYTES / 2**20)
        memory = f"{mib} MiB" if mib < 1024 else f"{mib / 1024:,.0f} GiB"
        raise BadInput(
            f"{lines}: these axes are {grid.size:,} runs, whose configs take about {memory} of memory; give fewer "
            f"values, or {MAX_JOBS}={grid.size}"
        )
