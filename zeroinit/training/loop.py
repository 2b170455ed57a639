"""The training loop."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from zeroinit.dataset.data import Data
from zeroinit.training.cohort import Cohort, Member, Recipe
from zeroinit.training.evaluation import Evaluate, evaluate_members
from zeroinit.training.events import Event, Step, TrainingResult


def ignore(event: Event) -> None:
    """Observe nothing."""


def start_anew(cohort: Cohort) -> int:
    """Leave the cohort as it is, before its first step."""
    return 0


def keep_nothing(step: int, cohort: Cohort) -> None:
    """Write no checkpoint."""


def always(step: int) -> bool:
    """Observe each step."""
    return True


def never(step: int, member: int) -> bool:
    """Let each member take all of its steps."""
    return False


@dataclass(frozen=True)
class Hooks:
    """What a training calls, and when.

    Attributes:
        observe: is called with each event.
        is_observed: whether the gradients of a step (from 1), and the weights before and after it, are shown.
        early_stop_steps: the steps after which `should_stop` is asked.
        should_stop: (step, member) -> whether the member ends; its model has the values of that step.
        evaluate: takes the metrics.
        restore: puts the cohort where a checkpoint has it, and returns the number of steps that it has taken.
        after_step: is called with the cohort after each step, and may write a checkpoint.
    """

    observe: Callable[[Event], None] = ignore
    is_observed: Callable[[int], bool] = always
    early_stop_steps: Collection[int] = ()
    should_stop: Callable[[int, int], bool] = never
    evaluate: Evaluate = evaluate_members
    restore: Callable[[Cohort], int] = start_anew
    after_step: Callable[[int, Cohort], None] = keep_nothing


def train(
    members: Sequence[Member], data: Data, recipe: Recipe, hooks: Hooks | None = None, stacked: bool = False
) -> list[TrainingResult]:
    """Train the members, each for its own number of steps.

    One member trains as the plain model that it is. Several members, or one that is `stacked`, train as one stack:
    `stack.unstackable_reason` must be None for them, and for tied ones. Every member stays what it would be alone: it
    has its own batches and its own schedule of metrics (`cohort.evaluation_steps`). A member whose loss is not finite
    is not shown after its next evaluation, but keeps its slot, so that the others keep their bits.

    Returns:
        The result of each member, in their order.
    """
    hooks = hooks or Hooks()
    observe = hooks.observe
    cohort = Cohort(members, data, recipe, stacked)
    step = hooks.restore(cohort)
    if step == 0:
        cohort.evaluate(0, hooks.evaluate, observe)
    while cohort.active:
        step += 1
        batch = cohort.backward(step)
        is_observed = hooks.is_observed(step)
        if is_observed:
            cohort.show_weights(step - 1, observe)
            observe(cohort.gradients(step, batch))
        cohort.update(step)
        if is_observed:
            cohort.show_weights(step, observe)
        if step in hooks.early_stop_steps:
            cohort.stop_early(step, hooks.should_stop)
        cohort.evaluate(step, hooks.evaluate, observe)
        observe(Step(step))
        cohort.retire(step, observe)
        hooks.after_step(step, cohort)
    cohort.retire_all(observe)
    return cohort.results
