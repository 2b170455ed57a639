"""The score of a run: the metric by which runs are compared, chosen and judged. The loss of the run decides it."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Score:
    """A share. A higher score is better. Screens show it in percent, and its differences in percentage points.

    Attributes:
        name: the last part of its metrics' names, such as `accuracy` in `test/accuracy`.
        label: what a person reads.
        baseline: the predictor that ignores the input.
        reference: the predictor without a network that uses the input.
        least: the lowest possible value; the highest is 1.
    """

    name: str
    label: str
    baseline: str
    reference: str
    least: float

    @property
    def test(self) -> str:
        """The metric by which runs are compared."""
        return f"test/{self.name}"

    @property
    def val(self) -> str:
        """The metric by which a run is chosen."""
        return f"val/{self.name}"


ACCURACY = Score("accuracy", "accuracy", "majority class", "1-nearest neighbour", 0.0)
# 1 minus the squared error divided by that of the training set's mean: the share of the variance that is explained
R2 = Score("r2", "R²", "mean predictor", "linear regression", -math.inf)
SCORES = (ACCURACY, R2)
TEST_SCORES = tuple(score.test for score in SCORES)
VAL_SCORES = tuple(score.val for score in SCORES)


class ScoreValue(NamedTuple):
    """A value of a score."""

    score: Score
    value: float


def name_scores(scores: Iterable[Score]) -> str:
    """Return `accuracy`, `R²`, or `accuracy or R²` for scores of several kinds; `accuracy` for none."""
    present = {*scores} or {ACCURACY}
    return " or ".join(score.label for score in SCORES if score in present)


def find_score(metrics: Collection[str], params: Mapping[str, str]) -> Score:
    """Return the score whose test or validation metric is among these; before a run has one, that of its loss."""
    measured = (score for score in SCORES if score.test in metrics or score.val in metrics)
    is_regression = params.get("loss") == "mse" or params.get("loss.task") == "regression"
    return next(measured, R2 if is_regression else ACCURACY)
