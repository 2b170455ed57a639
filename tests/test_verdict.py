"""Every word is said of a run that earned it, with its reason; what looks hopeless is ended, and nothing else is."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from zeroinit import build, dataset, train
from zeroinit.arch import FNN, Logistic
from zeroinit.arrival import predicted
from zeroinit.config import Job
from zeroinit.dataset import Data
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.tracker.off import Off
from zeroinit.verdict import by_nearest, first_examples, hopeless, look

JobOf = Callable[..., Job]
BIAS = ["init.bias._target_=torch.nn.init.constant_", "+init.bias.val=-100"]
BECAME = {
    ("init=default",): ("learns", "validation accuracy 9"),
    ("init=zero_normal", "steps=600"): ("learns", "validation accuracy 9"),
    ("arch=logistic", "init=zero", "optimizer.lr=0.01"): ("learns", "validation accuracy 9"),
    ("init=zero",): ("stuck-at-prior", "no weight has a gradient"),
    ("init=default", "optimizer.lr=1e-9"): ("stuck-at-prior", "the loss falls no more, from 2.3"),
    ("init=constant", "arithmetic=tied"): ("symmetric", "all 64 neurons of hidden1 are copies of one another"),
    ("init=zero", "arch.activation=sigmoid", "arithmetic=tied"): ("symmetric", "all 64 neurons of hidden1 are copies"),
    ("init=default", "arch.activation=relu", *BIAS): ("dead-layer", "no unit of hidden1 passes a gradient for any"),
    ("init=zero_normal", "bias_scale.value=1000", "arch.activation=tanh", "optimizer.lr=0.0001"): (
        "saturated",
        "% of 64 units of hidden1 are saturated",
    ),
    ("init=default", "optimizer.lr=1e30", "optimizer=sgd"): ("diverged", "the loss is not finite at step 2"),
    ("init=zero_normal", "arch.hidden=[64,64,64]", "steps=3"): (
        "still-waking",
        "hidden1 has its first gradient in step 4, and 3 were taken",
    ),
    ("init=default", "optimizer=sgd", "optimizer.lr=0.001"): ("still-waking", "the loss still falls, from 2.3"),
}


def trained(job_of: JobOf, *words: str) -> Record:
    width = [] if "arch=logistic" in words else ["arch.hidden=[64]"]
    job = job_of("dataset=digits", *width, "steps=200", "tracker=off", *words)
    build.check([job])
    [record] = train.run([job], Off(), lambda share, accuracy: None)
    return record


@pytest.mark.parametrize("words", BECAME, ids=" ".join)
def test_what_became_of_it_and_why(words: tuple[str, ...], job_of: JobOf) -> None:
    tags = trained(job_of, *words).tags
    word, reason = BECAME[words]
    assert tags["verdict"] == word
    assert reason in tags["reason"]
    assert "stopped_at" not in tags


@pytest.mark.parametrize(
    ("words", "stopped_at"),
    [
        (["init=zero"], "25"),
        (["init=default", "arch.activation=relu", *BIAS], "25"),
        (["init=constant", "arithmetic=tied"], "100"),
        (["init=default"], None),
        (["init=zero_normal"], None),
        (["init=default", "optimizer.lr=1e-9"], None),
    ],
)
def test_early_stop_ends_what_is_hopeless(words: list[str], stopped_at: str | None, job_of: JobOf) -> None:
    stopped, kept = trained(job_of, *words, "early_stop=true"), trained(job_of, *words)
    assert stopped.tags.get("stopped_at") == stopped_at
    assert stopped.tags["verdict"] == kept.tags["verdict"]
    assert stopped.status == "FINISHED"
    if stopped_at is None:
        assert stopped.metrics == kept.metrics
    else:
        assert max(stopped.course("test/accuracy")) == int(stopped_at)


def test_in_a_stack_it_ends_that_member_alone(job_of: JobOf) -> None:
    jobs = [
        job_of("dataset=digits", "arch.hidden=[64]", "steps=200", "early_stop=true", f"init={init}", "tracker=off")
        for init in ("zero", "zero_normal", "zero_uniform")
    ]
    records = train.run(jobs, Off(), lambda share, accuracy: None)
    assert [record.tags.get("stopped_at") for record in records] == ["25", None, None]
    assert [max(record.course("val/accuracy")) for record in records] == [25, 200, 200]
    assert [record.tags["verdict"] for record in records] == ["stuck-at-prior", "learns", "learns"]


def test_a_wave_that_is_under_way_is_not_hopeless() -> None:
    """From zero weights, 30 layers down: the first has its gradient at step 31, and none before."""
    digits = dataset.digits(stream("split", 0))
    model = FNN(digits.input_shape, digits.num_classes, [8] * 30, "tanh")
    for name, parameter in model.named_parameters():
        (nn.init.zeros_ if name.endswith("weight") else nn.init.normal_)(parameter)
    arrivals, layers = predicted(model), look(model, first_examples(digits))
    assert max(arrivals.values()) == 31
    silent = [layer for layer in layers if layer.gradient == 0]
    assert len(silent) == 30
    assert not hopeless(25, silent, arrivals)
    assert hopeless(50, silent, arrivals)


def test_what_is_looked_at_is_left_as_it_was() -> None:
    digits = dataset.digits(stream("split", 0))
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    layers = look(model, first_examples(digits))
    assert [layer.name for layer in layers] == ["1", "5"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)


def test_a_net_without_hidden_layers_is_looked_at_too() -> None:
    digits = dataset.digits(stream("split", 0))
    [layer] = look(Logistic(digits.input_shape, digits.num_classes), first_examples(digits))
    assert layer.gradient > 0
    assert layer.dead != layer.dead  # it has no activation


def test_the_nearest_example_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    train, val = (
        (torch.randn(n, 3, generator=generator), torch.randint(4, (n,), generator=generator)) for n in (50, 20)
    )
    right = 0
    for point, truth in zip(val[0].tolist(), val[1].tolist(), strict=True):
        apart = [sum((a - b) ** 2 for a, b in zip(point, other, strict=True)) for other in train[0].tolist()]
        right += train[1][apart.index(min(apart))].item() == truth
    assert by_nearest(Data(train, val, val, num_classes=4)) == pytest.approx(right / 20)


def test_large_images_are_compared_among_few() -> None:
    some = torch.zeros(30, 3, 800, 800, dtype=torch.uint8), torch.arange(30) % 2
    assert by_nearest(Data(some, some, some, num_classes=2)) == pytest.approx(0.5)  # all are alike: the first is named
