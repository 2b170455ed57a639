"""Each probe declares the metrics that it writes, and no others."""

import re
from pathlib import Path

import pytest
import torch
from helpers.observers import make_observer
from helpers.trainings import train_members

import zeroinit.probes
from zeroinit import dataset
from zeroinit.arch import FNN
from zeroinit.layers import hidden_layers
from zeroinit.probes.metrics import all_probes
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member

PREDICTED = {"first_gradient_predicted/{layer}"}  # which a session writes, before training


def test_a_probe_has_the_name_of_its_module() -> None:
    assert len(all_probes()) == 8
    for name, probe in all_probes().items():
        assert probe.__module__ == f"zeroinit.probes.{name}"
        assert (Path(zeroinit.probes.__path__[0]) / f"{name}.py").exists()


@pytest.mark.parametrize("name", all_probes())
def test_it_writes_what_it_declares(name: str) -> None:
    digits = dataset.digits(stream("split", 0))
    model = FNN(digits.input_shape, digits.num_classes, [6, 5], "tanh")
    optimizer = torch.optim.Adam(model.parameters())
    record = Record("", {}, {})
    batch = tuple(part[:50].unsqueeze(0) for part in digits.train)
    observer = make_observer([record], 3, [name], hidden_layers(model), batch, [0, 2])
    member = Member(model, optimizer, stream("order", 0), stream("augment", 0), 3)
    train_members([member], digits, batch_size=32, observe=observer)
    losses = re.compile(r"(train|val|test)/(loss|accuracy)")
    written = {metric for metric, _, _ in record.metrics if not losses.fullmatch(metric)}
    layers = "|".join(("hidden1", "hidden2", "output"))
    templates = {re.sub(rf"/({layers})(?=/|$)", "/{layer}", metric) for metric in written}
    assert templates == {metric.name for metric in all_probes()[name].metrics} - PREDICTED
    assert record.tags == {}  # no probe failed


def test_a_description_is_a_phrase() -> None:
    for probe in all_probes().values():
        for metric in probe.metrics:
            assert metric.description, metric.name
            assert not metric.description.endswith("."), metric.name
