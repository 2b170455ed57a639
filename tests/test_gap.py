"""Why zero weights fall behind: of one rank at first, and of a low one for long. Its sweeps: test_options.py, too."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zeroinit import SWEEPS
from zeroinit.config import Job
from zeroinit.probes.measures import effective_rank, gram

JobOf = Callable[..., Job]
Course = Callable[[Job], list[dict[str, Tensor]]]


def second(weights: Tensor) -> float:
    """The second singular value as a share of the first."""
    singular_values = torch.linalg.svdvals(weights)
    return (singular_values[1] / singular_values[0]).item()


@pytest.mark.parametrize("activation", ["elu", "tanh", "sigmoid"])
def test_the_first_updates_of_gradient_descent_are_of_rank_one(activation: str, job_of: JobOf, course: Course) -> None:
    """No input changes the hidden activations yet, and each neuron gets the same errors in another proportion.

    The update of the output is the mean error times the activations of the biases. The update of the hidden layer at
    step 2 has the errors that come back through the output.
    """
    words = (
        "dataset=digits",
        f"arch.activation={activation}",
        "arch.hidden=[64]",
        "optimizer=sgd",
        "dtype=float64",
        "steps=3",
    )
    after = course(job_of(*words, "init=zero_normal"))
    assert not after[1]["hidden1.weight"].any()
    assert second(after[1]["output.weight"]) < 1e-12
    assert second(after[2]["hidden1.weight"]) < 1e-12
    assert second(after[3]["hidden1.weight"]) > 1e-6  # and no more from here on
    assert second(course(job_of(*words, "init=default"))[1]["output.weight"]) > 0.5


def test_biases_of_many_sizes_wake_apart_and_have_more_directions(job_of: JobOf, course: Course) -> None:
    """Adam divides a gradient by its own size, unless that is below eps: such neurons wait, for other batches."""
    words = ("dataset=digits", "arch.hidden=[64]", "steps=12")
    rank = {
        init: effective_rank(gram(course(job_of(*words, f"init={init}"))[12]["hidden1.weight"].double())).item()
        for init in ("zero_normal", "zero_log_uniform")
    }
    assert rank["zero_log_uniform"] > 2 * rank["zero_normal"]
    moved = [step["hidden1.weight"].abs().amax(1) > 1e-5 for step in course(job_of(*words, "init=zero_log_uniform"))]
    awake = [int(step.sum()) for step in moved]
    assert awake[2] < 32 < awake[6]  # most of them later than the first, which start at step 2
    normal = course(job_of(*words, "init=zero_normal"))
    assert (normal[2]["hidden1.weight"].abs().amax(1) > 1e-5).all()


@pytest.mark.parametrize(("mean", "least", "most"), [(0, 0.7, 0.9), (0.305, 0, 0.02)])
def test_of_pixels_that_are_not_centred_adam_makes_weights_for_their_sum(
    mean: float, least: float, most: float, job_of: JobOf, course: Course
) -> None:
    """The share of the hidden weights' squares along (1, ..., 1) depends on the mean of the pixels.

    Adam's first steps have the same size for every weight, and the same sign where pixels are positive. The mean of the
    digits' pixels is 0.305.
    """
    words = ("dataset=digits", f"dataset.normalize.mean={mean}", "init=zero_normal", "arch.hidden=[64]", "steps=12")
    for state in course(job_of(*words))[2:]:
        weights = state["hidden1.weight"]
        share = weights.shape[1] * weights.mean(1).square().sum() / weights.square().sum()
        assert least <= share <= most


def test_the_page_has_each_sweep_and_each_sweep_its_question() -> None:
    sweeps = {path.stem: path.read_text().splitlines() for path in SWEEPS.glob("gap_*.yaml")}
    page = (SWEEPS.parent / "docs" / "gap.md").read_text()
    assert set(re.findall(r"zeroinit -cn (\w+)", page)) == set(sweeps)
    for first, second, *_ in sweeps.values():
        assert re.fullmatch(r"# [A-Z].*\?", first)
        assert re.fullmatch(r"# \d+ runs .*; \d+ (s|min) of a busy core\.", second)
