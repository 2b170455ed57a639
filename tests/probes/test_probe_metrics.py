"""Each probe declares the metrics that it writes, and no others."""

import re
from pathlib import Path

import pytest
import torch
from helpers.observers import make_observer
from helpers.reports import column_of, grid, plan_of, unpack
from helpers.trainings import train_members

import zeroinit.probes
from zeroinit import dataset
from zeroinit.arch import FNN
from zeroinit.observed_layers import hidden_layers
from zeroinit.probes.metrics import EVALUATIONS, all_probes, find_metric
from zeroinit.probes.probe import Metric, Probe
from zeroinit.report.cells import group_cells
from zeroinit.report.manifest import Manifest
from zeroinit.report.page import render_page
from zeroinit.rng import stream
from zeroinit.tracker import Record
from zeroinit.training.cohort import Member

PREDICTED = {"first_gradient_predicted/{layer}"}  # which a session writes, before training


def test_a_probe_has_the_name_of_its_module() -> None:
    assert len(all_probes()) == 9
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


def test_each_metric_of_a_run_is_declared_once() -> None:
    declared = [*EVALUATIONS, *(metric for probe in all_probes().values() for metric in probe.metrics)]
    for metric in declared:
        name = metric.of("conv.1")
        assert find_metric(name) is metric
        assert metric.layer_of(name) == ("conv.1" if name != metric.name else "")
        assert [other for other in declared if name == other.name or other.layer_of(name)] == [metric]
    assert find_metric("mine/hidden1") is None


class MadeUp(Probe):
    name = "made_up"
    metrics = (
        Metric("made_up/{layer}/height", "metres", "height of the layer", has_curve=True),
        Metric("made_up/{layer}/depth", "", "depth of the layer"),
    )


def test_the_page_shows_a_new_probe_as_it_is_declared(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    probes = all_probes() | {MadeUp.name: MadeUp}
    monkeypatch.setattr("zeroinit.probes.metrics.all_probes", lambda: probes)
    find_metric.cache_clear()
    request.addfinalizer(find_metric.cache_clear)
    records = grid(1, 1, 2)
    for record in records:
        record.metrics += [("made_up/hidden1/height", 1.5, 1), ("made_up/hidden1/depth", 2.0, 1), ("mine", 3.0, 1)]
    cells = group_cells(plan_of(*records), records)
    content = unpack(render_page("sweep", Manifest("Why?", "", plan_of(*records)), cells, [None], []))
    paints = content["map"]["paints"]
    height, depth = (paints[f"made_up/hidden1/{word}"] for word in ("height", "depth"))
    assert (height["label"], depth["label"]) == ("hidden1: height of the layer", "hidden1: depth of the layer")
    assert "height of the layer, metres after the last step" in height["caption"]
    assert "depth of the layer after the last step" in depth["caption"]
    assert (paints["test/accuracy"]["label"], paints["mine"]["label"]) == ("test accuracy", "mine")
    assert "Test accuracy in percent after the last step" in paints["test/accuracy"]["caption"]
    assert column_of(content, depth["means"]) == [2]
    [cell] = content["cells"]
    assert content["layers"]["made_up/{layer}/height"]["title"] == "Height of the layer"
    assert content["layers"]["made_up/{layer}/height"]["y"]["label"] == "height of the layer, metres"
    assert "made_up/{layer}/depth" not in cell["layers"]
